# %% [markdown]
# (parafac2023-fig4)=
# # Figures 4, 6 and 7: which properties of a language go with its signature?
#
# **What the paper shows.** Languages with many different characters have low signatures, in every category. So have languages with a
# high type-token ratio, about as much; data size tells little ([claims](#scoreboard-parafac2023-fig4)). Figures 6 and 7 of its
# appendix have the same per layer. Text and figures give no p-values and no intervals.
#
# **What this page does.** The same three correlations over the languages here, for all words and per category, with an
# interval for their number, and per layer with the false discovery rate controlled. Two controls: models that were never
# trained, and the correlation without the logographic languages. Two languages of many characters could carry it alone.
#
# **How the properties are counted.** Characters: the most frequent ones that make up 99.9 % of the training text. Type-token ratio:
# different lemmas as a share of the annotated words. Data size: words with the category. The first two belong to the
# language and are the same for all categories.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
coverage = 0.999  # share of the text that the counted characters make up
factorization = None  # changes of the profile's settings, such as {"sentences": 200}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence import printed as reported
from xsim_lib.figures import plots
from xsim_lib.papers.parafac2023 import signature_figures, signature_run
from xsim_lib.papers.parafac2023.language_properties import (
    property_correlations,
    type_token_ratio,
    unique_characters,
)

run = xsim.start("parafac2023.fig4", profile=profile, seeds=seeds, factorization=factorization)
settings = run.settings
plots.use_style()
signature_run.overview_of_signatures(run)

# %% [markdown]
# ## The languages

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
source = settings.read()
text = source.training()
banks = {
    language: source.treebank(language, settings.factorization.sentences, "test", "pos")
    for language in settings.languages
}
properties = pd.DataFrame(
    {
        "characters": {x: unique_characters(text[x], coverage=coverage) for x in banks},
        "ttr": {x: type_token_ratio(bank) for x, bank in banks.items()},
        "size": {x: sum(map(len, bank.sentences)) for x, bank in banks.items()},
    }
)
titles = {"characters": "characters", "ttr": "type-token ratio", "size": "data size"}
properties.rename(columns=titles).round(3)

# %% [markdown]
# How the properties go with each other. Where they do, a correlation with one is one with the other, too.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
properties.rename(columns=titles).corr().round(2)

# %% [markdown]
# ## Signatures
#
# The same as on the [page before](fig3_frequency.ipynb), from the cache.

# %% tags=["hide-input"]
others = [x for x in settings.languages if x not in settings.logographic]
for seed in run.seeds:
    about = {"model": "multilingual", "seed": seed}
    for baseline in ("", "untrained"):
        wanted = None if baseline == "" else (signature_run.ALL,)
        found = signature_run.measure_signatures(run, seed, categories=wanted, baseline=baseline)
        for category in found.categories:
            about["pair_or_language"] = category or signature_figures.WORDS
            own = properties.assign(size=found.words[category])
            for variant, chosen in (("", list(own.index)), ("without logographic", others)):
                means = found.means(category).loc[chosen]
                for name in titles:
                    rows = property_correlations(means, own[name]).reset_index(names="layer")
                    if len(rows):
                        run.record(
                            rows.drop(columns="p"), metric=f"pearson_{name}", variant=variant,
                            baseline=baseline, n_layers=found.n_layers, **about,
                        )  # fmt: skip

# %% [markdown]
# ## Figure 4
#
# Correlations are averaged over layers, as in the paper. The crosses are what it prints for the public XLM-R and calls nearly
# the same as its own figure.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels per run, for characters, type-token ratio and data size: the correlation with mean signatures, averaged over layers, for all words and each category, with intervals; beside it without the logographic languages, and for models that were not trained; the paper's values as crosses."}, "figure": {"name": "figure-parafac2023-fig4", "caption": "Pearson correlation of mean signature and property over languages, averaged over layers and seeds, with the 95 % interval for the number of languages (taken as independent). Cross: the public XLM-R in the paper, over 33 languages."}}
printed = reported.read_printed("parafac2023", "text").set_index("metric")["value"]
names = {"characters": "unique characters", "ttr": "TTR", "size": "data size"}
columns = run.columns()
_ = signature_figures.correlation_means(
    columns,
    {f"pearson_{name}": title for name, title in titles.items()},
    variants={
        ("", ""): "trained",
        ("without logographic", ""): f"without {', '.join(settings.logographic)}",
        ("", "untrained"): "untrained",
    },
    stated={
        f"pearson_{k}": float(printed[f"pearson(mean signature, {v})"]) for k, v in names.items()
    },
)

# %% [markdown]
# ## Figure 6: characters, layer by layer

# %% tags=["hide-input"] mystnb={"image": {"alt": "Heat maps, one per run: categories in rows, layers across, coloured by the correlation of mean signature and number of characters; dots mark p below 0.05, rings what survives the false discovery rate."}, "figure": {"name": "figure-parafac2023-fig6", "caption": "Pearson correlation of mean signature and number of characters over languages. Dot: p < 0.05 if it were the only test. Ring: survives the false discovery rate over the panel."}}
_ = signature_figures.correlation_maps(
    columns, "pearson_characters", label="correlation with characters"
)

# %% [markdown]
# ## Figure 7: type-token ratio, layer by layer

# %% tags=["hide-input"] mystnb={"image": {"alt": "The same heat maps for the correlation of mean signature and type-token ratio."}, "figure": {"name": "figure-parafac2023-fig7", "caption": "Pearson correlation of mean signature and type-token ratio over languages, marked as in the figure above."}}
_ = signature_figures.correlation_maps(
    columns, "pearson_ttr", label="correlation with type-token ratio"
)

# %% [markdown]
# ## Verdicts
#
# They stand on this many values of each metric.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
run.coverage()

# %% tags=["hide-input"]
run.verdicts()

# %% [markdown]
# ## Paper versus code
#
# - The code of the correlations was not published. Characters are counted in the training text, as the paper's
#   footnote says; whether white space and punctuation count is not said. Here punctuation counts, white space does not.
# - The paper's treebanks have different sizes, and a type-token ratio falls with size. Here all languages have the same
#   sentences.
#
# ## Re-run this page
#
# ```bash
# xsim run parafac2023/fig4_language_properties --profile mini --seeds 2
# papermill notebooks/parafac2023/fig4_language_properties.ipynb out.ipynb -p profile mini -p coverage 1.0
# ```
#
# Worth trying: `--set coverage=1.0`, every character that occurs; `--set coverage=0.9`.

# %% tags=["hide-input"]
run.finish()
