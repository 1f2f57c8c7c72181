"""Training what ships with the library, of one paper at one profile: `xsim ship`, and the first step of `make record`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from xsim_lib.evidence.definitions import library
from xsim_lib.study import profiles
from xsim_lib.training import zoo
from xsim_lib.training.zoo import shipping

__all__ = ["ship", "void"]


def void(paper: str, profile: str) -> dict[tuple[str, int], list[str]]:
    """What ships no more: (model, seed) -> the settings that say something else than when it was trained."""
    settings, found = profiles.paper_settings(paper, profile), {}
    for seed in settings.seeds:
        for name in settings.ships:
            spec = settings.shipped(name, seed)
            if shipping.find_shipped(spec) is None:
                found[name, seed] = shipping.obstacles(paper, name, seed, spec)
    return found


def ship(paper: str, profile: str) -> Iterator[str]:
    """Train the models that are void, or that other code trained, and put them in the place of what ships.

    Yields
    ------
    str : a line per model. One that the cache holds is not trained again; the code that trained it is today's.

    Notes
    -----
    Of schemes ships the snapshot that pages compare: that at equal held-out loss (`zoo.at_equal_loss`).
    """
    settings = profiles.paper_settings(paper, profile)
    for seed in settings.seeds:
        specs = {name: settings.shipped(name, seed) for name in settings.ships}
        stale = [name for name, spec in specs.items() if not _stands(spec)]
        # Which snapshot of a scheme is compared depends on all of them.
        schemes = [m for m in settings.schemes if m in specs]
        if any(name in schemes for name in stale):
            stale = [name for name in specs if name in (*stale, *schemes)]
        trained = {name: zoo.get(specs[name], shipped=False) for name in stale}
        chosen = {name: one.steps[-1] for name, one in trained.items()}
        chosen |= zoo.equal_loss_steps({m: trained[m] for m in schemes if m in trained})
        for name, checkpoint in trained.items():
            first = zoo.first_losses(specs[name], shipping.FIRST_STEPS)
            found = shipping.write_shipped(paper, name, seed, checkpoint, chosen[name], first)
            size = found.about["bytes"] / 1000
            yield f"{found.name}: step {chosen[name]}, held-out loss {found.about['loss']:.4f}, {size:.0f} kB"
        for name in specs:
            if name not in stale:
                yield f"{paper} {name}, seed {seed}: ships as it is"


def _stands(spec: zoo.ModelSpec) -> bool:
    """Whether it ships, trained by code that says the same today."""
    found = shipping.find_shipped(spec)
    if found is None:
        return False
    made = json.loads((found.folder / "provenance.json").read_text(encoding="utf-8"))
    return not library().changed(made["trace"])
