"""Settings of every experiment per profile: data, not code, checked before anything is trained.

``PAPER.yaml`` holds them, one table per profile. A chapter whose settings have more than the shared
fields defines them in ``PAPER.py`` as a class `Settings`, a subclass of the shared one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

import yaml
from pydantic import ValidationError

from xsim_lib.profiles.common import SCHEMES, Classification, Group, Scheme, Settings, Sweep

__all__ = [
    "PROFILES",
    "SCHEMES",
    "Classification",
    "Group",
    "Scheme",
    "Settings",
    "Sweep",
    "check",
    "papers",
    "settings",
]

PROFILES = ("smoke", "mini", "real", "paper")
_OF_GROUP = ("pairs", "n_parallel")  # overrides that a group may hold as its own


def papers() -> list[str]:
    """The papers that have settings."""
    return sorted(f.name[:-5] for f in files(__name__).iterdir() if f.name.endswith(".yaml"))


def check(paper: str, profile: str) -> None:
    """Raise ValueError unless there is such a profile (of the paper, if it has settings)."""
    known = tuple(_load(paper)) if paper in papers() else PROFILES
    if profile not in known:
        whose = f"{paper} has" if paper in papers() else "expected one of"
        raise ValueError(f"profile: {whose} {', '.join(known)}; got {profile!r}")


@cache
def _load(paper: str) -> dict[str, Any]:
    if paper not in papers():
        raise ValueError(f"paper: expected one of {', '.join(papers())}; got {paper!r}")
    return yaml.safe_load(files(__name__).joinpath(f"{paper}.yaml").read_text(encoding="utf-8"))


@cache
def _class(paper: str) -> type[Settings]:
    own = files(__name__).joinpath(f"{paper}.py").is_file()
    return import_module(f"{__name__}.{paper}").Settings if own else Settings


def settings(
    paper: str,
    profile: str,
    *,
    group: str = SCHEMES,
    checkpoints: Mapping[str, str | Mapping[str, Any]] | None = None,
    **overrides: Any,
) -> Settings:
    """Settings of a paper's chapter at a profile, with a notebook's overrides applied.

    Parameters
    ----------
    group : whose pairs, number of sentences and models are overridden.
    checkpoints : name -> public checkpoint (a hub name, a folder, or a mapping with ``checkpoint``,
        ``revision``, ``dtype`` and ``device``): these models take the place of the group's.
    **overrides : settings to replace; None keeps them. Of a mapping, such as ``unseen={"train": 60}``,
        only what it names.

    Raises
    ------
    ValueError : unknown paper or profile, or a value that does not fit, named with what was expected.
    """
    table = _load(paper)
    check(paper, profile)
    given = {key: value for key, value in overrides.items() if value is not None}
    values = {**table[profile], **given}
    for key, value in given.items():
        if isinstance(value, Mapping) and isinstance(table[profile].get(key), Mapping):
            values[key] = {**table[profile][key], **value}
    groups = {
        name: dict(own) if isinstance(own, Mapping) else {"models": own}
        for name, own in values.get("groups", {}).items()
    }
    if group in groups and group != SCHEMES:  # whose values are the chapter's
        own = {key: given[key] for key in _OF_GROUP if key in given}
        groups[group] |= own
        values |= {key: table[profile][key] for key in own}
    if checkpoints is not None:
        public = _public(checkpoints)
        named = {m for name, own in groups.items() if name != group for m in own["models"]}
        alone = set(values["models"]) - named  # of this group or, if it is "schemes", of none
        replaced = groups[group]["models"] if group in groups else alone
        kept = {m: v for m, v in values["models"].items() if m in named or m not in replaced}
        values["models"] = kept | public
        if group in groups or group == SCHEMES:
            groups[group] = {**groups.get(group, {}), "models": list(public)}
    if groups:
        values["groups"] = groups
    try:
        return _class(paper)(**values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}, got {e['input']!r}"
            for e in error.errors()
        )
        raise ValueError(f"{paper} at profile {profile!r}: {problems}") from error


def _public(checkpoints: Any) -> dict[str, Any]:
    if not isinstance(checkpoints, Mapping) or not checkpoints:
        raise ValueError(
            "checkpoints: expected a mapping of names to hub names or folders, such as "
            f"{{'mine': 'xlm-roberta-base'}}; got {checkpoints!r}"
        )
    return {
        name: {"checkpoint": one} if isinstance(one, str) else dict(one)
        for name, one in checkpoints.items()
    }
