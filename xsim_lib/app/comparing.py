"""`xsim compare`: a model and parallel text by name or path in, a folder with a report out."""

from __future__ import annotations

import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import typer

from xsim_lib.app import report
from xsim_lib.evidence import hashing, records, tracing
from xsim_lib.evidence.provenance import provenance_of
from xsim_lib.evidence.records import Records
from xsim_lib.models import loading
from xsim_lib.models.fingerprints import model_hash
from xsim_lib.reading import ranks
from xsim_lib.text import corpora
from xsim_lib.text.corpora.parallel import cut_count
from xsim_lib.text.types import ParallelCorpus

if TYPE_CHECKING:
    from xsim_lib.models.encoder import LoadedModel

__all__ = ["CompareSettings", "write_comparison"]

_DEFAULT_N = {"xnli_extension": 10_000}  # as in the paper; of the others, all there is
_PROBE = 200  # sentences on which a lower precision is compared with float32
_FEW = 500


@dataclass(frozen=True)
class CompareSettings:
    """The options of `xsim compare`, see there."""

    model: str
    corpus: str
    pairs: tuple[str, ...] = ()
    indices: tuple[str, ...] = ("anc", "cka")
    baselines: tuple[str, ...] = ("shuffled", "length_matched", "untrained")
    pooling: str = "mean"
    n: int | None = None
    truncate: int | None = None
    dtype: str = "float32"
    device: str = "auto"
    revision: str | None = None
    seed: int = 0
    blocks: int = 20
    memory: float = 4.0
    chunk: int | None = None
    out: Path | None = None
    format: str = "parquet"


def write_comparison(settings: CompareSettings) -> None:
    """Compare, print the table and write the folder; under torchrun, on rank 0.

    Raises
    ------
    ValueError : whatever is wrong with the model, the text or the options, in one line.
    """
    from xsim_lib.reading.comparison import compare

    started = time.monotonic()
    out = _folder(settings)
    with ranks.process_group() as rank, _noted(rank.rank) as notes:
        parallel = _parallel(settings)
        device = _device(settings.device)
        common = {"indices": settings.indices, "pooling": settings.pooling, "seed": settings.seed}
        common |= {"truncate": settings.truncate, "memory": settings.memory}
        probes = _probe(settings, "float32", device, parallel, common)
        loaded = _load(settings, settings.dtype, device)
        if probes is not None:
            other = _on_probe(loaded, parallel, common)
            notes.append(_effect(settings.dtype, probes, other))
        with tracing.traced() as trace:
            frame = compare(
                loaded,
                parallel,
                baselines=settings.baselines,
                blocks=settings.blocks,
                chunk=settings.chunk,
                resume=out and out / "state",
                **common,
            )
        if rank.rank:
            return
        found, undefined = report.finite(report.with_matching_intervals(frame))
        notes += undefined + _cautions(loaded, frame, settings)
        made = provenance_of(
            text={pair: corpus.fingerprint for pair, corpus in parallel.items()},
            trace=trace.fingerprints(),
            weights={loaded.name: model_hash(loaded)},
            seeds=[settings.seed],
            profile="own",
            parameters=_parameters(settings, loaded, parallel, rank.size),
            device=str(loaded.model.device),
            seconds=time.monotonic() - started,
        )
        measured = Records.of(
            found, paper="own", item="compare", profile="own", seed=settings.seed, model=loaded.name
        )
        typer.echo(report.summary_table(report.summary(measured)).to_string(index=False))
        for note in undefined:
            typer.echo(f"note: {note}", err=True)
        if out is not None:
            _write(out, settings, measured, notes, made, parallel)


def _write(
    out: Path,
    settings: CompareSettings,
    measured: Records,
    notes: Sequence[str],
    made: Mapping,
    parallel: Mapping[str, ParallelCorpus],
) -> None:
    path = records.write_records(measured, out / f"records.{settings.format}", made)
    image = report.report_figure(measured)
    counts = sorted({len(corpus) for corpus in parallel.values()})
    text = report.report_page(
        measured,
        image,
        title=f"{measured.unique('model')[0]}: {', '.join(parallel)}",
        lead=f"{' to '.join(map(str, counts[:: max(1, len(counts) - 1)]))} aligned sentences per "
        f"pair of {next(iter(parallel.values())).name}, pooling {settings.pooling}, "
        f"{settings.dtype}.",
        notes=notes,
        command=_command(),
        made=made,
    )
    for name, content in (("curves.png", image), ("report.html", text.encode("utf-8"))):
        with hashing.atomic_write(out / name) as temporary:
            temporary.write_bytes(content)
    typer.echo(f"\n{path}\n{out / 'curves.png'}\n{out / 'report.html'}")


def _folder(settings: CompareSettings) -> Path | None:
    if settings.format not in ("parquet", "csv"):
        raise ValueError(f"format: expected parquet or csv, got {settings.format!r}")
    if settings.out is None:
        return None
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out: cannot make the folder {settings.out} ({error.strerror})") from None
    return settings.out


def _parallel(settings: CompareSettings) -> dict[str, ParallelCorpus]:
    """The aligned sentences of every pair, from a named corpus or from the user's own files."""
    name, pairs = settings.corpus, tuple(dict.fromkeys(settings.pairs))
    if name in corpora.PARALLEL:
        if not pairs:
            raise ValueError(f"pairs: expected at least one pair of {name} such as en-fr, got none")
        n = settings.n or _DEFAULT_N.get(name)
        return {pair: corpora.load_pair(name, pair, n) for pair in pairs}
    if not Path(name).exists():
        known = ", ".join(corpora.PARALLEL)
        raise ValueError(f"corpus: expected {known}, a TSV file or a folder; got {name!r}")
    own = corpora.plain(name)
    own = own.head(cut_count(settings.n, len(own), own.name))
    first, *others = own.languages
    pairs = pairs or tuple(f"{first}-{other}" for other in others)
    if not pairs:
        raise ValueError(f"corpus: expected at least two languages in {name}, got only {first!r}")
    return dict.fromkeys(pairs, own)


def _load(settings: CompareSettings, dtype: str, device: str) -> LoadedModel:
    return loading.load(settings.model, revision=settings.revision, dtype=dtype, device=device)


def _device(wanted: str) -> str:
    """Resolve "auto" to the first GPU, each rank's own under torchrun, or else the CPU."""
    import os

    import torch

    if wanted == "spread":
        return "auto"
    if wanted != "auto" or not torch.cuda.is_available():
        return "cpu" if wanted == "auto" else wanted
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


def _probe(
    settings: CompareSettings, dtype: str, device: str, parallel: Mapping, common: Mapping
) -> pd.DataFrame | None:
    """The first sentences in float32, if another precision was asked for; the model is let go."""
    if settings.dtype == dtype:
        return None
    return _on_probe(_load(settings, dtype, device), parallel, common)


def _on_probe(loaded: LoadedModel, parallel: Mapping, common: Mapping) -> pd.DataFrame:
    from xsim_lib.reading.comparison import compare

    heads = {pair: corpus.head(min(_PROBE, len(corpus))) for pair, corpus in parallel.items()}
    return compare(loaded, heads, baselines=(), blocks=2, progress=False, **common)


def _effect(dtype: str, exact: pd.DataFrame, other: pd.DataFrame) -> str:
    moved = (exact["value"] - other["value"]).abs().groupby(exact["metric"], sort=False).max()
    n = min(_PROBE, int(exact["n"].min()))
    listed = ", ".join(f"{metric} {value:.2g}" for metric, value in moved.items())
    return (
        f"{dtype}: on the first {n} sentences of each pair, the largest difference from float32 "
        f"over layers and pairs is {listed}"
    )


def _cautions(loaded: LoadedModel, frame: pd.DataFrame, settings: CompareSettings) -> list[str]:
    notes = []
    n = int(frame["n"].min())
    width = getattr(loaded.model.config, "hidden_size", None)
    biased = [i for i in settings.indices if i in ("cka", "cca", "svcca", "pwcca", "procrustes")]
    if width and biased and n < 10 * width:
        notes.append(
            f"{n} sentences are few for {width} neurons: {', '.join(biased)} look more alike than "
            "they are; read them against the shuffled pairs"
        )
    if n < _FEW:
        notes.append(f"{n} sentences give wide intervals; {_FEW} or more are better")
    return notes


def _parameters(
    settings: CompareSettings,
    loaded: LoadedModel,
    parallel: Mapping[str, ParallelCorpus],
    size: int,
) -> dict:
    given = {k: v for k, v in asdict(settings).items() if k not in ("out", "format")}
    commit = getattr(loaded.model.config, "_commit_hash", None)
    return {
        **given,
        "pairs": list(parallel),
        "n": {pair: len(corpus) for pair, corpus in parallel.items()},
        "commit": commit,
        "processes": size,
    }


def _command() -> str:
    typed = shlex.join(sys.argv[1:])
    size = ranks.current_rank().size
    if size == 1:
        return f"xsim {typed}"
    return f"torchrun --nproc-per-node {size} -m xsim_lib.app.cli {typed}"


@contextmanager
def _noted(rank: int) -> Iterator[list[str]]:
    """Collect the notes of `compare`, and print each one as it comes, once."""
    from xsim_lib.reading.comparison import Note

    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", Note)
        show = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *where: object) -> None:
            if not issubclass(category, Note):
                show(message, category, *where)
            elif str(message) not in notes:
                notes.append(str(message))
                if rank == 0:
                    typer.echo(f"note: {message}", err=True)

        warnings.showwarning = keep
        yield notes
