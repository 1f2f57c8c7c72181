# %% [markdown]
# (anc2022-table2)=
# # Table 2: the models of the scaling study
#
# **What the paper shows.** Nine public models, four masked (XLM-R) and five causal (XGLM), with their layers, width, number of
# parameters and of pre-training languages. The abstract calls the largest 85 times the size of mBERT
# ([claims](#scoreboard-anc2022-table2)).
#
# **What this page does.** It holds the printed numbers against each other, since depth and width bound the number of
# parameters from below, and it lists the models that [Figure 5](fig5_mlm_scaling.ipynb) and
# [Figure 6](fig6_clm_scaling.ipynb) measure in this build: the public ones at profile `paper`, where only their
# configurations are read here, and small stand-ins elsewhere.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
models = None  # some of them, such as ["mlm-1", "clm-1"]
checkpoints = None  # public models instead: {"my model": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence import printed as reported
from xsim_lib.figures import scaling
from xsim_lib.models.architecture import sizes, sizes_of

run = xsim.start(
    "anc2022.table2",
    profile=profile,
    group="mlm",
    seeds=seeds,
    models=models,
    checkpoints=checkpoints,
)
run.overview()

# %% [markdown]
# ## What is printed, and what fits
#
# The blocks of a transformer with four-fold inner width have about 12 · layers · width² weights, embeddings not
# counted. A printed size below that number cannot be right, or the depth or the width is not.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
table = reported.read_printed("anc2022", "table2").pivot(
    index="series", columns="metric", values="value"
)
table = table.reindex(reported.read_printed("anc2022", "table2")["series"].unique())
table["blocks"] = 12 * table["n_layers"] * table["n_hidden_units"] ** 2
fits = table["blocks"] <= table["n_parameters"]
printed = pd.DataFrame(
    {
        "layers": table["n_layers"].astype(int),
        "width": table["n_hidden_units"].astype(int),
        "languages": table["n_pretraining_languages"].astype(int),
        "parameters": table["n_parameters"].map(scaling.short),
        "in the blocks": table["blocks"].map(scaling.short),
        "fits": fits.map({True: "yes", False: "no"}),
    }
)
printed.rename_axis(None)

# %% [markdown]
# Two cells of the printed table do not hold. XLM-R base is 768 units wide (758 cannot be shared by its 12 heads). And 48
# layers of width 4096 need 9.7 billion weights, twice what XGLM 4.5B is called after.
#
# ## How many times mBERT?

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
text = reported.read_printed("anc2022", "text")
mbert = text.query("series == 'mBERT' and metric == 'n_parameters'")["value"].iloc[0]
stated = text.query("metric == 'size_ratio'")["value"].iloc[0]
largest = table.loc["xlm-roberta-xxl", "n_parameters"]
compared = pd.DataFrame(
    {
        "parameters of XLM-R XXL": [scaling.short(largest)],
        "parameters of mBERT as printed": [scaling.short(mbert)],
        "ratio": [round(largest / mbert, 1)],
        "stated": [round(stated)],
        "mBERT for that ratio": [scaling.short(largest / stated)],
    },
    index=[""],
)
compared.transpose()

# %% [markdown]
# ## The models of this build
#
# Embeddings are counted, heads are not. Public models are not loaded for this.

# %% tags=["hide-input"]
seed = run.seeds[0]
names = [*run.names] if checkpoints else [*run.names, *run.names_of("clm")]
for name in names:
    scheme = run.settings.models[name]
    if scheme.checkpoint:
        found = sizes(scheme.checkpoint, revision=scheme.revision)
    else:
        found = sizes_of(run.checkpoint(name, seed).load())
    found["n_pretraining_languages"] = table["n_pretraining_languages"].get(name)
    if not scheme.checkpoint:
        found["n_pretraining_languages"] = len(run.settings.source_of(name).languages)
    rows = [{"metric": m, "value": v} for m, v in found.items() if v is not None]
    run.record(rows, model=name, seed=seed)
own = run.records.frame.pivot(index="model", columns="metric", values="value").reindex(names)
own = own.rename_axis(None).rename_axis(None, axis="columns").rename(columns=lambda c: c[2:])
own.assign(parameters=own["parameters"].map(scaling.short)).replace(float("nan"), "?")

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
# xsim run anc2022/table2_models --profile paper
# papermill notebooks/anc2022/table2_models.ipynb out.ipynb -p profile paper
# ```
#
# Worth trying: `--set "checkpoints={mBERT: bert-base-multilingual-cased}"`, which counts the parameters of a public model
# from its configuration alone (178 million, embeddings included, not the 110 million printed for it); `--profile real` for
# the stand-ins trained on real text; a folder in place of the hub name for a model of your own.

# %% tags=["hide-input"]
run.finish()
