"""One shipped model, one pair of languages, one figure, in under a minute: `xsim demo`, the proof of an installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xsim_lib.evidence import paths, records
from xsim_lib.evidence.agreement import FORWARD_TOLERANCE
from xsim_lib.evidence.columns import FORWARD
from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.evidence.records import KEY, Records
from xsim_lib.figures import plots
from xsim_lib.reading.comparison import compare
from xsim_lib.study import profiles
from xsim_lib.training import zoo
from xsim_lib.training.zoo import shipping

__all__ = ["MODEL", "PAIR", "demonstrate"]

TABLE, MODEL, SEED, PAIR = "anc2022.fig4", "scale_normformer", 1, "en-fr"


def demonstrate(out: Path) -> Iterator[str]:
    """Measure ANC and CKA of the shipped NormFormer between English and its artificial French, as Figure 4 does.

    Parameters
    ----------
    out : the picture, such as ``demo.png``.

    Yields
    ------
    str : lines to read: what was measured, and whether the recorded table says the same, if it is at hand.
    """
    settings = profiles.paper_settings("anc2022", "mini")
    spec = settings.shipped(MODEL, SEED)
    about = shipping.find_shipped(spec).about
    yield (
        f"{MODEL}: {about['parameters']:,} parameters, trained for {about['cpu_seconds']:.0f} CPU-seconds, held-out "
        f"loss {about['loss']:.2f}; {settings.n_parallel} sentences of {PAIR}"
    )
    corpus = settings.source.parallel(PAIR, settings.n_parallel)
    rows = compare(
        zoo.get(spec).load(), {PAIR: corpus}, indices=("anc", "anc_signed", "cka"), seed=SEED
    )
    paper, _, item = TABLE.partition(".")
    place = {"paper": paper, "item": item, "profile": "mini", "model": MODEL, "seed": SEED}
    measured = Records.of(rows, made_by=FORWARD, **place)
    for metric in ("anc", "cka"):
        yield f"{metric.upper()}, layer by layer: " + " ".join(
            f"{value:.2f}" for value in measured.curve(metric, baseline="")
        )
    figure = plots.layers([plots.Column("this machine", measured)], "anc", [MODEL], label="ANC")
    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=120)
    yield f"figure: {out}"
    yield _against_recorded(measured)


def _against_recorded(measured: Records) -> str:
    file = paths.results_dir("mini") / f"{TABLE}.csv"
    if not file.is_file():
        return f"nothing to compare with: {file} is not here"
    columns = [*KEY, "value"]
    both = records.read_records(file).frame[columns].merge(measured.frame[columns], on=list(KEY))
    apart = (both["value_x"] - both["value_y"]).abs().max()
    fine = len(both) and apart <= FORWARD_TOLERANCE
    says = "the recorded table says the same" if fine else "THE RECORDED TABLE SAYS SOMETHING ELSE"
    return f"{says}: {len(both)} values, largest difference {apart:.1e}"
