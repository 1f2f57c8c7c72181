# %% [markdown]
# (align2021-parsing)=
# # Parsing without a tree of the language
#
# **What the paper shows.** Multilingual BERT, fine-tuned to parse English only, also parses languages of which it has seen
# text but no tree: French best, German and Russian next, and half of the English score on average over the targets
# ([claims](#scoreboard-align2021-parsing)).
#
# **What this page does.** It fine-tunes one multilingual encoder on sentences of the source language and tests it on the
# others: a biaffine parser, and taggers of parts of speech and of entities. The control is the same encoder fine-tuned
# without pre-training: what it reaches elsewhere comes from what the languages share on the surface.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
sources = None  # languages to fine-tune in
tasks = None  # of parsing, pos, ner
checkpoints = None  # public models instead: {"mine": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import numpy as np
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence import printed as reported
from xsim_lib.models.encoder import untrained
from xsim_lib.papers.align2021 import transfer_figures
from xsim_lib.papers.align2021.tasks import transfer_task
from xsim_lib.tasks import transfer
from xsim_lib.tasks.attachment import attachment_scores
from xsim_lib.tasks.parsing import parse

run = xsim.start(
    "align2021.parsing", profile=profile, seeds=seeds, sources=sources, tasks=tasks,
    checkpoints=checkpoints,
)  # fmt: skip
settings = run.settings
run.overview()

# %% [markdown]
# ## Fine-tune on one language, test on all
#
# Points are LAS for parsing (universal relations, without punctuation), accuracy for parts of speech, span F1 for entities.
# "X" is the mean over all targets but the source.

# %% tags=["hide-input"]
models = {seed: run.models(seed) for seed in run.seeds}
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        for baseline, start in (("", model), ("untrained", untrained(model, seed))):
            for task in settings.tasks:
                for source in settings.sources:
                    rows = transfer.scores(
                        start, transfer_task(settings, task, source, seed), progress=False
                    )
                    run.record(rows, model=name, seed=seed, baseline=baseline)

# %% tags=["hide-input"]
paper = reported.as_records("align2021", ["parsing"])
columns = run.columns(reported=paper)
table = {}
for column in columns:
    frame = column.records.frame.query("baseline == '' and variant == ''")
    frame = frame[frame["metric"].isin(transfer.METRICS.values())]
    for (task, pair), part in frame.groupby(["task", "pair_or_language"], sort=False):
        mean, spread = part["value"].mean(), part["value"].std()
        text = f"{mean:.1f}" if np.isnan(spread) else f"{mean:.1f} ± {spread:.1f}"
        table.setdefault(column.title.replace("\n", " "), {})[task, pair] = text
pd.DataFrame(table).fillna("")

# %% [markdown]
# ## Target by target
#
# Languages in the order of their score. At `mini` the family is known: de, fr and es descend from the ancestor of en (en
# also borrows from fr), ru and bg are its cousins in another script, fi, et, hu and tr are unrelated in its script, ar is
# unrelated in another one.

# %% tags=["hide-input"] mystnb={"image": {"alt": "One panel per task: the score in every target language after fine-tuning on the source language, with intervals, beside the same encoder without pre-training and, for parsing, the numbers that the slides print."}, "figure": {"name": "figure-align2021-parsing", "caption": "Score by target language in this build. Filled: pre-trained, with the 95 % interval over sentences (one seed) or one standard deviation over seeds. Open: the same encoder fine-tuned without pre-training. Crosses: mBERT in the slides."}}
source, name = settings.sources[0], run.names[0]
frame = run.records.frame.query("model == @name and variant == ''")
frame = frame[frame["pair_or_language"].str.startswith(f"{source}-")]
printed = {"parsing": paper.frame.set_index("pair_or_language")["value"]}
figure = transfer_figures.scores_by_target(frame, settings.tasks, printed)

# %% [markdown]
# ## Which LAS
#
# The same parses, scored in two ways: without punctuation and symbols, as in the code of related papers, and every word, as
# the official scorer of Universal Dependencies does. A printed LAS means little without the convention; the slides do not
# name theirs. Words of sentences that are too long for the encoder count as wrong in both.

# %% tags=["hide-input"]
parsed = "parsing" in settings.tasks
for seed, chosen in models.items() if parsed else ():
    for name, (model, _) in chosen.items():
        task = transfer_task(settings, "parsing", source, seed)
        parser = transfer.fine_tuned(model, task, progress=False)
        for language, bank in task.tests.items():
            found = attachment_scores(bank, parse(parser, bank), punctuation=True)
            rows = [
                {
                    "metric": metric, "value": 100 * s.value, "lower": 100 * s.lower,
                    "upper": 100 * s.upper, "n": s.n,
                }
                for metric, s in found.items()
            ]  # fmt: skip
            run.record(
                rows, model=name, seed=seed, task="parsing", variant="with punctuation",
                pair_or_language=f"{source}-{language}",
            )  # fmt: skip
both = run.columns()[0 if parsed else -1].records  # else the recorded run
both = both.frame.query("task == 'parsing' and baseline == ''")
both = both[both["pair_or_language"].isin([f"{source}-{x}" for x in settings.tested("parsing")])]
both = both.assign(scored=both["variant"].replace("", "without punctuation"))
both.groupby(["pair_or_language", "metric", "scored"], sort=False)["value"].mean().unstack(
    [1, 2]
).round(1)

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
# xsim run align2021/parsing_transfer --profile mini --seeds 3
# papermill notebooks/align2021/parsing_transfer.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set "sources=[ar]"`, a source that nobody is related to; `--set "tasks=[parsing]"` for a third of the
# time; mBERT itself on real treebanks, `--profile real --set "checkpoints={mbert: bert-base-multilingual-cased}"`, on a GPU.

# %% tags=["hide-input"]
run.finish()
