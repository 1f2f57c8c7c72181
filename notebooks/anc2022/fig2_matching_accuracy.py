# %% [markdown]
# (anc2022-fig2)=
# # Figure 2: deep layers still find translations
#
# **What the paper shows.** In the layers where CKA sees nothing, the nearest neighbour of an English sentence among
# thousands of candidates is often its translation; accuracy falls only mildly towards the top
# ([claims](#scoreboard-anc2022-fig2)).
#
# **What this page does.** It measures matching accuracy for the encoder of [Figure 1](fig1_cka_failure.ipynb), in one
# direction and with raw vectors as the paper does, and after subtracting each language's mean. Chance is one over the number
# of candidates.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
checkpoints = None  # public models instead: {"mine": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import xsim_lib as xsim
from xsim_lib.evidence import printed
from xsim_lib.figures import plots

run = xsim.start(
    "anc2022.fig2", profile=profile, seeds=seeds, pairs=pairs, n_parallel=n_parallel,
    checkpoints=checkpoints,
)  # fmt: skip
schemes = ["scale_post", "scale_pre", "scale_normformer"]
if checkpoints is not None:
    schemes = list(checkpoints)
run.overview()

# %% tags=["hide-input"]
models = {seed: run.models(seed, *schemes) for seed in run.seeds}

# %% tags=["hide-input"]
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        rows = xsim.compare(
            model, run.parallel, indices=("matching", "matching_centred"), seed=seed,
            baselines=("shuffled", "untrained"), truncate=run.settings.truncate,
        )  # fmt: skip
        run.record(rows, model=name, seed=seed)

# %% [markdown]
# ## As in the paper: raw vectors, English to the other language

# %% tags=["hide-input"] mystnb={"image": {"alt": "Sentence matching accuracy per layer of the NormFormer: the paper's values beside those of this build and of the recorded runs, with the untrained encoder as baseline."}, "figure": {"name": "figure-anc2022-fig2", "caption": "Matching accuracy of the NormFormer by cosine. The scale differs: the paper has 10,000 candidates and a far larger model."}}
figure = plots.layers(
    run.columns(reported=printed.as_records("anc2022", ["fig2"])),
    "matching", schemes[-1:], label="matching accuracy",
)  # fmt: skip

# %% [markdown]
# ## All three schemes, without the language means
#
# Languages occupy different regions of the space. Subtracting each language's mean before comparing removes that constant;
# the authors' "centred" variant subtracts each sentence's own mean over neurons instead, which does not.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Language-centred matching accuracy per layer, one row per normalisation scheme, this build and the recorded runs, with the untrained encoder as baseline."}, "figure": {"name": "figure-anc2022-fig2-centred", "caption": "Matching accuracy after subtracting each language's mean, on a scale of its own."}}
columns = run.columns()
top = max(
    column.records.frame.query("metric == 'matching_centred'")["value"].max() for column in columns
)
figure = plots.layers(
    columns, "matching_centred", schemes, label="matching, centred", limits=(0, 1.15 * top)
)

# %% [markdown]
# ## Against chance and against no training
#
# The largest accuracy of any layer, the untrained encoder's, and how many times chance the first is.

# %% tags=["hide-input"]
frame = run.records.frame.query("metric == 'matching'")
best = frame.groupby(["model", "pair_or_language", "baseline"])["value"].max().unstack()
best["times chance"] = best[""] * frame["n"].min()
best.rename(columns={"": "trained"}).round(3)

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
# xsim run anc2022/fig2_matching_accuracy --profile mini --seeds 3
# papermill notebooks/anc2022/fig2_matching_accuracy.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set n_parallel=200` (fewer candidates, higher accuracy); `--set "pairs=[en-bg]"`; a public
# checkpoint on real text, `--profile real --set "checkpoints={xlmr: xlm-roberta-base}"`.

# %% tags=["hide-input"]
run.finish()
