# %% [markdown]
# (anc2022-fig9)=
# # Figure 9: what the CCA family sees
#
# **What the paper shows.** PWCCA and SVCCA call the upper half of the NormFormer, where CKA is near zero, moderately to
# highly similar: 0.5 to 0.8, says the text ([claims](#scoreboard-anc2022-fig9)). So the drop comes from the weights that CKA
# gives to directions, not from the directions themselves.
#
# **What this page does.** It measures both indices, per layer and for all three schemes, beside CKA and with the same
# baselines. CCA looks for *any* linear map between the two sides, so its values depend on the number of sentences and of
# directions kept; the baselines show how much of a value is only that.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
checkpoints = None  # public models instead: {"scale_normformer": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import matplotlib.pyplot as plt
import pandas as pd

import xsim_lib as xsim
from xsim_lib import indices
from xsim_lib.evidence import printed
from xsim_lib.figures import plots
from xsim_lib.indices.moments import Moments
from xsim_lib.reading.sentences import encode

run = xsim.start(
    "anc2022.fig9", profile=profile, seeds=seeds, pairs=pairs, n_parallel=n_parallel,
    checkpoints=checkpoints,
)  # fmt: skip
schemes = [name for name in run.names if name != "scale_normformer-v2"]
run.overview()

# %% tags=["hide-input"]
models = {seed: run.models(seed, *schemes) for seed in run.seeds}

# %% tags=["hide-input"]
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        rows = xsim.compare(
            model, run.parallel, indices=("pwcca", "svcca", "cka"), seed=seed,
            truncate=run.settings.truncate,
        )  # fmt: skip
        run.record(rows, model=name, seed=seed)

# %% [markdown]
# ## PWCCA
#
# Canonical correlations, weighted by how much of the English side they account for. The hatched box is what the paper's
# text says; its curves are not printed as numbers.

# %% tags=["hide-input"] mystnb={"image": {"alt": "PWCCA per layer for the three normalisation schemes in this build and the recorded runs, with the untrained encoder and shuffled pairs as baselines, and the range that the paper's text states."}, "figure": {"name": "figure-anc2022-fig9-pwcca", "caption": "PWCCA between English and its translations. Bands: one standard deviation over seeds, or the 95 % interval over sentences where there is one seed. Dotted: the same encoder untrained. Grey: shuffled pairs. Hatched: the range that the paper states."}}
stated = printed.read_printed("anc2022", "text").query("item == 'fig9'")
figure = plots.layers(run.columns(), "pwcca", schemes, label="PWCCA", stated=stated)

# %% [markdown]
# ## SVCCA with a fixed number of components
#
# As in the authors' code: 20 principal components of either side, then the mean canonical correlation. With 768 units these
# are a small part of the space; with the few units of `mini` they are most of it.

# %% tags=["hide-input"] mystnb={"image": {"alt": "SVCCA with 20 components per layer for the three normalisation schemes in this build and the recorded runs, with the untrained encoder and shuffled pairs as baselines, and the range that the paper's text states."}, "figure": {"name": "figure-anc2022-fig9-svcca", "caption": "SVCCA with 20 components (or as many as there are units), drawn as PWCCA above."}}
figure = plots.layers(run.columns(), "svcca", schemes, label="SVCCA", stated=stated)

# %% [markdown]
# ## How many components
#
# The number kept is a choice. Below, SVCCA of this build with fewer of them and with as many as hold 99 % of the variance
# (the rule of the method's inventors), mean over pairs and seeds, beside CKA. One component is the
# correlation of the two top directions, to which CKA gives the largest weight.

# %% tags=["hide-input"] mystnb={"image": {"alt": "One panel per scheme: SVCCA per layer with one, five and twenty components and with 99 percent of the variance, and CKA."}, "figure": {"name": "figure-anc2022-fig9-components", "caption": "SVCCA by the number of components kept, and CKA, in this build."}}
kept = {
    "1 component": {"components": 1},
    "5 components": {"components": 5},
    "99 %": {"variance": 0.99},
}
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        for pair, corpus in run.parallel.items():
            sides = (corpus[language] for language in pair.split("-"))
            x, y = (encode(model, side, truncate=run.settings.truncate) for side in sides)
            moments = Moments.from_rows(x, y)
            for variant, options in kept.items():
                values = indices.svcca_from_moments(moments, **options)
                place = {"metric": "svcca", "variant": variant, "n_layers": len(values) - 1}
                rows = [{"layer": k, "value": value} | place for k, value in enumerate(values)]
                run.record(rows, model=name, seed=seed, pair_or_language=pair)
plots.use_style()
figure, axes = plt.subplots(
    1, len(schemes), figsize=(9, 3.2), sharey=True, squeeze=False, layout="constrained"
)
lines = {f"SVCCA, {v}": ("svcca", v) for v in kept}
lines |= {"SVCCA, 20 components": ("svcca", ""), "CKA": ("cka", "")}
for axis, model in zip(axes[0], schemes, strict=True):
    series = {k: run.records.curve(m, variant=v, model=model) for k, (m, v) in lines.items()}
    plots.curves(axis, series, xlabel="layer", ylabel="similarity" if axis is axes[0, 0] else "")
    axis.set(title=model, ylim=(0, 1))
_ = figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)

# %% [markdown]
# ## Upper layers against their baselines
#
# Mean over pairs, seeds and the upper half of the layers. An index that is already high for shuffled pairs or for an
# untrained encoder says little by its height; what training adds is in the last column.

# %% tags=["hide-input"]
named = {
    "": "trained",
    "untrained": "untrained",
    "length_matched": "equal length",
    "shuffled": "shuffled",
}
table = {
    (metric, model): {
        label: run.records.mean(metric, layers=(6, 12), model=model, baseline=baseline)
        for baseline, label in named.items()
    }
    for metric in ("pwcca", "svcca", "cka")
    for model in schemes
}
table = pd.DataFrame(table).T
table["trained - untrained"] = table["trained"] - table["untrained"]
table.round(2)

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
# ## Re-run this page
#
# ```bash
# xsim run anc2022/fig9_cca_family --profile mini --seeds 3
# papermill notebooks/anc2022/fig9_cca_family.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set n_parallel=100` to see PWCCA of shuffled pairs climb; `--profile real` for more units per layer; a
# public checkpoint, `--profile real --set "checkpoints={xlmr: xlm-roberta-base}"`.

# %% tags=["hide-input"]
run.finish()
