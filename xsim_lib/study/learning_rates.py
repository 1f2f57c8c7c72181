"""Choosing the learning rates of a chapter's models on a seed of its own."""

from __future__ import annotations

import time

from xsim_lib.evidence import paths, records, tracing
from xsim_lib.evidence.provenance import provenance_of
from xsim_lib.evidence.records import Records
from xsim_lib.study import profiles
from xsim_lib.training import zoo

__all__ = ["sweep"]


def sweep(paper: str, profile: str, group: str = profiles.SCHEMES) -> Records:
    """Train every model of a group at every learning rate of its sweep and record the held-out loss.

    Runs on the sweep's own seed, which no figure reports. The rates with the lowest loss belong into
    ``papers/PAPER/settings.yaml``. Writes ``results/PROFILE/PAPER.sweep.csv`` (``PAPER.sweep.GROUP.csv`` for
    other groups than "schemes"); trained models are cached, so an interrupted sweep goes on where it
    stopped.

    Raises
    ------
    ValueError : an unknown group, or one without a sweep.
    """
    settings = profiles.paper_settings(paper, profile)
    found = settings.group(group)
    if found.sweep is None:
        raise ValueError(f"group: {group} of {paper} has no sweep at {profile!r}")
    wanted = found.sweep
    item = "sweep" if group == profiles.SCHEMES else f"sweep.{group}"
    swept = [
        m for m in found.models if m in settings.trained and not settings.models[m].seed_offset
    ]
    rows, text, started = [], {}, time.monotonic()
    with tracing.traced() as trace:
        for name in swept:
            for rate in wanted.learning_rates:
                spec = settings.spec(
                    name, wanted.seed, learning_rate=rate, steps=wanted.steps, evaluations=1
                )
                checkpoint = zoo.get(spec)
                text[f"training of {name}"] = checkpoint.provenance["text"]["training"]
                loss = checkpoint.history["loss"].iloc[-1]
                rows.append(
                    {"model": name, "variant": f"lr={rate:g}", "metric": "loss", "value": loss}
                )
    found = Records.of(rows, paper=paper, item=item, profile=profile, seed=wanted.seed)
    about = provenance_of(
        text=text,
        trace=trace.fingerprints(),
        seeds=[wanted.seed],
        profile=profile,
        parameters=wanted.model_dump(),
        device=zoo.device(),
        seconds=time.monotonic() - started,
    )
    records.write_records(found, paths.results_dir(profile) / f"{paper}.{item}.csv", about)
    return found
