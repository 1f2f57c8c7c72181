# %% [markdown]
# (anc2022-fig7)=
# # Figure 7: a second NormFormer
#
# **What the paper shows.** A NormFormer trained from another random start gives the same CKA picture, so the collapse is
# not an accident of one run ([claims](#scoreboard-anc2022-fig7)).
#
# **What this page does.** It trains a second NormFormer from another seed, with everything else equal, and draws both. ANC
# between the two networks is measured as well: neurons of separately trained networks do not correspond, so ANC should be
# near its floor where CKA is not.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
checkpoints = None  # public models instead: {"mine": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import matplotlib.pyplot as plt

import xsim_lib as xsim
from xsim_lib import indices
from xsim_lib.evidence import printed
from xsim_lib.figures import plots
from xsim_lib.reading.sentences import encode

run = xsim.start(
    "anc2022.fig7", profile=profile, seeds=seeds, pairs=pairs, n_parallel=n_parallel,
    checkpoints=checkpoints,
)  # fmt: skip
starts = ["scale_normformer", "scale_normformer-v2"]
if checkpoints is not None:
    starts = list(checkpoints)
run.overview()

# %% tags=["hide-input"]
models = {seed: run.models(seed, *starts) for seed in run.seeds}

# %% tags=["hide-input"]
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        rows = xsim.compare(model, run.parallel, seed=seed, truncate=run.settings.truncate)
        run.record(rows, model=name, seed=seed)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Linear CKA per layer for two NormFormers from different random starts: the paper's values beside those of this build and of the recorded runs, with baselines."}, "figure": {"name": "figure-anc2022-fig7", "caption": "Linear CKA of two NormFormers that differ only in their random start. The paper's first row is its Figure 1."}}
figure = plots.layers(
    run.columns(reported=printed.as_records("anc2022", ["fig1", "fig7"])),
    "cka",
    starts,
    label="CKA",
)

# %% [markdown]
# ## Between two networks
#
# The same English sentences, read by both networks: CKA compares the geometry, ANC the neurons.

# %% tags=["hide-input"]
for seed, chosen in models.items():
    corpus = next(iter(run.parallel.values()))
    language = corpus.languages[0]
    x, y = (
        encode(model, corpus[language], truncate=run.settings.truncate).double()
        for model, _ in chosen.values()
    )
    for layer, (a, b) in enumerate(zip(x, y, strict=True)):
        values = {
            ("cka", ""): indices.linear_cka(a, b),
            ("anc", ""): indices.anc(a, b),
            ("anc", "shuffled_neurons"): indices.anc(a, b.roll(1, dims=1)),
        }
        place = {"layer": layer, "n_layers": len(x) - 1, "pair_or_language": language}
        run.record(
            [{"metric": m, "baseline": k, "value": v} | place for (m, k), v in values.items()],
            model="across seeds",
            seed=seed,
        )

# %% tags=["hide-input"] mystnb={"image": {"alt": "CKA and ANC per layer between two separately trained NormFormers reading the same English sentences, with ANC of shuffled neurons."}, "figure": {"name": "figure-anc2022-fig7-across", "caption": "Two networks, the same English sentences. ANC of shuffled neurons is the value without any correspondence."}}
plots.use_style()
across = run.records.select(model="across seeds")
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
lines = {
    "CKA": ("cka", ""),
    "ANC": ("anc", ""),
    "ANC, shuffled neurons": ("anc", "shuffled_neurons"),
}
series = {label: across.curve(m, baseline=k) for label, (m, k) in lines.items()}
plots.curves(axis, series, xlabel="layer", ylabel="similarity")
axis.set_ylim(0, 1)
_ = axis.legend()

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
# xsim run anc2022/fig7_second_seed --profile mini --seeds 3
# papermill notebooks/anc2022/fig7_second_seed.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--seeds 1 --seeds 2 --seeds 3` for the spread over six NormFormers; `--profile real`; two public networks of
# one width, `--profile real --set "checkpoints={mBERT: bert-base-multilingual-cased, XLM-R: xlm-roberta-base}"`.

# %% tags=["hide-input"]
run.finish()
