"""The explorer: layer curves of any recorded model, pair and index, drawn in the reader's browser.

The numbers travel as a script that sets one variable, because a page opened from a folder may not fetch
other files. Plotly is the copy inside the plotly package.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from xsim_lib.evidence import paths
from xsim_lib.evidence.agreement import CONTRADICTED
from xsim_lib.evidence.records import read_records
from xsim_lib.study.freshness import SUSPECT, State

__all__ = ["series", "write_explorer"]

_KEY = ["item", "model", "pair_or_language", "metric", "variant", "baseline"]


def write_explorer(book: Path, profile: str, states: Mapping[str, Mapping[str, State]]) -> None:
    """Write ``book/explorer.md`` and, below ``extra/explorer``, its script and its numbers.

    Parameters
    ----------
    states : profile -> recorded table -> how far it is to be trusted.
    """
    curves = [curve for source in _sources(profile, states) for curve in series(*source)]
    folder = book / "extra" / "explorer"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(paths.root() / "book" / "explorer" / "explorer.js", folder / "explorer.js")
    data = json.dumps(curves, separators=(",", ":"), allow_nan=False)
    (folder / "data.js").write_text(f"window.XSIM_CURVES = {data};\n", encoding="utf-8")
    page = _PAGE if curves else _EMPTY
    (book / "book" / "explorer.md").write_text(_TITLE + page, encoding="utf-8")


def series(source: str, file: Path) -> Iterator[dict]:
    """Layer curves of one record file: mean, lowest and highest value over seeds per layer.

    Parameters
    ----------
    source : what the reader sees, such as "recorded, mini".
    file : a record file; rows without a layer are left out.
    """
    frame = read_records(file).frame
    frame = frame[frame["layer"].notna()]
    frame = frame.assign(item=frame["paper"] + "." + frame["item"])
    # All curves at once: one aggregation per curve takes a hundred times as long.
    layers = frame.groupby([*_KEY, "layer"], sort=False)["value"].agg(["mean", "min", "max"])
    seeds = frame.groupby(_KEY, sort=False)["seed"].nunique()
    layers = layers.reset_index().sort_values("layer", kind="stable")
    for key, curve in layers.groupby(_KEY, sort=False):
        yield {
            "source": source,
            **dict(zip(_KEY, key, strict=True)),
            "seeds": int(seeds[key]),
            "layers": curve["layer"].astype(int).tolist(),
            **{name: _rounded(curve[name]) for name in ("mean", "min", "max")},
        }


def _rounded(values: pd.Series) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _sources(profile: str, states: Mapping[str, Mapping[str, State]]) -> Iterator[tuple[str, Path]]:
    for file in paths.visible(paths.build_dir(profile) / "records", "*.parquet"):
        yield f"this build, {profile}", file
    for recorded, tables in states.items():
        for table, state in tables.items():
            doubtful = f" ({state.word})" if state.word in (SUSPECT, CONTRADICTED) else ""
            yield f"recorded, {recorded}{doubtful}", paths.results_dir(recorded) / f"{table}.csv"


_TITLE = """\
(explorer)=
# Explorer

"""
_PAGE = """\
Layer curves of every model, pair and index that this build or a recorded run has measured. Points are means over
seeds, bars their range. Dotted lines are baselines: what the index says where nothing was learned or nothing
corresponds.

```{raw} html
<div id="xsim-explorer">
  <div class="xsim-controls" role="group" aria-label="What to draw"></div>
  <div class="xsim-plot" role="img" aria-label="Layer curves of the chosen models, pairs and index"></div>
  <p class="xsim-note" aria-live="polite"></p>
</div>
<script src="../explorer/plotly.min.js"></script>
<script src="../explorer/data.js"></script>
<script src="../explorer/explorer.js"></script>
```
"""
_EMPTY = """\
Nothing is recorded yet: no notebook of this build has written measurements per layer, and there is nothing under
`results/`. `make book` makes the first, `make record PROFILE=mini SEEDS=5` the second.
"""
