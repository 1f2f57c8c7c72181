# %% [markdown]
# (toy2026-fig1)=
# # Figure 1: the layers of a toy encoder
#
# **What the paper shows.** The last layer of a toy encoder is alike for English and French
# ([claims](#scoreboard-toy2026-fig1)).
#
# **What this page does.** It trains such an encoder for two steps and measures ANC.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own

# %% tags=["hide-input"]
import xsim_lib as xsim
from xsim_lib.evidence import printed
from xsim_lib.figures import plots

run = xsim.start("toy2026.fig1", profile=profile, seeds=seeds)
run.overview()

# %% tags=["hide-input"]
for seed in run.seeds:
    for name, (model, _) in run.models(seed).items():
        run.record(xsim.compare(model, run.parallel, seed=seed), model=name, seed=seed)

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer of a toy encoder, with its baselines, beside the value that the paper prints."}}
columns = run.columns(reported=printed.as_records("toy2026"))
figure = plots.layers(columns, "anc", run.names, label="ANC")

# %% [markdown]
# ## Verdicts

# %% tags=["hide-input"]
run.verdicts()

# %% [markdown]
# ## Re-run this page
#
# ```bash
# xsim run toy2026/fig1_layers --profile mini --seeds 3
# ```

# %% tags=["hide-input"]
run.finish()
