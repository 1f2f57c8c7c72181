# %% [markdown]
# (anc2022-fig6)=
# # Figure 6: causal models of five sizes
#
# **What the paper shows.** Five XGLM models, trained to predict the next token, draw the curve of the masked models of
# [Figure 5](fig5_mlm_scaling.ipynb): up from the embeddings, a peak of about the same height, down towards the output. So
# the shape needs no masked objective ([claims](#scoreboard-anc2022-fig6)).
#
# **What this page does.** At profile `paper` it measures those five checkpoints. Elsewhere a ladder of five small causal
# models trained here, *clm-1* to *clm-5*, stands in for them, on the text of Figure 5 and for as many steps and tokens. Four
# of them are as large as a masked model there, so that size and objective can be told apart.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
models = None  # some of them and of Figure 5's, such as ["clm-1", "mlm-1"]
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
    "anc2022.fig6", profile=profile, group="clm", seeds=seeds, pairs=pairs,
    n_parallel=n_parallel, models=models, checkpoints=checkpoints,
)  # fmt: skip
run.overview()

# %% [markdown]
# ## One pass per model
#
# Causal models are pooled as masked ones, which is what the authors' code does: the mean over all tokens, special ones
# included, of layer 0 (embeddings) to the last. The first tokens have seen next to nothing of the sentence, and still count.
# A second pass leaves the special tokens out. Models are loaded one after the other. A model that is spread over several GPUs has no untrained twin here.

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

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer of causal language models of growing size, mean and spread over language pairs: the paper's values beside those of this build and of the recorded runs, with the untrained models and shuffled pairs as baselines."}, "figure": {"name": "figure-anc2022-fig6", "caption": "Average neuron-wise correlation, mean over pairs with English; bands: one standard deviation over pairs. Sizes: parameters in this build. Dotted: the same model untrained. Grey: shuffled pairs."}}
columns = run.columns(reported=printed.as_records("anc2022", ["fig6"]))
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
# ## Size or objective?
#
# The masked ladder of Figure 5, measured once more beside the causal one. (Not where public models are shown: they differ in
# text and training as well, and the largest take hours.)

# %% tags=["hide-input"]
groups = {"causal": run.names}
if run.settings.trained and checkpoints is None:
    groups["masked"] = run.names_of("mlm")
    for seed in run.seeds:
        for name, model, _ in run.each(seed, group="mlm"):
            rows = xsim.compare(model, run.parallel, indices=("anc",), seed=seed)
            run.record(rows, model=name, seed=seed)
            about = [{"metric": m, "value": v} for m, v in sizes_of(model).items()]
            run.record(about, model=name, seed=seed)
            size[name] = about[0]["value"]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Highest ANC and the fall from there to the last layer against the number of parameters, causal and masked models of this build, trained and untrained."}, "figure": {"name": "figure-anc2022-fig6-size", "caption": "Highest value of the mean curve, and its fall to the last layer, against size. Filled: trained; open: untrained."}}
plots.use_style()
figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
for k, (objective, names) in enumerate(groups.items()):
    own = scaling.shapes(run.columns()[:1], "anc", names).droplevel(0)
    for axis, value in zip(axes, ("peak", "fall"), strict=True):
        for kind, face in (("trained", f"C{k}"), ("untrained", "white")):
            part = own[own.index.get_level_values(1) == kind][value]
            at = [size[name] for name in part.index.get_level_values(0)]
            label = f"{objective}, {kind}"
            axis.plot(at, part, "so"[k], color=f"C{k}", markerfacecolor=face, label=label)
        axis.set(xscale="log", xlabel="parameters", ylabel=f"ANC, {value}", ylim=(0, 1))
_ = axes[0].legend(fontsize=8)

# %% [markdown]
# ## Paper versus code
#
# The paper averages absolute correlations; the script that its instructions run averages the correlations themselves. And
# the mean over tokens includes the special ones. The highest value of the mean curve each way, and of shuffled pairs, which
# shows the floor of each index:

# %% tags=["hide-input"]
frame = run.records.frame.query("metric in ['anc', 'anc_signed'] and baseline != 'untrained'")
frame = frame[frame["model"].isin(run.names)]
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
# xsim run anc2022/fig6_clm_scaling --profile mini --seeds 3
# papermill notebooks/anc2022/fig6_clm_scaling.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set "checkpoints={small: facebook/xglm-564M}"` for a public model on this text, or a folder in its
# place; `--profile paper` for all five public models on the authors' sentences (the three largest in bfloat16, over all
# GPUs there are);
# `--set "pairs=[en-fr]"` for one pair.

# %% tags=["hide-input"]
run.finish()
