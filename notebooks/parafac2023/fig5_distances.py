# %% [markdown]
# (parafac2023-fig5)=
# # Figure 5: how far apart are the signatures of languages?
#
# **What the paper shows.** The cosine distance between the signatures of every two languages, at the embedding layer, in the
# middle and at the top. Arabic, Chinese, Hindi, Japanese and Korean are said to be far from all others at each of the three
# ([claims](#scoreboard-parafac2023-fig5)). The figure has no numbers.
#
# **What this page does.** The same distances, from the signatures of [Figure 2](fig2_signatures.ipynb). For every language it adds
# the mean distance to all others, and both once more for models that were never trained: a distance that is there
# without training comes from the text and the sub-words alone. Signatures as the authors' code has them (*raw*) have other
# distances than those free of scale, so both are measured.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
factorization = None  # changes of the profile's settings, such as {"rank": 8}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence.records import paper_layers
from xsim_lib.factorization import cosine_distances, distance_agreement
from xsim_lib.figures import plots
from xsim_lib.papers.parafac2023 import distance_figures, signature_rows, signature_run

run = xsim.start("parafac2023.fig5", profile=profile, seeds=seeds, factorization=factorization)
depth = run.settings.encoder["num_hidden_layers"]
of_paper = {"embeddings": 0, "middle": 6, "top": 12}
layers = {
    f"{name} (layer {k})": k for name, where in of_paper.items() for k in paper_layers(depth, where)
}
signature_run.overview_of_signatures(run)

# %% [markdown]
# ## Distances
#
# *Agreement* is the rank correlation of two tables of distances over all pairs of languages: raw against scale-free signatures,
# and untrained models against trained ones.

# %% tags=["hide-input"]
for seed in run.seeds:
    solved = {
        baseline: signature_run.measure_signatures(
            run, seed, layers=list(layers.values()), baseline=baseline
        )
        for baseline in ("", "untrained")
    }
    for layer in layers.values():
        about = {"seed": seed, "model": "multilingual", "layer": layer, "n_layers": depth}
        found = {}
        for baseline, variant in (("", ""), ("", "raw"), ("untrained", "")):
            table = solved[baseline].table(layer, scale_free=variant != "raw")
            distances = found[baseline, variant] = cosine_distances(table)
            rows = signature_rows.distance_rows(distances)
            run.record(rows, baseline=baseline, variant=variant, **about)
        for other in (("", "raw"), ("untrained", "")):
            agreement = distance_agreement(found["", ""], found[other])
            rows = [{"metric": "distance_agreement", "value": agreement}]
            run.record(rows, baseline=other[0], variant=other[1], **about)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Heat maps of cosine distances between the signatures of all pairs of languages: one row per run, one column each for the embedding layer, the middle and the top; darker is farther."}, "figure": {"name": "figure-parafac2023-fig5", "caption": "Cosine distance between the signatures (scale-free) of every two languages, mean over seeds. Last row: models of this build that were not trained. Darker is farther, on one scale."}}
languages = list(run.settings.languages)
columns = run.columns()
shown = [(c.title, c.records, "") for c in columns]
shown.append(("this build\nuntrained", run.records, "untrained"))
places = dict(zip(layers, of_paper.values(), strict=True))
figure = distance_figures.distance_maps(shown, places, languages)

# %% [markdown]
# ## Which languages are far from all others?
#
# In the paper: {ar, zh, hi, ja, ko}.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels: mean cosine distance of every language to all others at the embedding layer, in the middle and at the top; filled dots for trained models, hollow ones for untrained models, other markers for raw signatures."}, "figure": {"name": "figure-parafac2023-fig5-means", "caption": "Mean distance of each language to all others, in the recorded run of this profile where there is one. Hollow: models that were not trained. Bars: one standard deviation over seeds, where there are several."}}
measures = {name: {"metric": "mean_distance", "layer": k} for name, k in layers.items()}
series = {
    "scale-free": {},
    "raw (authors' code)": {"variant": "raw"},
    "untrained": {"baseline": "untrained"},
}
of_profile = [c for c in columns if c.profile == run.profile]
_ = plots.points(of_profile[-1:], measures, series, languages)

# %% [markdown]
# The five farthest, and how far the tables agree, in every run:

# %% tags=["hide-input"]
rows = {}
for column in columns:
    frame, last = column.records.frame, int(column.records.frame["n_layers"].max())
    for name, where in places.items():
        own = frame[frame["layer"] == paper_layers(last, where)[0]]
        means = own[own["metric"] == "mean_distance"].groupby(
            ["baseline", "variant", "pair_or_language"]
        )["value"].mean()  # fmt: skip
        agreement = own[own["metric"] == "distance_agreement"].groupby(["baseline", "variant"])[
            "value"
        ].mean()  # fmt: skip
        rows[column.title.replace("\n", " "), name] = {
            "farthest": ", ".join(sorted(means["", ""].nlargest(5).index)),
            "farthest, untrained": ", ".join(sorted(means["untrained", ""].nlargest(5).index)),
            "agreement with raw": f"{agreement['', 'raw']:.2f}",
            "agreement with untrained": f"{agreement['untrained', '']:.2f}",
        }
pd.DataFrame(rows).transpose()

# %% [markdown]
# ## Verdicts

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
run.coverage()

# %% tags=["hide-input"]
run.verdicts()

# %% [markdown]
# ## Paper versus code
#
# - The authors' repository has neither this figure nor the distances; only the signatures are computed there.
# - Their signatures are not free of scale: components whose other factors happen to be short weigh more in every cosine.
#
# ## Re-run this page
#
# ```bash
# xsim run parafac2023/fig5_distances --profile mini --seeds 2
# papermill notebooks/parafac2023/fig5_distances.ipynb out.ipynb -p profile mini -y "factorization: {rank: 8}"
# ```
#
# Worth trying: `--set "factorization={rank: 8}"`, for fewer components than dimensions; `--set "factorization={max_iter: 20}"`, for
# distances before the solver has converged.

# %% tags=["hide-input"]
run.finish()
