# %% [markdown]
# (anc2022-fig3)=
# # Figure 3: ANC of two model families
#
# **What the paper shows.** In mBERT and in XLM-R base, ANC between English and five other languages rises from the
# embeddings to the middle of the network and falls mildly near the output: first align, then predict. The text says "about
# 0.7" for the most language-neutral layers; the languages lie closer together in XLM-R ([claims](#scoreboard-anc2022-fig3)).
#
# **What this page does.** At profile `paper` it measures those two checkpoints. Elsewhere two small encoders trained here
# stand in for them, *family-a* for mBERT and *family-b* for XLM-R: both read the same six languages; the one in mBERT's place has a vocabulary of
# its own and half the training. Five pairs, two pre-training recipes, one shape or not: that can be asked of them, the level
# cannot.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
models = None  # some of them, such as ["family-b"]
checkpoints = None  # public models instead: {"XLM-R": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence import printed
from xsim_lib.evidence.claims.measures import above_first, above_last, depth_of_peak
from xsim_lib.figures import plots
from xsim_lib.models.encoder import count_parameters

run = xsim.start(
    "anc2022.fig3", profile=profile, group="families", seeds=seeds, pairs=pairs,
    n_parallel=n_parallel, models=models, checkpoints=checkpoints,
)  # fmt: skip
run.overview()

# %% [markdown]
# ## Who stands under these names
#
# Sizes, and the held-out loss in nats per masked token where the model was trained here. Losses of different vocabularies
# cannot be compared with each other.

# %% tags=["hide-input"]
who = {}
for seed in run.seeds:
    for name, model, loss in run.each(seed):
        rows = xsim.compare(
            model, run.parallel, indices=("anc", "anc_signed", "cka"), partial_out=True, seed=seed,
            truncate=run.settings.truncate,
        )  # fmt: skip
        run.record(rows, model=name, seed=seed)
        if pd.notna(loss):  # a public model has none
            run.record([{"metric": "loss", "value": loss}], model=name, seed=seed)
        config = model.model.config
        who[name, f"seed {seed}"] = {
            "parameters": f"{count_parameters(model.model):,}",
            "layers": config.num_hidden_layers,
            "units": config.hidden_size,
            "vocabulary": config.vocab_size,
            "held-out loss": round(loss, 2),
        }
pd.DataFrame.from_dict(who, orient="index")

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer between English and five other languages for mBERT and XLM-R base or their stand-ins: the paper's values beside those of this build and of the recorded runs, with the untrained encoder and shuffled pairs as baselines."}, "figure": {"name": "figure-anc2022-fig3", "caption": "Average neuron-wise correlation (absolute) between English and its translations. Bands: one standard deviation over seeds, or the 95 % interval over sentences where there is one seed. Dotted: the same encoder untrained. Grey: shuffled pairs."}}
columns = run.columns(reported=printed.as_records("anc2022", ["fig3"]))
figure = plots.layers(columns, "anc", run.names, label="ANC")

# %% [markdown]
# ## Without length, punctuation and digits
#
# Translations are about equally long and share their digits; these covariates of both languages are regressed out here.

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer after regressing sentence length, punctuation and digits out of both sides, one row per model, with the same baselines."}, "figure": {"name": "figure-anc2022-fig3-partial", "caption": "As before, after regressing sentence length, punctuation and digits of both languages out of both sides."}}
figure = plots.layers(run.columns(), "anc", run.names, label="partial ANC", variant="partial")

# %% [markdown]
# ## First align, then predict?
#
# The shape of the mean curve over pairs: at which depth it peaks (0 are the embeddings, 1 is the last layer), how far it
# rises before and falls after. The untrained encoder shows what depth alone does; the peak of a flat curve means nothing.

# %% tags=["hide-input"]
shapes = {}
for column in columns:
    title = column.title.replace("\n", " ")
    for baseline in ("", "untrained"):
        wanted = column.records.frame.query("metric == 'anc' and variant == ''")
        for name in wanted.loc[wanted["baseline"] == baseline, "model"].unique():
            curve = column.records.curve("anc", model=name, baseline=baseline)
            shapes[title, name, baseline or "trained"] = {
                "depth of the peak": depth_of_peak(curve),
                "ANC at the peak": curve.max(),
                "rise": above_first(curve),
                "fall": above_last(curve),
            }
pd.DataFrame(shapes).T.round(2)

# %% [markdown]
# ## Which languages are closest
#
# Mean over all layers, and what training adds to the untrained encoder. In the artificial family the cause is known: fr
# is a sister of en, pl a cousin that borrows from fr, lt and lv are cousins without loans, et is unrelated.

# %% tags=["hide-input"]
order = {}
for column in columns:
    title = column.title.replace("\n", " ")
    frame = column.records.frame.query("metric == 'anc' and variant == ''")
    means = frame.groupby(["model", "baseline", "pair_or_language"])["value"].mean()
    for name in frame["model"].unique():
        order[title, name, "ANC"] = means[name, ""]
        if "untrained" in means[name].index:
            order[title, name, "gain"] = means[name, ""] - means[name, "untrained"]
pd.DataFrame(order).T.round(2)

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
# xsim run anc2022/fig3_anc_base_models --profile mini --seeds 3
# papermill notebooks/anc2022/fig3_anc_base_models.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--seeds 1 --seeds 2 --seeds 3` for the spread; `--set "pairs=[lt-lv, et-lv]"` for sisters and strangers without
# English; one public checkpoint on the sentences of the XNLI extension, `--profile paper --set n_parallel=1000 --set
# "checkpoints={bert-base-multilingual-cased: bert-base-multilingual-cased}"`.

# %% tags=["hide-input"]
run.finish()
