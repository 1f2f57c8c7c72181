# %% [markdown]
# (align2021-spearman)=
# # Does similarity predict transfer?
#
# **What the paper shows.** Over 17 target languages, the more similar multilingual BERT's representations of a language are
# to those of English, the smaller the gap in its score: Spearman 0.76 for parsing, 0.74 for parts of speech, 0.47 for entities
# ([claims](#scoreboard-align2021-spearman)). A second figure, without numbers, has the same correlation layer by layer
# ([claims](#scoreboard-align2021-spearman-by-layer)).
#
# **What this page does.** It correlates the gap of every target with its similarity to the source in the encoder that was
# fine-tuned for the task, for CKA (the authors' Gaussian kernel, linear, debiased) and ANC, each with an interval. The
# control is the similarity inside an encoder that was never pre-trained: if it predicts the gaps as well, shared surface
# forms do, not what was learned.
#
# **The sign.** A gap is here the score in the target *minus* that in the source, so it is negative, and "more similar, less
# lost" is a positive correlation, as the slides print it. With source minus target all signs turn round.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
tasks = None  # of parsing, pos, ner
checkpoints = None  # public models instead: {"mine": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import xsim_lib as xsim
from xsim_lib import kernels, plots, reported, transfer
from xsim_lib.models import untrained

options = {
    "profile": profile, "seeds": seeds, "pairs": pairs, "n_parallel": n_parallel, "tasks": tasks,
    "checkpoints": checkpoints,
}  # fmt: skip
run = xsim.start("align2021.spearman", **options)
by_layer = xsim.start("align2021.spearman_by_layer", **options)
settings, source, cut = run.settings, run.settings.sources[0], run.settings.truncate
run.overview()

# %% [markdown]
# ## Gaps and similarities
#
# A similarity is the mean over all layers, embeddings included; the slides do not say which layers they average.
# Languages without test sentences for a task (entities, on real text) are left out there.

# %% tags=["hide-input"]
indices = {
    "cka_rbf": "CKA, Gaussian",
    "cka": "CKA, linear",
    "cka_debiased": "CKA, debiased",
    "anc": "ANC",
}


def similarities(encoder, seed):
    """Rows of every index, pair and layer."""
    plain = xsim.compare(
        encoder, run.parallel, indices=("cka", "cka_debiased", "anc"), baselines=(), seed=seed,
        truncate=cut, progress=False,
    )  # fmt: skip
    kernel = kernels.rbf_rows(
        encoder, run.parallel, baselines=(), blocks=0, seed=seed, truncate=cut
    )
    return pd.concat([plain, kernel[kernel["metric"] == "cka_rbf"]])


layers = []
models = {seed: run.models(seed) for seed in run.seeds}
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        fresh = similarities(untrained(model, seed), seed)
        for task in settings.tasks:
            about = {"model": name, "seed": seed, "task": task}
            wanted = settings.task(task, source, seed)
            scores = transfer.scores(model, wanted, progress=False)
            gap = transfer.gaps(scores, wanted.metric, source)
            run.record(scores, **about)
            run.record(gap, **about)
            tuned = transfer.fine_tuned(model, wanted, progress=False).words.loaded
            for kind, rows in (("", similarities(tuned, seed)), ("untrained", fresh)):
                rows = rows[rows["pair_or_language"].isin(gap["pair_or_language"])]
                layers.append(rows.assign(baseline=kind, **about))
                mean = rows.groupby(["metric", "pair_or_language"], as_index=False)["value"].mean()
                run.record(mean, baseline=kind, **about)
layers = pd.concat(layers)

# %% [markdown]
# ## The correlation
#
# Intervals are bootstrapped over languages: how far the correlation hangs on which languages happen to be there.

# %% tags=["hide-input"]
gap_of = run.records.frame[run.records.frame["metric"].str.startswith("gap_")].set_index(
    ["model", "seed", "task", "pair_or_language"]
)["value"]


def correlate(rows):
    """Spearman's correlation of the similarities in `rows` with the gaps of the same run."""
    place = ["model", "seed", "task", "pair_or_language"]
    found = transfer.rank_correlation(gap_of[pd.MultiIndex.from_frame(rows[place])], rows["value"])
    ends = {"value": found.estimate, "lower": found.lower, "upper": found.upper}
    return pd.Series({**ends, "n": len(rows)})


keys = ["model", "seed", "task", "metric", "baseline"]
means = run.records.frame[run.records.frame["metric"].isin(indices)]
for (name, seed, task, index, kind), rows in means.groupby(keys, sort=False):
    run.record(
        [{"metric": "spearman", **correlate(rows)}], model=name, seed=seed, task=task,
        baseline=kind, variant="" if index == "cka_rbf" else index,
    )  # fmt: skip
found = run.records.frame.query("metric == 'spearman'")
found = found.assign(
    similarity=found["variant"].replace("", "cka_rbf").map(indices)
    + found["baseline"].map({"": "", "untrained": " (untrained)"})
)
by = found.groupby(["similarity", "task"], sort=False)[["value", "lower", "upper"]].mean()
shown = by.apply(
    lambda r: f"{r['value']:.2f} [{r['lower']:.2f}, {r['upper']:.2f}]", axis=1
).unstack()
paper = reported.as_records("align2021", ["spearman"]).frame.set_index("task")["value"]
shown.loc["mBERT, CKA (slides)"] = {task: f"{paper[task]:.2f}" for task in shown.columns}
shown.rename_axis(index=None)

# %% [markdown]
# ## Language by language

# %% tags=["hide-input"] mystnb={"image": {"alt": "A grid of scatter plots, tasks in rows, CKA with a Gaussian kernel and ANC in columns: the gap of every target language against its similarity to the source after fine-tuning, with the interval of the gap; hollow points for an encoder that was not pre-trained."}, "figure": {"name": "figure-align2021-spearman", "caption": "Gap (target minus source) against similarity (mean over layers) in this build. Filled: the fine-tuned encoder; hollow: similarity in an encoder that was not pre-trained, same gaps. Bars: 95 % interval of the gap over sentences, or one standard deviation over seeds."}}
plots.use_style()
name, drawn = run.names[0], ("cka_rbf", "anc")
figure, axes = plt.subplots(
    len(settings.tasks), len(drawn), figsize=(7.6, 2.7 * len(settings.tasks)), squeeze=False,
    sharey="row", layout="constrained",
)  # fmt: skip
frame = run.records.frame.query("model == @name")
for row, task in zip(axes, settings.tasks, strict=True):
    own = frame[frame["task"] == task]
    gap = own[own["metric"].str.startswith("gap_")].groupby("pair_or_language")
    y = gap["value"].mean()
    if len(run.seeds) > 1:
        error = np.array([gap["value"].std()] * 2)
    else:
        error = np.array([y - gap["lower"].mean(), gap["upper"].mean() - y])
    for axis, index in zip(row, drawn, strict=True):
        for kind in ("", "untrained"):
            x = own.query("metric == @index and baseline == @kind")
            x = x.groupby("pair_or_language")["value"].mean()[y.index]
            axis.errorbar(
                x, y, yerr=None if kind else error, fmt="o", color="C0", markersize=4, linewidth=0.8,
                mfc="white" if kind else "C0",
            )  # fmt: skip
            if not kind:
                for pair in y.index:
                    axis.annotate(
                        pair.split("-", 1)[1], (x[pair], y[pair]), (3, 3), fontsize=8,
                        textcoords="offset points",
                    )  # fmt: skip
        axis.set(xlabel=indices[index] if axis in axes[-1] else "")
    row[0].set_ylabel(f"{task}: gap in points")

# %% [markdown]
# ## Layer by layer

# %% tags=["hide-input"] mystnb={"image": {"alt": "One panel per task: Spearman's correlation between gap and similarity at every layer, for CKA with a Gaussian kernel, linear, debiased CKA and ANC, with a bootstrap interval for the first, and for an encoder that was not pre-trained."}, "figure": {"name": "figure-align2021-spearman-by-layer", "caption": "Correlation between gap and similarity, layer by layer, in this build. Band: of the Gaussian kernel, the 95 % interval over languages (one seed) or one standard deviation over seeds. Dotted: similarity in an encoder that was not pre-trained."}}
for seed in run.seeds:
    by_layer.models(seed)  # its records stand on the same models
for (name, seed, task, index, kind, layer), rows in layers.groupby([*keys, "layer"], sort=False):
    by_layer.record(
        [{"metric": "spearman", **correlate(rows)}], model=name, seed=seed, task=task,
        baseline=kind, variant="" if index == "cka_rbf" else index, layer=layer,
        n_layers=rows["n_layers"].iloc[0],
    )  # fmt: skip
figure, axes = plt.subplots(
    1, len(settings.tasks), figsize=(3.1 * len(settings.tasks), 3.3), squeeze=False, sharey=True,
    layout="constrained",
)  # fmt: skip
name = run.names[0]
for axis, task in zip(axes[0], settings.tasks, strict=True):
    for k, (index, label) in enumerate(indices.items()):
        variant = "" if index == "cka_rbf" else index
        for kind in ("", "untrained"):
            chosen = {"variant": variant, "baseline": kind, "model": name, "task": task}
            curve = by_layer.records.curve("spearman", **chosen)
            axis.plot(
                curve.index, curve, ":" if kind else "-", color=f"C{k}", linewidth=1.2,
                label=None if kind else label,
            )  # fmt: skip
            if variant or kind:
                continue
            by = by_layer.records.select(metric="spearman", **chosen).frame.groupby("layer")
            if len(run.seeds) > 1:
                ends = curve - by["value"].std(), curve + by["value"].std()
            else:
                ends = by["lower"].mean(), by["upper"].mean()
            low, high = (end.to_numpy(dtype=float) for end in ends)
            axis.fill_between(curve.index, low, high, color="C0", alpha=0.15, linewidth=0)
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.set(title=task, xlabel="layer", ylim=(-1, 1))
axes[0, 0].set_ylabel("Spearman's correlation")
_ = figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)

# %% [markdown]
# ## Verdicts
#
# About the mean over layers, then about the curves. They stand on this many values of each metric.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
run.coverage()

# %% tags=["hide-input"]
run.verdicts()

# %% tags=["hide-input"]
by_layer.verdicts()

# %% [markdown]
# ## Re-run this page
#
# ```bash
# xsim run align2021/similarity_vs_gap --profile mini --seeds 3
# papermill notebooks/align2021/similarity_vs_gap.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--seeds 1 --seeds 2 --seeds 3`, since one seed's correlation over ten languages is uncertain; `--set
# n_parallel=100`, where the bias of CKA grows; mBERT itself with the slides' kind of targets, `--profile paper`, on a GPU.

# %% tags=["hide-input"]
footers = {"the mean over layers": run.finish(), "by layer": by_layer.finish()}
pd.concat(footers, axis=1).droplevel(1, axis=1)
