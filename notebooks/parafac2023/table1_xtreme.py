# %% [markdown]
# (parafac2023-table1)=
# # Tables 1 and 4-7: do signatures tell how well a task goes?
#
# **What the paper shows.** The mean signature of a language is correlated with the published scores of four other models in
# nine tasks of XTREME. Table 1 has the correlations for the last layer ([claims](#scoreboard-parafac2023-table1)), Tables 4
# to 7 those of every layer ([claims](#scoreboard-parafac2023-tables4-7)). No p-value and no interval is given.
#
# **What this page does.** A correlation over four or seven languages is uncertain. From the printed numbers alone it adds what
# follows from them: the smallest correlation that would be significant for that many languages, an interval for every cell
# (Fisher's z), and what is left when the number of tests is taken into account. It then holds the statements of the text
# against that.
#
# **What it cannot do.** Neither the signatures nor the scores are published in text form, so no correlation is computed anew.
# No model is needed, and the page is the same at every profile. The intervals assume that languages are independent. They are
# relatives of each other, so the true intervals are wider still. The correlations are printed with two digits: a p-value right
# at the level could fall on either side (PAWS-X and XLM-R: 0.75, where 0.754 is needed).

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own; they only name the records
alpha = 0.05  # significance level, and false discovery rate

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import xsim_lib as xsim
from xsim_lib.evidence import printed as reported
from xsim_lib.figures import plots
from xsim_lib.indices.fisher import fisher_interval, smallest_significant
from xsim_lib.papers.parafac2023 import printed_correlations

run = xsim.start("parafac2023.table1", profile=profile, seeds=seeds)
layers = xsim.start("parafac2023.tables4_7", profile=profile, seeds=seeds)
titles = {"pos": "POS", "ner": "NER"}
plots.use_style()

# %% [markdown]
# ## How large must a correlation be?
#
# The last column is the interval of a correlation of 0.5 with that many languages.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
summary = reported.as_records("parafac2023", ["table1"])
languages = summary.select(metric="n_languages").frame.set_index("task")["value"].astype(int)
tasks, models = list(languages.index), [m for m in summary.unique("model") if m]
half = fisher_interval(0.5, languages)
pd.DataFrame(
    {
        "languages": languages,
        f"significant from (p < {alpha:g})": smallest_significant(languages, alpha=alpha).round(2),
        "95 % interval of 0.5": [f"{a:.2f} to {b:.2f}" for a, b in zip(*half, strict=True)],
    }
).rename(titles).rename_axis(None)

# %% [markdown]
# ## Table 1, cell by cell
#
# Accuracy or F1, as in the paper's order of metrics; EM repeats the same predictions in another count. A cell has the printed
# correlation and its 95 % interval. One star: p below the level if this cell were the only test. Two stars: it survives the
# control of the false discovery rate over all cells of the table (Benjamini and Hochberg).

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
top = printed_correlations.analysed(summary.frame, languages)
run.record(printed_correlations.correlation_rows(top), seed=run.seeds[0])
stars = np.where(top["q_bh"] < alpha, "**", np.where(top["p"] < alpha, "*", ""))
top["cell"] = [
    f"{v:.2f} [{a:.2f}, {b:.2f}]{s}"
    for v, a, b, s in zip(top["value"], top["lower"], top["upper"], stars, strict=True)
]
shown = top.pivot(index="task", columns="model", values="cell").reindex(tasks)[models].fillna("")
shown.rename(titles).rename_axis(index=None, columns=None)

# %% [markdown]
# ## What is left
#
# The correction of Benjamini and Yekutieli holds under any dependence between the tests; that of Benjamini and Hochberg
# presumes that they do not pull against each other. All tests share the same signatures, so they are dependent.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
printed = reported.as_records("parafac2023", ["table4", "table5", "table6", "table7"])
every = printed_correlations.analysed(printed.frame, languages)
layers.record(printed_correlations.correlation_rows(every), seed=layers.seeds[0])


def counted(rows):
    """How many of the cells pass each bar."""
    return {
        "cells": len(rows),
        "expected by chance": round(alpha * len(rows), 1),
        "significant alone": int((rows["p"] < alpha).sum()),
        "survive (Benjamini-Hochberg)": int((rows["q_bh"] < alpha).sum()),
        "survive (Benjamini-Yekutieli)": int((rows["q_by"] < alpha).sum()),
    }


parts = {f"Table 1, {m}": counted(top[top["model"] == m]) for m in models}
parts |= {"Table 1": counted(top), "Tables 4-7": counted(every)}
pd.DataFrame(parts).transpose().astype({k: int for k in counted(top) if k != "expected by chance"})

# %% [markdown]
# ## Table 1 with its intervals

# %% tags=["hide-input"] mystnb={"image": {"alt": "Nine rows, one per task with its number of languages, and in each the correlations of four models with 95 percent intervals. Most intervals reach below zero; grey bars show what would not be significant. Filled markers, which survive the false discovery rate, are few."}, "figure": {"name": "figure-parafac2023-table1", "caption": "Printed correlations of the last layer (accuracy or F1) with 95 % intervals. Grey: correlations that are not significant for that many languages, which is where they would lie by chance 95 times in 100. Filled markers survive the false discovery rate over the table, hollow ones do not."}}
figure, axis = plt.subplots(figsize=(7.2, 5.4), layout="constrained")
places = {task: -k for k, task in enumerate(tasks)}
edges = smallest_significant(languages, alpha=alpha)
axis.barh(list(places.values()), 2 * edges, left=-edges, height=0.86, color="0.92", zorder=0)
for k, name in enumerate(models):
    rows = top[top["model"] == name]
    y = rows["task"].map(places) + 0.27 - 0.18 * k
    kept = (rows["q_bh"] < alpha).to_numpy()
    for chosen, face in ((kept, f"C{k}"), (~kept, "white")):
        axis.errorbar(
            rows["value"][chosen], y[chosen],
            xerr=[(rows["value"] - rows["lower"])[chosen], (rows["upper"] - rows["value"])[chosen]],
            fmt="o", color=f"C{k}", mfc=face, markersize=5, linewidth=1,
        )  # fmt: skip
    axis.plot([], [], "o", color=f"C{k}", label=name)
axis.axvline(0, color="0.5", linewidth=0.8)
axis.set(xlim=(-1, 1), xlabel="Pearson correlation of signature and score")
axis.set_yticks(list(places.values()), [f"{titles.get(t, t)} ({languages[t]})" for t in tasks])
axis.grid(False, axis="y")
_ = figure.legend(loc="outside lower center", ncols=len(models))

# %% [markdown]
# ## Every layer

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four heat maps, one per model: tasks in rows, layers 0 to 12 in columns, coloured by the correlation. Small dots mark cells significant alone, rings those that survive the false discovery rate; in most rows layers 8 to 11 are paler than those below and than layer 12."}, "figure": {"name": "figure-parafac2023-tables4-7", "caption": "Printed correlations of Tables 4 to 7 (accuracy or F1). Dot: significant if it were the only test. Ring: survives the false discovery rate over all cells of the four tables. Blank: not printed. Intervals are as wide as in the figure above."}}
figure, axes = plt.subplots(
    2, 2, figsize=(7.6, 6.2), sharex=True, sharey=True, layout="constrained"
)
for axis, name in zip(axes.flat, models, strict=True):
    rows = every[every["model"] == name]
    cells = rows.pivot(index="task", columns="layer", values="value").reindex(tasks)
    image = axis.imshow(cells.astype(float), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for test, marker in (("p", {"s": 4, "c": "k"}), ("q_bh", {"s": 36, "fc": "none", "ec": "k"})):
        passed = rows[rows[test] < alpha]
        axis.scatter(passed["layer"].astype(int), passed["task"].map(tasks.index), **marker)
    axis.set(
        title=name,
        yticks=range(len(tasks)),
        yticklabels=[titles.get(t, t) for t in tasks],
        xticks=range(0, 13, 2),
    )
    axis.grid(False)
for axis in axes[1]:
    axis.set_xlabel("layer of the signature")
_ = figure.colorbar(image, ax=axes, label="Pearson correlation", shrink=0.6)

# %% [markdown]
# ## The statements of the text, against these numbers
#
# Whether one *layer* is better than another cannot be tested without the signatures. But where the interval of the best layer
# covers all other layers, the printed numbers give no reason to single it out.

# %% tags=["hide-input"]
found = printed_correlations.text_statements(top, every, alpha)
pd.DataFrame({"from the printed numbers": found}).style.set_uuid("statements").set_properties(
    **{"text-align": "left"}
)

# %% [markdown]
# All correlations of Table 1 are positive, but they are not independent evidence: one vector of signatures, the same few
# languages. One cell survives the correction at a level of 0.05, POS with XLM-R. That is where the study has most languages,
# and the model whose architecture is that of the signatures. For XNLI no correlation comes near what twelve languages would
# need. None of this says that signatures are unrelated to scores; so few languages cannot tell.
#
# ## Verdicts
#
# About Table 1, then about Tables 4 to 7. The claims of this page are arithmetic on the printed numbers.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
pd.concat({"Table 1": run.coverage(), "Tables 4-7": layers.coverage()}, axis=1).droplevel(1, axis=1)

# %% tags=["hide-input"]
run.verdicts()

# %% tags=["hide-input"]
layers.verdicts()

# %% [markdown]
# ## Re-run this page
#
# ```bash
# xsim run parafac2023/table1_xtreme --profile mini
# papermill notebooks/parafac2023/table1_xtreme.ipynb out.ipynb -p profile mini -p alpha 0.01
# ```
#
# Worth trying: `--set alpha=0.01`, and `--set alpha=0.1`, the most generous reading.

# %% tags=["hide-input"]
footers = {"Table 1": run.finish(), "Tables 4-7": layers.finish()}
pd.concat(footers, axis=1).droplevel(1, axis=1)
