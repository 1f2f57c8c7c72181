# %% [markdown]
# (align2021-scaling)=
# # Does transfer grow with the model?
#
# **What the paper shows.** An outlook: XLM-R answers questions in other languages better (MLQA) the more parameters it has
# ([claims](#scoreboard-align2021-scaling)).
#
# **What this page does.** A ladder of four encoders with the same text, vocabulary, steps and tokens; only width and depth
# grow. Each is fine-tuned on English trees and tags and read in the other languages, with the same architecture without
# pre-training beside it. That is neither question answering nor XLM-R, so the claim itself cannot be decided here: its
# verdict says so and gives the numbers of the ladder. At profile `paper` the ladder is XLM-R base, large and XL.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
tasks = None  # of parsing, pos
models = None  # some of them, such as ["size-1"]
scaling = None  # changes of the profile's settings, such as {"train": 200, "test": 500}
checkpoints = None  # public models instead: {"base": "a hub name or a folder", ...}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import pandas as pd

import xsim_lib as xsim
from xsim_lib.models.architecture import sizes_of
from xsim_lib.models.encoder import untrained
from xsim_lib.papers.align2021 import transfer_figures
from xsim_lib.papers.align2021.tasks import transfer_task
from xsim_lib.tasks import transfer

run = xsim.start(
    "align2021.scaling", profile=profile, seeds=seeds, group="scaling", tasks=tasks, models=models,
    scaling=scaling, checkpoints=checkpoints,
)  # fmt: skip
source = run.settings.sources[0]
tasks = [task for task in ("parsing", "pos") if task in run.settings.tasks]
run.overview()

# %% [markdown]
# ## From one language to the others
#
# Fine-tuning is the same for every size. Its learning rate and length were chosen for the largest model of the ladder.

# %% tags=["hide-input"]
for seed in run.seeds:
    for name, model, loss in run.each(seed):
        about = {"parameters": sizes_of(model)["n_parameters"]}
        about |= {"loss": loss} if pd.notna(loss) else {}
        run.record([{"metric": m, "value": v} for m, v in about.items()], model=name, seed=seed)
        for baseline, start in (("", model), ("untrained", untrained(model, seed))):
            for task in tasks:
                wanted = transfer_task(run.settings, task, source, seed, scaling=True)
                rows = transfer.scores(start, wanted, keep=False, progress=False)
                run.record(rows, model=name, seed=seed, baseline=baseline)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Score in the source language and mean score in the other languages against the number of parameters, pre-trained and not pre-trained, for parsing and tagging, in this build and the recorded runs."}, "figure": {"name": "figure-align2021-scaling", "caption": "Score against size. Bars: the 95 % interval over sentences (one seed) or one standard deviation over seeds. Hollow: the same architecture without pre-training. The difference between filled and hollow is what pre-training adds."}}
figure = transfer_figures.scores_by_size(run.columns(), tasks, source)

# %% [markdown]
# ## Size by size
#
# "Gain" is the mean over the other languages minus that of the same architecture without pre-training.

# %% tags=["hide-input"]
table = {}
for name in run.names:
    row = {"parameters": f"{run.records.mean('parameters', model=name):,.0f}"}
    if name in run.settings.trained:
        row["held-out loss"] = f"{run.records.mean('loss', model=name):.2f}"
    for task in tasks:
        metric = transfer.METRICS[task]
        here, there, bare = (
            run.records.mean(metric, model=name, pair_or_language=pair, baseline=kind)
            for pair, kind in (
                (f"{source}-{source}", ""),
                (f"{source}-X", ""),
                (f"{source}-X", "untrained"),
            )
        )
        row |= {f"{task}: {source}": f"{here:.1f}", f"{task}: others": f"{there:.1f}"}
        row[f"{task}: gain"] = f"{there - bare:+.1f}"
    table[name] = row
pd.DataFrame(table).transpose()

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
# xsim run align2021/scaling --profile mini --seeds 3
# papermill notebooks/align2021/scaling.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--seeds 1 --seeds 2 --seeds 3`, since neighbouring sizes differ by less than seeds do; `--set
# "scaling={train: 200}"`, fewer trees; a public ladder on real text, `--profile real --set "checkpoints={base:
# xlm-roberta-base, large: xlm-roberta-large}"`, on a GPU.

# %% tags=["hide-input"]
run.finish()
