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
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence import printed
from xsim_lib.models.encoder import untrained
from xsim_lib.papers.align2021 import kernel_cka, measures, transfer_figures
from xsim_lib.papers.align2021.tasks import transfer_task
from xsim_lib.tasks import transfer

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
    kernel = kernel_cka.rbf_rows(
        encoder, run.parallel, baselines=(), blocks=0, seed=seed, truncate=cut
    )
    return pd.concat([plain, kernel[kernel["metric"] == "cka_rbf"]])


# %% tags=["hide-input"]
layers = []
models = {seed: run.models(seed) for seed in run.seeds}
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        fresh = similarities(untrained(model, seed), seed)
        for task in settings.tasks:
            about = {"model": name, "seed": seed, "task": task}
            wanted = transfer_task(settings, task, source, seed)
            scores = transfer.scores(model, wanted, progress=False)
            gap = measures.gaps(scores, wanted.metric, source)
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
    found = measures.rank_correlation(gap_of[pd.MultiIndex.from_frame(rows[place])], rows["value"])
    ends = {"value": found.estimate, "lower": found.lower, "upper": found.upper}
    return pd.Series({**ends, "n": len(rows)})


keys = ["model", "seed", "task", "metric", "baseline"]
means = run.records.frame[run.records.frame["metric"].isin(indices)]
for (name, seed, task, index, kind), rows in means.groupby(keys, sort=False):
    run.record(
        [{"metric": "spearman", **correlate(rows)}], model=name, seed=seed, task=task,
        baseline=kind, variant="" if index == "cka_rbf" else index,
    )  # fmt: skip

# %% tags=["hide-input"]
found = run.records.frame.query("metric == 'spearman'")
found = found.assign(
    similarity=found["variant"].replace("", "cka_rbf").map(indices)
    + found["baseline"].map({"": "", "untrained": " (untrained)"})
)
by = found.groupby(["similarity", "task"], sort=False)[["value", "lower", "upper"]].mean()
shown = by.apply(
    lambda r: f"{r['value']:.2f} [{r['lower']:.2f}, {r['upper']:.2f}]", axis=1
).unstack()
paper = printed.as_records("align2021", ["spearman"]).frame.set_index("task")["value"]
shown.loc["mBERT, CKA (slides)"] = {task: f"{paper[task]:.2f}" for task in shown.columns}
shown.rename_axis(index=None)

# %% [markdown]
# ## Language by language

# %% tags=["hide-input"] mystnb={"image": {"alt": "A grid of scatter plots, tasks in rows, CKA with a Gaussian kernel and ANC in columns: the gap of every target language against its similarity to the source after fine-tuning, with the interval of the gap; hollow points for an encoder that was not pre-trained."}, "figure": {"name": "figure-align2021-spearman", "caption": "Gap (target minus source) against similarity (mean over layers) in this build. Filled: the fine-tuned encoder; hollow: similarity in an encoder that was not pre-trained, same gaps. Bars: 95 % interval of the gap over sentences, or one standard deviation over seeds."}}
name = run.names[0]
frame = run.records.frame.query("model == @name")
drawn = {index: indices[index] for index in ("cka_rbf", "anc")}
figure = transfer_figures.gap_scatter(frame, settings.tasks, drawn)

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
figure = transfer_figures.correlation_curves(
    by_layer.records, settings.tasks, indices, model=run.names[0]
)

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
