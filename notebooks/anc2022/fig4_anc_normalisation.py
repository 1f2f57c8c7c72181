# %% [markdown]
# (anc2022-fig4)=
# # Figure 4: ANC sees what CKA missed
#
# **What the paper shows.** The average neuron-wise correlation rises towards the middle layers and falls again near the
# output, in all three normalisation schemes, the NormFormer's upper layers included
# ([claims](#scoreboard-anc2022-fig4)).
#
# **What this page does.** It measures ANC for the encoders of [Figure 1](fig1_cka_failure.ipynb), in absolute value as the
# paper defines it and signed as the authors' script computes it; beside each curve stand the untrained encoder and shuffled
# pairs. Then it removes what sentence length, punctuation and digits explain, since those are shared by translations without
# any understanding.

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
    "anc2022.fig4", profile=profile, seeds=seeds, pairs=pairs, n_parallel=n_parallel,
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
            model,
            run.parallel,
            indices=("anc", "anc_signed", "cka"),
            partial_out=True,
            seed=seed,
            truncate=run.settings.truncate,
        )
        run.record(rows, model=name, seed=seed)

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer for the three normalisation schemes: the paper's values beside those of this build and of the recorded runs, with the untrained encoder and shuffled pairs as baselines."}, "figure": {"name": "figure-anc2022-fig4", "caption": "Average neuron-wise correlation (absolute) between English and its translations. Bands: one standard deviation over seeds, or the 95 % interval over sentences where there is one seed. Dotted: the same encoder untrained. Grey: shuffled pairs; independent data give about the square root of 2 / (pi n)."}}
figure = plots.layers(
    run.columns(reported=printed.as_records("anc2022", ["fig4"])), "anc", schemes, label="ANC"
)

# %% [markdown]
# ## Without length, punctuation and digits
#
# Translations are about equally long and share their digits. Here these covariates of both languages are regressed out of
# both sides first.

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer after regressing sentence length, punctuation and digits out of both sides, one row per scheme, with the same baselines."}, "figure": {"name": "figure-anc2022-fig4-partial", "caption": "As before, after regressing sentence length, punctuation and digits of both languages out of both sides."}}
figure = plots.layers(run.columns(), "anc", schemes, label="partial ANC", variant="partial")

# %% [markdown]
# ## Absolute or signed
#
# The paper's Equation 4 averages absolute correlations. The script that the authors' instructions run averages the
# correlations themselves. Below: how far the two differ (mean over pairs and layers), and the gain over the untrained encoder.

# %% tags=["hide-input"]
table = (
    run.records.frame.query("metric in ['anc', 'anc_signed'] and variant == ''")
    .groupby(["model", "metric", "baseline"])["value"]
    .mean()
    .unstack()
    .rename(columns={"": "trained"})
)
table["gain over untrained"] = table["trained"] - table["untrained"]
table.round(3)

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
# xsim run anc2022/fig4_anc_normalisation --profile mini --seeds 3
# papermill notebooks/anc2022/fig4_anc_normalisation.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set n_parallel=200` to see the floor rise; `--set "pairs=[et-bg]"` for two languages that share nothing but
# anchors; a public checkpoint on real text (set `XSIM_DATA` first, or let it download), `--profile real --set
# "checkpoints={xlmr: xlm-roberta-base}"`.

# %% tags=["hide-input"]
run.finish()
