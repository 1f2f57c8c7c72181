# %% [markdown]
# (align2021-cka)=
# # Similarity of two languages, before and after fine-tuning
#
# **What the paper shows.** CKA between English sentences and their German translations rises over the lower layers of
# multilingual BERT and falls towards the top. Fine-tuning on English leaves the lower part as it was
# ([claims](#scoreboard-align2021-cka)). The slides show the figure without numbers.
#
# **What this page does.** It measures CKA with the authors' kernel (Gaussian, its width the median distance), linear CKA and
# ANC on parallel sentences, before fine-tuning and after each task, with an encoder that was never pre-trained and with
# shuffled pairs as baselines. Then it looks at what the authors' batches do to the number.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = ["en-de", "en-ru", "en-tr"]
n_parallel = None
tasks = None  # of parsing, pos, ner
checkpoints = None  # public models instead: {"mine": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import xsim_lib as xsim
from xsim_lib.figures import plots
from xsim_lib.models.encoder import untrained
from xsim_lib.papers.align2021 import kernel_cka, transfer_figures
from xsim_lib.papers.align2021.tasks import transfer_task
from xsim_lib.reading.sentences import encode
from xsim_lib.tasks import transfer

run = xsim.start(
    "align2021.cka", profile=profile, seeds=seeds, pairs=pairs, n_parallel=n_parallel, tasks=tasks,
    checkpoints=checkpoints,
)  # fmt: skip
settings, source, cut = run.settings, run.settings.sources[0], run.settings.truncate
run.overview()

# %% [markdown]
# ## Measure, fine-tune, measure again
#
# The fine-tuned encoders are those of the [first page](parsing_transfer.ipynb). Their baseline is an encoder without
# pre-training that was fine-tuned in the same way: what it gains, the task gives to anyone.

# %% tags=["hide-input"]
stages = ["", *(f"fine-tuned {task}" for task in settings.tasks)]
models = {seed: run.models(seed) for seed in run.seeds}
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        for baseline, start in (("", model), ("untrained", untrained(model, seed))):
            encoders = {"": start}
            for task in settings.tasks:
                tuned = transfer.fine_tuned(
                    start, transfer_task(settings, task, source, seed), progress=False
                )
                encoders[f"fine-tuned {task}"] = tuned.words.loaded
            for stage, encoder in encoders.items():
                floor = () if baseline else ("shuffled", "length_matched")
                options = {"baselines": floor, "seed": seed, "truncate": cut}
                measured = (
                    xsim.compare(
                        encoder, run.parallel, indices=("cka", "cka_debiased", "anc"),
                        progress=False, **options,
                    ),
                    kernel_cka.rbf_rows(encoder, run.parallel, **options),
                )  # fmt: skip
                for rows in measured:
                    kind = {"baseline": baseline} if baseline else {}
                    run.record(rows, model=name, seed=seed, variant=stage, **kind)

# %% [markdown]
# ## Before and after
#
# The first pair. The claims are about the first panel; the debiased panels are what is left of it when the bias of small
# samples is taken out, and the shuffled pairs show how large that bias is.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five panels, one per index (CKA with a Gaussian kernel, the same debiased, linear CKA, the same debiased, ANC): similarity of the first pair of languages per layer before fine-tuning and after each task, with an encoder that was not pre-trained and shuffled pairs as baselines."}, "figure": {"name": "figure-align2021-cka", "caption": "Similarity by layer of the first pair of languages in this build. Bands: one standard deviation over seeds, or the 95 % interval over sentences where there is one seed. Dotted: not pre-trained, before and after the same fine-tuning. Grey: shuffled pairs, before fine-tuning."}}
panels = {
    "cka_rbf": "CKA, Gaussian kernel",
    "cka_rbf_debiased": "the same, debiased",
    "cka": "CKA, linear",
    "cka_debiased": "the same, debiased",
    "anc": "ANC",
}
pair, name = run.pairs[0], run.names[0]
frame = run.records.frame.query("pair_or_language == @pair and model == @name")
figure = transfer_figures.stage_curves(frame, panels, stages, label=f"similarity, {pair}")

# %% [markdown]
# ## Other pairs
#
# The authors' index before fine-tuning, in this build and in the recorded runs.

# %% tags=["hide-input"] mystnb={"image": {"alt": "CKA with a Gaussian kernel per layer for several pairs of languages in this build and the recorded runs, with the untrained encoder and shuffled pairs as baselines."}, "figure": {"name": "figure-align2021-cka-pairs", "caption": "CKA with a Gaussian kernel before fine-tuning. Bands: one standard deviation over seeds, or the 95 % interval over sentences where there is one seed. Dotted: the same encoder untrained. Grey: shuffled pairs."}}
figure = plots.layers(run.columns(), "cka_rbf", run.names, label="CKA, Gaussian")

# %% [markdown]
# ## How much fine-tuning moves
#
# Largest change over the layers 1 to 8 of the paper's twelve, all pairs, mean over seeds. The claim allows 0.1.

# %% tags=["hide-input"]
table = {}
for metric in panels:
    for p in run.pairs:
        for kind in ("", "untrained"):
            lower = run.records.select(pair_or_language=p, model=name).layers((1, 8))
            curves = {s: lower.curve(metric, variant=s, baseline=kind) for s in stages}
            row = {s: (curves[s] - curves[""]).abs().max() for s in stages[1:]}
            table[metric, p, kind or "pre-trained"] = row
pd.DataFrame(table).T.round(2)

# %% [markdown]
# ## The authors' batches
#
# Their code averages CKA over four batches, and batch *i* starts at sentence *i*: the four share all but three sentences.
# So their standard deviation says how much one sentence matters, not how much the choice of sentences does. And
# biased CKA of few sentences is high whatever they are. Below: the first pair at a middle layer, batches of three sizes
# cut in their way or without a sentence in common.

# %% tags=["hide-input"]
model, _ = models[run.seeds[0]][name]
corpus = run.parallel[pair]
x, y = (encode(model, corpus[language], truncate=cut) for language in pair.split("-"))
middle = (len(x) - 1) // 2
n = x.shape[1]
sizes = [max(5, n // parts) for parts in (20, 8, 4)]
order = np.roll(np.arange(n), 1)
cuttings = {
    "authors' batches": kernel_cka.authors_batches,
    "separate batches": kernel_cka.separate_batches,
}
batched = {}  # (cutting, debiased, shuffled) -> the values of the batches of every size
for cutting, debiased, shuffle in product(cuttings, (False, True), (False, True)):
    other = y[middle][order] if shuffle else y[middle]
    batches = map(cuttings[cutting], sizes)
    found = [kernel_cka.in_batches(x[middle], other, b, debiased=debiased) for b in batches]
    batched[cutting, debiased, shuffle] = found
    variant = f"{cutting}{', shuffled' if shuffle else ''}"
    metric = "cka_rbf_debiased" if debiased else "cka_rbf"
    rows = [
        {
            "metric": f"{metric}_batches_{what}", "value": getattr(f, what)(), "n": size,
            "layer": middle, "n_layers": len(x) - 1, "variant": f"{variant}, {size} sentences",
        }
        for size, f in zip(sizes, found, strict=True)
        for what in ("mean", "std")
    ]  # fmt: skip
    run.record(rows, model=name, seed=run.seeds[0], pair_or_language=pair)

# %% tags=["hide-input"] mystnb={"image": {"alt": "CKA with a Gaussian kernel at a middle layer against the size of the batches, cut as in the authors' code and without common sentences, for right and for shuffled pairs, biased and debiased; the value of all sentences as lines."}, "figure": {"name": "figure-align2021-cka-batches", "caption": "Mean over four batches and one standard deviation, first pair, middle layer, first seed. Filled: right pairs; open: shuffled pairs. Lines: all sentences at once, biased (solid) and debiased (dashed)."}}
figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (cutting, debiased, shuffle), found in batched.items():
    k = list(cuttings).index(cutting)
    label = f"{cutting}{', debiased' if debiased else ''}"
    axis.errorbar(
        np.array(sizes) * (1 + 0.04 * (2 * k + debiased)), [f.mean() for f in found],
        yerr=[f.std(ddof=1) for f in found], fmt="s" if debiased else "o", capsize=2,
        color=f"C{k}", mfc="white" if shuffle else f"C{k}", label=None if shuffle else label,
    )  # fmt: skip
for metric, style in (("cka_rbf", "-"), ("cka_rbf_debiased", "--")):
    whole = run.records.curve(metric, model=name, pair_or_language=pair, seed=run.seeds[0])[middle]
    axis.axhline(whole, color="0.4", linestyle=style, linewidth=1)
axis.axhline(0, color="0.8", linewidth=0.8)
axis.set(xscale="log", xlabel="sentences per batch", ylabel=f"CKA, Gaussian, {pair}")
axis.set_xticks(sizes, sizes)
axis.minorticks_off()
_ = figure.legend(fontsize=8, loc="outside right upper")

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
# xsim run align2021/cka_fine_tuning --profile mini --seeds 3
# papermill notebooks/align2021/cka_fine_tuning.ipynb out.ipynb -p profile mini -y "pairs: [en-fr]"
# ```
#
# Worth trying: `--set n_parallel=100`, where the bias of CKA is larger; `--set "pairs=[fi-et]"`, two languages of which
# neither was fine-tuned on; mBERT itself on the parallel treebanks, `--profile paper`, on a GPU.

# %% tags=["hide-input"]
run.finish()
