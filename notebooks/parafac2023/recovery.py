# %% [markdown]
# (parafac2023-recovery)=
# # Section 2: does PARAFAC2 find what is there?
#
# **What the paper shows.** The whole study rests on a theorem: if the languages' own transformations keep all angles between
# components alike, PARAFAC2 has one solution only. Signatures of different languages can then be compared. The paper cites
# this and does not test it ([claims](#scoreboard-parafac2023-s2)). Its models have 768 dimensions, and the instructions of the
# authors' code ask for 768 components.
#
# **What this page does.** It makes slices from components that it knows, so that a solution can be held against the truth. From
# several random starts it asks whether the solver comes back to the same components, and whether these are the planted ones:
# without noise, with noise, with half as many components as dimensions, and with as many as dimensions. Then our own solver and
# tensorly (version 0.10, and what version 0.7 did when the paper was written) get the same slices. No model is needed; the
# page is the same at every profile.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own; each draws other slices
n_languages = 12
width = 16  # rows and columns of a slice; also the components of "full rank"
n_components = 4
n_starts = 3
max_iter = 300  # sweeps of a random start

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
from tqdm import tqdm

import xsim_lib as xsim
from xsim_lib import factorization as f
from xsim_lib.papers.parafac2023 import recovery_figures, recovery_rows

run = xsim.start("parafac2023.s2", profile=profile, seeds=seeds)
few = {"n_components": n_components, "rank": n_components}
many = {"n_components": width, "rank": width}
conditions = {
    "": few | {"noise": 0.0, "fall": 0.0},
    "noise 0.1": few | {"noise": 0.1, "fall": 0.0},
    "noise 0.5": few | {"noise": 0.5, "fall": 0.0},
    "half rank": many | {"noise": 0.1, "fall": 1.0, "rank": width // 2},
    "full rank, exact": many | {"noise": 0.0, "fall": 0.0},
    "full rank": many | {"noise": 0.1, "fall": 1.0},
}


def planted(condition, seed):
    """The slices of a condition."""
    options = {k: v for k, v in conditions[condition].items() if k != "rank"}
    return f.plant(n_languages, width, seed=seed, **options)


# %% [markdown]
# ## What is planted
#
# Noise is as long as this share of all slices together. A strength that falls makes component r only 1/r as strong as the first,
# as in encoders, where most of a covariance lies in few directions. The last row comes nearest to the study: as many
# components as dimensions, of falling strength, and noise.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
names = {"": "few components, exact", "full rank": "full rank, noise 0.1"}
shown = {
    names.get(name, name): {
        "planted components": own["n_components"],
        "components asked for": own["rank"],
        "noise": own["noise"],
        "strength": "falls as 1/r" if own["fall"] else "all alike",
    }
    for name, own in conditions.items()
}
pd.DataFrame(shown).transpose()

# %% [markdown]
# ## From random starts
#
# Components have no order, so they are matched first. *Congruence* is then the smallest cosine there is: of any language's
# signature, and of any component over the languages. It is strict: one wrong component lowers it. Later pages use less than
# that, so two more things are asked: whether the languages keep their order by mean signature (Figures 2 to 4), and their
# distances (Figures 5 and 8).

# %% tags=["hide-input"]
steps = [(seed, condition) for seed in run.seeds for condition in conditions]
for seed, condition in tqdm(steps, unit="condition"):
    truth, rank = planted(condition, seed), conditions[condition]["rank"]
    options = {"nonnegative": True, "init": "random", "max_iter": max_iter}
    starts = {
        str(k + 1): f.parafac2(truth.slices, rank, seed=1000 * seed + k, **options)
        for k in range(n_starts)
    }
    about = {"seed": seed, "variant": condition, "model": "ours"}
    other = f.plant(n_languages, width, rank, fall=conditions[condition]["fall"], seed=seed + 500)
    unrelated = {"metric": "congruence", "value": f.congruence(other, truth)}
    run.record([unrelated], baseline="unrelated", **about)
    run.record(recovery_rows.start_rows(starts, truth), **about)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels, one row per condition: congruence of signatures, rank correlation of mean signatures and of distances between languages; filled dots against the planted truth, open dots between random starts, grey crosses for unrelated slices."}, "figure": {"name": "figure-parafac2023-recovery", "caption": "What comes back from random starts. Filled: a start against the planted components. Open: two starts against each other. Crosses: signatures of other slices, which have nothing to do with these. Dashed: the 0.99 of the claim. Every start (pair of starts) and seed is one point."}}
measures = {
    "congruence of signatures": ("congruence", "start_agreement"),
    "order by mean signature": ("order_truth", "order_starts"),
    "distances of languages": ("distance_truth", "distance_starts"),
}
called = {condition: names.get(condition, condition) for condition in conditions}
figure = recovery_figures.recovery_dots(run.columns(), measures, called)

# %% [markdown]
# Smallest value over starts (and seeds) of this build:

# %% tags=["hide-input"]
own = run.records.frame.query("baseline == '' and metric not in ('error', 'sweeps')")
table = own.groupby(["variant", "metric"])["value"].min().unstack()
found = [metric for kinds in measures.values() for metric in kinds]
table.loc[list(conditions), found].rename(names).rename_axis(index=None, columns=None).round(2)

# %% [markdown]
# ## The same slices, other solvers
#
# Nobody starts at random in practice. All solvers here start where tensorly's `svd` starts, so each has one solution. Ours runs to
# its stopping rule, and also for 100 sweeps, the number in the authors' instructions. *Plain* is our solver without
# acceleration, which makes the same sweeps as tensorly.

# %% tags=["hide-input"]
ours = {"nonnegative": True, "tol": 1e-8}
solvers = {
    "ours": lambda x, rank: f.parafac2(x, rank, max_iter=3 * max_iter, **ours),
    "ours, 100 sweeps": lambda x, rank: f.parafac2(x, rank, max_iter=100, **ours),
    "plain, 100 sweeps": lambda x, rank: f.parafac2(
        x, rank, max_iter=100, accelerate=False, **ours
    ),
    "tensorly 0.10, line search": lambda x, rank: f.parafac2_tensorly(
        x, rank, version="0.10", linesearch=True
    ),
    "tensorly 0.10": lambda x, rank: f.parafac2_tensorly(x, rank, version="0.10"),
    "tensorly 0.7": lambda x, rank: f.parafac2_tensorly(x, rank),
}
curves = {}
steps = [(s, c) for s in run.seeds for c in ("", "half rank", "full rank")]
for seed, condition in tqdm(steps, unit="condition"):
    truth, rank = planted(condition, seed), conditions[condition]["rank"]
    for name, solve in solvers.items():
        one = solve(truth.slices, rank)
        curves[seed, condition, name] = one.errors
        rows = recovery_rows.solver_rows(one, truth)
        run.record(rows, seed=seed, variant=condition, model=name)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels with the relative error of each solver over its sweeps: few exact components, half rank, full rank with noise. Our solver falls fastest and ends lowest; plain sweeps and tensorly without line search lie on one line."}, "figure": {"name": "figure-parafac2023-recovery-errors", "caption": "Relative error |X - M| / |X| over sweeps, first seed of this build. Plain sweeps and the two releases of tensorly lie on each other. With its line search, tensorly reports every other sweep."}}
figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.4), layout="constrained")
for axis, condition in zip(axes, ("", "half rank", "full rank"), strict=True):
    for k, name in enumerate(solvers):
        errors = curves[run.seeds[0], condition, name]
        style = "-" if name.startswith("ours") else ("--", ":", "-.")[k % 3]
        if name != "ours, 100 sweeps":
            axis.plot(range(1, len(errors) + 1), errors, style, color=f"C{k}", label=name)
    axis.set(
        title=names.get(condition, condition), xscale="log", xlabel="sweep",
        yscale="linear" if conditions[condition]["noise"] else "log",
    )  # fmt: skip
axes[0].set_ylabel("relative error")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)

# %% [markdown]
# Means over the seeds of this build; congruence, order and distances are against the truth. Core consistency says how far the
# components can be read one by one: 100 is perfect, at 0 or below they cannot. A lower error need not be nearer to the truth: in
# trials at full rank with noise (20 dimensions, seeds 0 to 2), 100 plain sweeps gave a higher error than our converged
# solution, and in all three a higher congruence.

# %% tags=["hide-input"]
own = run.records.frame
own = own[own["metric"].str.startswith("solver_")]
table = own.pivot_table(index=["variant", "model"], columns="metric", values="value", sort=False)
table.columns = [c.removeprefix("solver_").replace("_", " ") for c in table.columns]
kept = table.rename(names).rename_axis(index=[None, None])
kept.round({"error": 4, "congruence": 2, "order": 2, "distances": 2}).astype(
    {"sweeps": int, "core consistency": int}
)

# %% [markdown]
# ## Verdicts
#
# The claim is about few components without noise, from random starts; at full rank it only asks to report how far starts
# disagree.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
run.coverage()

# %% tags=["hide-input"]
run.verdicts()

# %% [markdown]
# ## Paper versus code
#
# - The paper cites uniqueness for exact slices. A covariance that was estimated from words is never exact.
# - The authors' code asks for 768 components of 768 dimensions and makes 100 sweeps with tensorly 0.7. It keeps no error curve, so
#   whether these had converged is not known.
# - tensorly 0.10 has a line search unless told otherwise, and stops by another rule than 0.7. Without the search both make the
#   same sweeps.
#
# ## Re-run this page
#
# ```bash
# xsim run parafac2023/recovery --profile mini --seeds 3
# papermill notebooks/parafac2023/recovery.ipynb out.ipynb -p profile mini -p width 32 -p n_starts 8
# ```
#
# Worth trying: `--set n_languages=33`, as many slices as in the paper; `--set n_languages=4`, the fewest of the claim;
# `--set width=48 --set max_iter=2000` for minutes of computing.

# %% tags=["hide-input"]
run.finish()
