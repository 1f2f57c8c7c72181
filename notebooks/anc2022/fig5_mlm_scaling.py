# %% [markdown]
# (anc2022-fig5)=
# # Figure 5: masked models of four sizes
#
# **What the paper shows.** Four XLM-R models, from 270 million to 10.7 billion parameters, draw the same curve: ANC between
# English and other languages rises from the embeddings, peaks inside the network and falls towards the output. The peak is
# about as high in the smallest as in the largest ([claims](#scoreboard-anc2022-fig5)).
#
# **What this page does.** At profile `paper` it measures those four checkpoints. Elsewhere a ladder of four small encoders
# trained here, *mlm-1* to *mlm-4*, stands in for them: the same text, vocabulary, steps and tokens, only width and depth grow.
# [Figure 6](fig6_clm_scaling.ipynb) is the same ladder with a causal objective.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
models = None  # some of them, such as ["mlm-1"]
checkpoints = None  # public models instead: {"my model": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import matplotlib.pyplot as plt
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence import printed
from xsim_lib.figures import plots, scaling
from xsim_lib.models.architecture import sizes_of

run = xsim.start(
    "anc2022.fig5", profile=profile, group="mlm", seeds=seeds, pairs=pairs,
    n_parallel=n_parallel, models=models, checkpoints=checkpoints,
)  # fmt: skip
run.overview()

# %% [markdown]
# ## One pass per model
#
# Sentences are means over all tokens, special ones included, as in the authors' code; a second pass leaves the special
# tokens out. Models are loaded one after the other. A model that is spread over several GPUs has no untrained twin here.

# %% tags=["hide-input"]
poolings = {"": "mean", "without special tokens": "mean_words"}
for seed in run.seeds:
    for name, model, loss in run.each(seed):
        spread = run.settings.models[name].device == "auto"
        for variant, pooling in poolings.items():
            rows = xsim.compare(
                model, run.parallel, indices=("anc", "anc_signed"), pooling=pooling, seed=seed,
                baselines=("shuffled",) if spread else ("shuffled", "untrained"),
                truncate=run.settings.truncate,
            )  # fmt: skip
            run.record(rows.assign(variant=variant), model=name, seed=seed)
        about = sizes_of(model) | ({"loss": loss} if pd.notna(loss) else {})
        run.record([{"metric": m, "value": v} for m, v in about.items()], model=name, seed=seed)

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer of masked language models of growing size, mean and spread over language pairs: the paper's values beside those of this build and of the recorded runs, with the untrained models and shuffled pairs as baselines."}, "figure": {"name": "figure-anc2022-fig5", "caption": "Average neuron-wise correlation, mean over pairs with English; bands: one standard deviation over pairs. Sizes: parameters in this build. Dotted: the same model untrained. Grey: shuffled pairs."}}
columns = run.columns(reported=printed.as_records("anc2022", ["fig5"]))
size = {name: run.records.mean("n_parameters", model=name) for name in run.names}
notes = {name: f"here: {scaling.short(n)}" for name, n in size.items()}
figure = scaling.over_pairs(columns, "anc", run.names, label="ANC", notes=notes)

# %% [markdown]
# ## The shape in four numbers
#
# Where the mean curve peaks (0: embeddings, 1: last layer), how high, and how far it rises before and falls after.

# %% tags=["hide-input"]
shapes = scaling.shapes(columns, "anc", run.names)
shapes.round(2)

# %% [markdown]
# ## Does size matter?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Highest ANC and the fall from there to the last layer against the number of parameters, trained and untrained models of this build."}, "figure": {"name": "figure-anc2022-fig5-size", "caption": "Highest value of the mean curve, and its fall to the last layer, against size. Filled: trained; open: untrained."}}
plots.use_style()
figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
own = shapes.xs(columns[1].title.replace("\n", " "))
for axis, value in zip(axes, ("peak", "fall"), strict=True):
    for kind, face in (("trained", "C0"), ("untrained", "white")):
        part = own[own.index.get_level_values(1) == kind][value]
        at = [size[name] for name in part.index.get_level_values(0)]
        axis.plot(at, part, "o", color="C0", markerfacecolor=face, label=kind)
    axis.set(xscale="log", xlabel="parameters", ylabel=f"ANC, {value}", ylim=(0, 1))
_ = axes[0].legend()

# %% [markdown]
# ## Paper versus code
#
# The paper averages absolute correlations; the script that its instructions run averages the correlations themselves. And
# the mean over tokens includes the special ones. The highest value of the mean curve each way, and of shuffled pairs, which
# shows the floor of each index:

# %% tags=["hide-input"]
frame = run.records.frame.query("metric in ['anc', 'anc_signed'] and baseline != 'untrained'")
keys = ["model", "metric", "variant", "baseline"]
highest = frame.groupby([*keys, "layer"])["value"].mean().groupby(keys).max()
table = highest.unstack(["metric", "variant", "baseline"]).reindex(run.names).round(2)
table.rename(columns={"": "all tokens"}, level="variant").rename(
    columns={"": "measured"}, level="baseline"
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
# ## Re-run this page
#
# ```bash
# xsim run anc2022/fig5_mlm_scaling --profile mini --seeds 3
# papermill notebooks/anc2022/fig5_mlm_scaling.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set "checkpoints={base: xlm-roberta-base}"` for a public model on this text, or a folder in its place;
# `--profile paper` for all four public models on the authors' sentences (XL and XXL in bfloat16, over all GPUs there are);
# `--set "pairs=[en-fr]"` for one pair.

# %% tags=["hide-input"]
run.finish()
