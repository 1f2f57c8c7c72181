"""What `xsim compare` shows of a comparison: a table, a figure and one page that holds both."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from xsim_lib.evidence import hashing
from xsim_lib.evidence.records import Records
from xsim_lib.indices.intervals import share_interval

__all__ = ["finite", "report_figure", "report_page", "summary", "summary_table"]

LOWER_IS_MORE_ALIKE = ("procrustes",)
# What each index takes as "the same", for readers who meet it here first.
INDEX_TEXT = {
    "anc": "average correlation of each neuron with itself in the other language (absolute values)",
    "anc_signed": "the same with the signs kept",
    "cka": "linear CKA: overlap of the two spaces, weighted by variance; a few neurons of large variance can decide it",
    "cka_debiased": "linear CKA without the bias that few sentences and many neurons bring",
    "cca": "mean canonical correlation; biased upwards unless sentences outnumber neurons many times",
    "svcca": "mean canonical correlation of the leading principal components",
    "pwcca": "canonical correlations weighted by how much of the representation they carry",
    "procrustes": "distance left after the best rotation and scaling (0: the same; at most 1.41)",
    "matching": "share of sentences whose nearest neighbour in the other language is their translation",
    "matching_centred": "the same after subtracting each language's mean",
}
BASELINE_TEXT = {
    "untrained": "the same network with fresh random weights, on the right pairs. What it reaches comes from "
    "the architecture, the tokenizer and the text (shared words, names, digits), not from training.",
    "shuffled": "every sentence paired with some other sentence. What is left comes from the two clouds of "
    "sentences alone; for small samples it is not 0.",
    "length_matched": "every sentence paired with another one of (nearly) the same number of words: what "
    "length alone explains.",
}
_HEADINGS = {"length_matched": "equal length"}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
img {{ max-width: 100% }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-size: .9rem }}
td, th {{ padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }}
td:nth-child(-n+2), th:nth-child(-n+2), .facts td {{ text-align: left }}
.facts td {{ white-space: normal; overflow-wrap: anywhere }}
pre {{ background: #f4f4f4; padding: .7rem; overflow-x: auto }}
dt {{ font-weight: 600 }}
.note {{ border-left: 4px solid #d08700; padding-left: .8rem }}
</style></head><body>
<h1>{title}</h1>
<p>{lead}</p>
{notes}
<h2>Where each index is highest</h2>
<div class="wide">{table}</div>
<p>The layer is the one where the two languages are most alike; layer 0 is the embeddings. The baselines are those of
the same layer. The interval is over sentences, for that layer alone: the best of several layers lies a little
high.</p>
<h2>Layer by layer</h2>
<img alt="{alt}" src="data:image/png;base64,{figure}">
<h2>What the baselines mean</h2>
<dl>{baselines}</dl>
<h2>What the indices mean</h2>
<dl>{indices}</dl>
<h2>How this was made</h2>
<pre>{command}</pre>
<table class="facts">{facts}</table>
</body></html>
"""


def finite(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out values that do not exist, and say which: an index of a collapsed layer is 0 / 0."""
    lost = frame[~np.isfinite(frame["value"])]
    places = lost.groupby(["pair_or_language", "metric", "baseline"], sort=False)["layer"]
    notes = [
        f"{pair}: {metric}{f' ({baseline})' if baseline else ''} is undefined at layer(s) "
        f"{', '.join(map(str, sorted(set(layers))))}: all sentences have one vector there"
        for (pair, metric, baseline), layers in places
    ]
    return frame.drop(lost.index), notes


def with_matching_intervals(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the interval of matching accuracy, a share of hits (`share_interval`)."""
    frame = frame.astype({"lower": float, "upper": float})
    here = frame["metric"].str.startswith("matching") & frame["baseline"].isin(["", "untrained"])
    shares = frame.loc[here, ["n", "value"]].itertuples(index=False)
    found = [share_interval(round(n * share), n) for n, share in shares]
    frame.loc[here, "lower"] = [interval.lower for interval in found]
    frame.loc[here, "upper"] = [interval.upper for interval in found]
    return frame


def summary(records: Records) -> pd.DataFrame:
    """Pick the layer of every pair and index where the languages are most alike, with its baselines.

    Returns
    -------
    DataFrame with pair, index, layer, value, lower, upper and one column per baseline measured.
    """
    frame = records.select(variant="").frame
    rows = []
    for (pair, metric), part in frame.groupby(["pair_or_language", "metric"], sort=False):
        own = part[part["baseline"] == ""]
        if own.empty:
            continue
        lowest = metric in LOWER_IS_MORE_ALIKE
        best = own.loc[own["value"].idxmin() if lowest else own["value"].idxmax()]
        row = {"pair": pair, "index": metric, **best[["layer", "value", "lower", "upper"]]}
        for baseline, others in part[part["layer"] == best["layer"]].groupby("baseline"):
            if baseline:
                row[baseline] = others["value"].item()
        rows.append(row)
    found = pd.DataFrame(rows)
    baselines = [name for name in BASELINE_TEXT if name in found.columns]
    return found[["pair", "index", "layer", "value", "lower", "upper", *baselines]]


def summary_table(found: pd.DataFrame) -> pd.DataFrame:
    """`summary` as text, ready to print."""
    shown = found[["pair", "index", "layer"]].astype(str)
    shown["value"] = found["value"].map(_number)
    ends = zip(found["lower"], found["upper"], strict=True)
    shown["95 % interval"] = [
        "" if pd.isna(a) or pd.isna(b) else f"{a:.3f} to {b:.3f}" for a, b in ends
    ]
    for name in found.columns.drop(["pair", "index", "layer", "value", "lower", "upper"]):
        shown[_HEADINGS.get(name, name)] = found[name].map(_number)
    return shown


def report_figure(records: Records) -> bytes:
    """Draw every index over layers, a row per index, as PNG."""
    import matplotlib.pyplot as plt

    from xsim_lib.figures import plots

    frame = records.select(variant="").frame
    (model,) = records.unique("model")
    metrics = list(records.unique("metric"))
    # `plots.layers` draws a row per model: here the rows are the indices of the one model.
    rows = Records(frame.assign(model=frame["metric"], metric="similarity"))
    limits = min(0.0, frame["value"].min() - 0.05), max(1.0, frame["value"].max() + 0.05)
    column = plots.Column(model, rows)
    drawn = plots.layers([column], "similarity", metrics, label="", limits=limits)
    drawn.set_size_inches(8.6, drawn.get_size_inches()[1] + 0.6)
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png")
    plt.close(drawn)
    return buffer.getvalue()


def report_page(
    records: Records,
    image: bytes,
    *,
    title: str,
    lead: str,
    notes: Sequence[str],
    command: str,
    made: Mapping,
) -> str:
    """One HTML page that needs no other file.

    Parameters
    ----------
    image : PNG of the figure.
    notes : warnings, shown at the top.
    command : what to type to get the page again.
    made : provenance.
    """
    shown = summary_table(summary(records)).to_html(index=False, border=0)
    warned = "".join(f'<p class="note">{html.escape(note)}</p>\n' for note in notes)
    baselines = [name for name in records.unique("baseline") if name]
    facts = {
        "made": made["created"],
        "device": f"{made['device']}, {made['threads']} thread(s), {made['seconds']:.0f} s",
        "versions": ", ".join(f"{k} {v}" for k, v in made["versions"].items()),
        "settings": ", ".join(f"{k} = {v}" for k, v in made["parameters"].items()),
        "data": made["data_hash"],
        "weights": ", ".join(made["weights"].values())[:16],
        "code": hashing.stable_hash(made["trace"])[:16],
        "provenance id": made["id"],
    }
    return _PAGE.format(
        title=html.escape(title),
        lead=html.escape(lead),
        notes=warned,
        table=shown,
        alt=html.escape(f"{title}: {', '.join(records.unique('metric'))} over layers"),
        figure=base64.b64encode(image).decode("ascii"),
        baselines=_terms({_HEADINGS.get(name, name): BASELINE_TEXT[name] for name in baselines})
        or "None was measured.",
        indices=_terms({name: INDEX_TEXT[name] for name in records.unique("metric")}),
        command=html.escape(command),
        facts="".join(
            f"<tr><td>{html.escape(k)}</td><td>{html.escape(str(v))}</td></tr>\n"
            for k, v in facts.items()
        ),
    )


def _terms(texts: Mapping[str, str]) -> str:
    return "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>\n"
        for name, text in texts.items()
    )


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"
