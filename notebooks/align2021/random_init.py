# %% [markdown]
# (align2021-randominit)=
# # RANDOM-INIT: which layers carry the transfer
#
# **What the paper shows.** Two neighbouring layers of multilingual BERT get random weights before it is fine-tuned to parse
# one language. Parsing that language hardly suffers, whichever layers they were. Parsing other languages suffers much
# from losing the lowest layers, less from the middle ones, and not at all from the highest
# ([claims](#scoreboard-align2021-randominit)).
#
# **What this page does.** The same, for parsing, parts of speech and entities, with the same encoder as the
# [previous page](parsing_transfer.ipynb). Layers are drawn as BERT draws its first weights; for parsing in the first source
# language also as the framework draws them by default, which is what the authors' code did. The largest loss there can
# be stands beside: an encoder without any pre-training.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
sources = None  # languages to fine-tune in; recorded runs take en, ru and ar
tasks = None  # of parsing, pos, ner
layers = None  # some of the pairs of layers, such as ["layers 1-2"]
checkpoints = None  # public models instead: {"mine": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import pandas as pd
from tqdm import tqdm

import xsim_lib as xsim
from xsim_lib.evidence import printed as reported
from xsim_lib.models.encoder import untrained
from xsim_lib.papers.align2021 import measures, transfer_figures
from xsim_lib.papers.align2021.tasks import transfer_task
from xsim_lib.tasks import transfer

run = xsim.start(
    "align2021.randominit", profile=profile, seeds=seeds, sources=sources, tasks=tasks,
    checkpoints=checkpoints,
)  # fmt: skip
settings = run.settings
run.overview()

# %% [markdown]
# ## Reset, fine-tune, read
#
# For every task and source: the reference, the encoder without pre-training, and one encoder for every pair of layers.
# Exactly these layers are changed, which is checked weight by weight. Everything else, the order of the sentences included,
# is the same. Networks of other depth have other pairs; the claims translate them to the paper's twelve layers.

# %% tags=["hide-input"]
models = {seed: run.models(seed) for seed in run.seeds}
steps = [(t, s) for s in settings.sources for t in settings.tasks]
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        pairs = measures.layer_pairs(model)
        about = {"model": name, "seed": seed, "n_layers": 2 * len(pairs)}
        chosen_pairs = {k: pairs[k] for k in pairs if layers is None or k in layers}
        for task_name, source in tqdm(steps, desc=f"{name}, seed {seed}", unit="task"):
            task = transfer_task(settings, task_name, source, seed)
            before = transfer.scores(model, task, progress=False)
            nothing = transfer.scores(untrained(model, seed), task, progress=False)
            run.record(before, **about)
            run.record(nothing, baseline="untrained", **about)
            lost = measures.score_changes(nothing, before, task.metric)
            run.record(lost, baseline="untrained", **about)
            both = task_name == "parsing" and source == settings.sources[0]
            for kind in ("bert", "framework") if both else ("bert",):
                for group, place in chosen_pairs.items():
                    start = measures.reset(model, place, initialisation=kind, seed=seed)
                    after = transfer.scores(start, task, keep=False, progress=False)
                    delta = measures.score_changes(after, before, task.metric)
                    if kind == "framework":  # a metric of its own: claims are about the other one
                        delta["metric"] += "_framework"
                    run.record(delta, variant=group, **about)

# %% [markdown]
# ## The table
#
# REF is the score without a reset, in points; the other columns are changes. "X" is the mean over all other targets; the
# last column is the change if nothing had been pre-trained. Means over seeds.

# %% tags=["hide-input"]
name = run.names[0]
frame = run.records.frame.query("model == @name")
targets = [f"{s}-{t}" for s in settings.sources for t in (s, transfer.MEAN)]
groups = [v for v in frame["variant"].unique() if v]
table = {}
for task in settings.tasks:
    metric = transfer.METRICS[task]
    for pair in targets:
        own = frame.query("task == @task and pair_or_language == @pair")
        cell = own.groupby(["metric", "baseline", "variant"])["value"].mean()
        row = {"REF": cell[metric, "", ""]}
        row |= {g: cell[f"delta_{metric}", "", g] for g in groups}
        row["all (not pre-trained)"] = cell[f"delta_{metric}", "untrained", ""]
        table[task, pair] = row
pd.DataFrame(table).T.round(2)

# %% [markdown]
# The paper's table, parsing with mBERT (12 layers):

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
paper = reported.as_records("align2021", ["randominit"])
shown = paper.frame.assign(group=paper.frame["variant"].replace("", "REF"))
shown.pivot_table(index="pair_or_language", columns="group", values="value", sort=False).round(2)

# %% [markdown]
# ## Same language against other languages
#
# The first source language. A layer is *critical for transfer* if the two curves part there. Depth is relative, so that
# networks of six and twelve layers can be compared.

# %% tags=["hide-input"] mystnb={"image": {"alt": "One panel per task: the change of the score after re-initialising two layers, against their depth, for the source language and for the mean over the other languages, with intervals; the loss without any pre-training as horizontal lines; the paper's values for parsing."}, "figure": {"name": "figure-align2021-randominit", "caption": "What re-initialising two layers changes, in this build. Bars: one standard deviation over seeds or, with one seed, the 95 % interval over sentences (both scores taken as independent). Dashed: the same difference for an encoder that was not pre-trained at all. Crosses: mBERT in the slides. Open: the framework's default weights instead of BERT's."}}
source = settings.sources[0]
printed = {"parsing": paper.frame}
figure = transfer_figures.reset_curves(frame, settings.tasks, source, printed)

# %% [markdown]
# ## Verdicts
#
# They are about parsing, as the paper's table is, and stand on this many values of each metric.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
run.coverage()

# %% tags=["hide-input"]
run.verdicts()

# %% [markdown]
# ## Paper versus code
#
# - The paper resets layers to the weights a model starts with; the authors' code builds new layers and leaves them with the
#   framework's default: uniform matrices, and biases that are not zero. Both are measured above.
# - In the authors' code a pattern that names no layer changes nothing, silently. Here it is an error.
# - The chapter's encoder reads words as several pieces, and that matters. In trials where every word was one piece of the
#   vocabulary, no pair of layers stood out: the embeddings seem to carry the alignment, and there was
#   nothing for the lower layers to put together.
#
# ## Re-run this page
#
# ```bash
# xsim run align2021/random_init --profile mini --seeds 3
# papermill notebooks/align2021/random_init.ipynb out.ipynb -p profile mini -y "sources: [en, ru, ar]"
# ```
#
# Worth trying: `--set "sources=[en, ru, ar]"`, as in the paper, in three times the time; `--set "tasks=[parsing]"`; mBERT
# itself with all its six pairs, `--profile paper`, on a GPU.

# %% tags=["hide-input"]
run.finish()
