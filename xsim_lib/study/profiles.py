"""Settings of every experiment per profile: data, not code, checked before anything is trained.

``papers/PAPER/settings.yaml`` holds them, one table per profile. A chapter whose settings have more than
the shared fields defines them in ``settings.py`` beside it, as a subclass of the shared one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from xsim_lib.evidence import chapters
from xsim_lib.evidence.yaml_files import read_yaml
from xsim_lib.study.settings import (
    SCHEMES,
    ClassificationSettings,
    Group,
    Live,
    PaperSettings,
    Scheme,
    Sweep,
)

__all__ = [
    "PROFILES",
    "SCHEMES",
    "ClassificationSettings",
    "Group",
    "Live",
    "PaperSettings",
    "Scheme",
    "Sweep",
    "check",
    "paper_settings",
    "papers_at",
    "papers_with_settings",
    "resolved",
]

PROFILES = ("smoke", "mini", "real", "paper")
_OF_GROUP = ("pairs", "n_parallel")  # overrides that a group may hold as its own


def papers_with_settings() -> list[str]:
    """The papers that have settings."""
    return sorted(x for x in chapters.names() if (chapters.folder(x) / "settings.yaml").is_file())


def papers_at(profile: str) -> list[str]:
    """The papers that have settings at a profile: not every paper can be measured at every scale."""
    return [paper for paper in papers_with_settings() if profile in _load(paper)]


def check(paper: str, profile: str) -> None:
    """Raise ValueError unless there is such a profile (of the paper, if it has settings)."""
    known = tuple(_load(paper)) if paper in papers_with_settings() else PROFILES
    if profile not in known:
        whose = f"{paper} has" if paper in papers_with_settings() else "expected one of"
        raise ValueError(f"profile: {whose} {', '.join(known)}; got {profile!r}")


@cache
def _load(paper: str) -> dict[str, Any]:
    if paper not in papers_with_settings():
        raise ValueError(
            f"paper: expected one of {', '.join(papers_with_settings())}; got {paper!r}"
        )
    return read_yaml(chapters.folder(paper) / "settings.yaml")


@cache
def _class(paper: str) -> type[PaperSettings]:
    for module in chapters.modules(paper, "settings"):
        own = [
            x
            for x in vars(module).values()
            if isinstance(x, type) and x.__module__ == module.__name__
        ]
        return next(x for x in own if issubclass(x, PaperSettings))
    return PaperSettings


def paper_settings(
    paper: str,
    profile: str,
    *,
    group: str = SCHEMES,
    checkpoints: Mapping[str, str | Mapping[str, Any]] | None = None,
    **overrides: Any,
) -> PaperSettings:
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


def resolved(parameters: Mapping[str, Any], *, defaults: bool = True) -> dict[str, Any]:
    """What the settings behind a run's parameters say today, as JSON values; without its seeds.

    Parameters
    ----------
    parameters : as a run's provenance holds them: ``item``, ``profile``, ``group`` and what it overrides.
    defaults : False leaves out options that have their default value.
    """
    given = dict(parameters)
    paper = given.pop("item").partition(".")[0]
    for other in ("seeds", "page", "public_checkpoints", "models"):
        given.pop(other, None)
    found = paper_settings(paper, **given)
    return found.model_dump(mode="json", exclude={"seeds"}, exclude_defaults=not defaults)


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
