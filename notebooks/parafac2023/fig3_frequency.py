# %% [markdown]
# (parafac2023-fig3)=
# # Figure 3: is it only how much data there is?
#
# **What the paper shows.** Over all words, the number of annotated words of a language is not correlated with its mean
# signature. Within single categories it is, at the lower layers, and less so further up, except for Animacy
# ([claims](#scoreboard-parafac2023-fig3)). Rare categories, Comparison and Polarity, do not share the fall over layers
# ([claims](#scoreboard-parafac2023-s5-1)).
#
# **What this page does.** Signatures of all words and of the words of every morphosyntactic category, each a factorisation of
# its own, with the number of words that stand behind them. `xsim_lib.papers.parafac2023.morphology` says which features make up a category. Every
# correlation has its p-value for the number of languages, and the false discovery rate is controlled over a whole figure.
#
# **What it cannot tell.** The paper's treebanks differ in size by two orders of magnitude. Here all languages have
# (nearly) the same sentences, so that the numbers of words differ for reasons of the languages themselves: an article or a
# pronoun that is a word in one of them and none in another. "Data size" then is a property of the language.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
factorization = None  # changes of the profile's settings, such as {"sentences": 200}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import matplotlib.pyplot as plt
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence import printed
from xsim_lib.figures import plots
from xsim_lib.papers.parafac2023 import signature_figures, signature_run
from xsim_lib.papers.parafac2023.language_properties import property_correlations

run = xsim.start("parafac2023.fig3", profile=profile, seeds=seeds, factorization=factorization)
plots.use_style()
signature_run.overview_of_signatures(run)

# %% [markdown]
# ## Signatures by category
#
# A word belongs to every category that its features show. Every word has a part of speech: "all words" is that category, as in
# the paper. A language with too few words of a category is left out there.

# %% tags=["hide-input"]
for seed in run.seeds:
    about = {"model": "multilingual", "seed": seed}
    found = signature_run.measure_signatures(run, seed, categories=None)
    run.record(found.records(), **about)
    shares = found.words.div(found.words[signature_run.ALL], axis=0)
    for category in found.categories:
        share = shares[category].rename("value").rename_axis("pair_or_language").reset_index()
        run.record(share, metric="token_share", task=category, **about)
        means = found.means(category)
        rows = property_correlations(means, found.words[category]).reset_index(names="layer")
        if len(rows):
            run.record(
                rows.drop(columns="p"), metric="pearson_size", n_layers=found.n_layers,
                pair_or_language=category or signature_figures.WORDS, **about,
            )  # fmt: skip

# %% [markdown]
# Words per language and category, of the last seed (the same sentences for all seeds), and how many languages have a slice.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
present = [c for c in found.categories if c]
counts = found.words.rename(columns={signature_run.ALL: signature_figures.WORDS})
counts = counts[[signature_figures.WORDS, *present]].rename_axis(None)
enough = (counts >= run.settings.factorization.min_words).sum()
pd.concat([counts, pd.DataFrame([enough], index=["languages with a slice"])])

# %% [markdown]
# The paper's Table 3 lists which language has which category. Beside it, the treebanks of the recorded run at `real`, read by our
# own table of features (`xsim_lib.papers.parafac2023.morphology`): "both", or where it is found only. Categories come from treebanks of another
# version and size there, and through another converter.

# %% tags=["hide-input"]
real = run.records if profile == "real" else run.recorded("real")
marks = {}
if real is not None:
    shares = real.frame.query("metric == 'token_share' and task != '' and value > 0")
    here = set(zip(shares["task"], shares["pair_or_language"], strict=True))
    listed = printed.read_printed("parafac2023", "table3").query(
        "series != 'Part of Speech'"
    )  # all have it
    paper = set(zip(listed["series"], listed["pair_or_language"], strict=True))
    languages = {language for _, language in here}
    for cell in here | {cell for cell in paper if cell[1] in languages}:
        marks[cell] = "both" if cell in here & paper else "here" if cell in here else "paper"
pd.Series(marks, dtype=object).unstack(fill_value="") if marks else "not recorded yet"

# %% [markdown]
# ## Figure 3

# %% tags=["hide-input"] mystnb={"image": {"alt": "Heat maps, one per run: categories in rows, layers across, coloured by the correlation over languages of the number of words and the mean signature. Dots mark cells with p below 0.05, rings those that survive the false discovery rate."}, "figure": {"name": "figure-parafac2023-fig3", "caption": "Pearson correlation over languages of mean signature and number of words, per category and layer. Dot: p < 0.05 if it were the only test. Ring: survives the false discovery rate over the panel. Averaged over seeds. The paper's figure has no printed numbers."}}
columns = run.columns()
_ = signature_figures.correlation_maps(columns, "pearson_size", label="correlation with data size")

# %% [markdown]
# The correlation over all words with its interval, averaged over layers. For comparison: -0.02 with the public XLM-R in the
# paper.

# %% tags=["hide-input"]
frame = run.records.frame
overall = frame[
    (frame["metric"] == "pearson_size") & (frame["pair_or_language"] == signature_figures.WORDS)
]
overall.groupby("seed")[["value", "lower", "upper", "n"]].mean().round(2)

# %% [markdown]
# ## Do all categories fall alike?
#
# The mean over languages, as a share of the category's largest value: covariances of different words have different sizes.

# %% tags=["hide-input"] mystnb={"image": {"alt": "One panel per run with a curve per category: the mean signature over languages against the layer, as a share of the largest value of the curve."}, "figure": {"name": "figure-parafac2023-categories", "caption": "Mean signature over languages per category, relative to its maximum, averaged over seeds. All words in black."}}
figure, axes = plt.subplots(
    1, len(columns), figsize=(1.6 + 2.9 * len(columns), 3.6), squeeze=False, sharey=True,
    layout="constrained",
)  # fmt: skip
for axis, column in zip(axes[0], columns, strict=True):
    rows = column.records.frame.query("metric == 'mean_signature' and baseline == ''")
    by = rows.groupby(["task", "layer"])["value"].mean().unstack("layer")
    curves = {c: by.loc[c].dropna() / by.loc[c].max() for c in sorted(by.index) if c}
    plots.curves(axis, curves, xlabel="layer", ylabel="", markers=True)
    every = by.loc[signature_run.ALL] / by.loc[signature_run.ALL].max()
    axis.plot(every.index, every, color="k", linewidth=2, label=signature_figures.WORDS)
    axis.set_title(column.title, fontsize=10)
    axis.set_xticks(every.index)
axes[0, 0].set_ylabel("mean signature / largest")
handles = {}
for axis in axes[0]:
    handles |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
_ = figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)

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
# - The paper converts the features of Universal Dependencies with a program under the GPL; here a documented table says
#   which feature is a value of which category. Only whether a word shows a category matters.
# - In the authors' code a language without a category is skipped, and the result does not say which one it was. Here it keeps
#   its name and has no value.
#
# ## Re-run this page
#
# ```bash
# xsim run parafac2023/fig3_frequency --profile mini --seeds 2
# papermill notebooks/parafac2023/fig3_frequency.ipynb out.ipynb -p profile mini -y "factorization: {min_words: 20}"
# ```
#
# Worth trying: `--set "factorization={min_words: 20}"`, which lets in rarer words.

# %% tags=["hide-input"]
run.finish()
