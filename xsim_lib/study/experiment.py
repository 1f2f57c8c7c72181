"""What a notebook starts with: settings checked, models at hand, records collected, a footer at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from xsim_lib.evidence import claims, hashing, paths, printed, records, tracing
from xsim_lib.evidence.agreement import Table
from xsim_lib.evidence.columns import FORWARD, TRAINED
from xsim_lib.evidence.definitions import library
from xsim_lib.evidence.provenance import provenance_of
from xsim_lib.evidence.records import Records
from xsim_lib.figures.plots import Column
from xsim_lib.models import loading
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.study import page, profiles, standing
from xsim_lib.text.types import Classification, ParallelCorpus
from xsim_lib.training import zoo

__all__ = ["Run", "start"]


# What fits something step by step, and amplifies the last digits of what it is given; `FORWARD` rows have none of
# it behind them. PARAFAC2 is among them: cut off after 100 sweeps, the same weights give other signatures on another
# processor.
_TRAINING = {
    "xsim_lib.training.pretraining.loop:pretrain",
    "xsim_lib.training.fitting:fit",
    "xsim_lib.factorization.solver:parafac2",
}
# Store and draw numbers, and change none.
_STORING = (
    "xsim_lib.evidence.columns",
    "xsim_lib.evidence.records",
    "xsim_lib.figures",
    "xsim_lib.papers.*.*figures",
    "xsim_lib.study.family_figures",
)
_PRINTED = "xsim_lib.evidence.printed:"


@dataclass
class Run:
    """One execution of one notebook; made by `start`.

    Attributes
    ----------
    other : parameters whose values are not the page's own. Without any, the run's records are those that the
        book is judged on.
    fewer : what a live build leaves to the recorded runs: parameters with their values here.
    models_asked : models that it is limited to; none for all.
    """

    paper: str
    item: str
    profile: str
    seeds: tuple[int, ...]
    settings: profiles.PaperSettings
    parameters: Mapping[str, Any]
    group: str = profiles.SCHEMES
    other: Mapping[str, Any] = field(default_factory=dict)
    fewer: Mapping[str, Any] = field(default_factory=dict)
    models_asked: tuple[str, ...] = ()
    _rows: list[Records] = field(default_factory=list)
    _used: dict[str, dict] = field(default_factory=dict)
    _folders: dict[str, Path] = field(default_factory=dict)
    _public: dict[str, dict] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _ran: set[str] = field(default_factory=set)
    _started: float = field(default_factory=time.monotonic)
    _cpu: float = field(default_factory=time.process_time)

    @property
    def pairs(self) -> tuple[str, ...]:
        return self.settings.group(self.group).pairs

    @property
    def names(self) -> tuple[str, ...]:
        """The models that this page compares, in the order of figures."""
        return self.names_of(self.group)

    def names_of(self, group: str) -> tuple[str, ...]:
        """Those of the models of a group that the page was asked for."""
        known = self.settings.group(group).models
        return tuple(m for m in known if m in self.models_asked) if self.models_asked else known

    @cached_property
    def parallel(self) -> dict[str, ParallelCorpus]:
        """Aligned sentences of every pair, made or read once."""
        group = self.settings.group(self.group)
        found = {pair: group.source.parallel(pair, group.n_parallel) for pair in group.pairs}
        self._texts |= {pair: corpus.fingerprint for pair, corpus in found.items()}
        return found

    def classification(self, language: str, split: str) -> Classification:
        """Labelled pairs of one language: split "train" or "test"."""
        wanted = self.settings.classification
        n = wanted.train if split == "train" else wanted.test
        source = self.settings.group(self.group).source
        found = source.classification(language, n, split)
        self._texts[f"{language}/{split}"] = found.fingerprint
        return found

    def checkpoint(self, name: str, seed: int) -> zoo.Checkpoint:
        """Train the chapter's model `name` from `seed`, or fetch it from the cache.

        Raises
        ------
        ValueError : an unknown model, or a public one, which has no training run.
        """
        return self.trained(self.settings.spec(name, seed), f"{name}/{seed}")

    def trained(self, spec: zoo.ModelSpec, name: str) -> zoo.Checkpoint:
        """Train any model, or fetch it from the cache; `name` is what the provenance calls it."""
        checkpoint = zoo.get(spec)
        self._used[name] = checkpoint.provenance
        self._folders[name] = checkpoint.directory
        self._texts[f"training of {name}"] = checkpoint.provenance["text"]["training"]
        return checkpoint

    def models(
        self, seed: int, *names: str, group: str | None = None
    ) -> dict[str, tuple[LoadedModel, float]]:
        """Load models of one group: name -> (model, held-out loss; nan of a public model).

        Parameters
        ----------
        names : some of the group's models; none for all that the page was asked for.
        group : such as "schemes"; None for the group of the page.

        Raises
        ------
        ValueError : an unknown group, or a name that the group does not have.

        Notes
        -----
        Schemes are compared at equal held-out loss, always that of all of them, also where a page
        shows only one, so that every page shows the same model. The models of other groups have had
        the same number of steps and tokens, and are compared at the end of their training.
        """
        return {name: (model, loss) for name, model, loss in self.each(seed, *names, group=group)}

    def each(
        self, seed: int, *names: str, group: str | None = None
    ) -> Iterator[tuple[str, LoadedModel, float]]:
        """Load the same models as `models`, one at a time: large ones need not fit together."""
        group = self.group if group is None else group
        known = self.settings.group(group).models
        for name in names:
            if name not in known:
                raise ValueError(f"names: group {group} has {', '.join(known)}; got {name!r}")
        trained = [m for m in known if m in self.settings.trained]
        chosen = {}
        if group == profiles.SCHEMES and trained:
            chosen = zoo.at_equal_loss({m: self.checkpoint(m, seed) for m in trained})
        for name in names or self.names_of(group):
            if name in chosen:
                yield name, *chosen[name]
            elif name in trained:
                checkpoint = self.checkpoint(name, seed)
                yield name, checkpoint.load(), float(checkpoint.history["loss"].iloc[-1])
            else:
                yield name, self._load_public(name), float("nan")

    def _load_public(self, name: str) -> LoadedModel:
        scheme = self.settings.models[name]
        loaded = loading.load(
            scheme.checkpoint,
            revision=scheme.revision,
            dtype=scheme.dtype,
            device=scheme.device or zoo.device(),
        )
        self._public[name] = {
            **loading.identity(scheme.checkpoint, loaded),
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
        }
        return loaded

    def record(self, rows: pd.DataFrame | Sequence[Mapping], **constant: Any) -> None:
        """Add measurements; `constant` columns (model, seed, ...) hold for all of them.

        Rows say how they were made (`made_by`): "trained" as soon as anything on this page, or behind a
        model that it uses, was trained or factorised here; else "forward".
        """
        self._ran = tracing.so_far()
        made_by = TRAINED if self._ran & _TRAINING else FORWARD
        place = {"paper": self.paper, "item": self.item, "profile": self.profile}
        if (scheme := self.settings.models.get(constant.get("model"))) and scheme.in_place_of:
            place["in_place_of"] = scheme.in_place_of
        self._rows.append(Records.of(rows, **place, **{"made_by": made_by, **constant}))

    @property
    def records(self) -> Records:
        """Everything this run has measured so far."""
        return records.merge_records(self._rows)

    def recorded(self, profile: str, item: str | None = None) -> Records | None:
        """Read the committed measurements of this item (or another) at `profile`, if there are any."""
        path = paths.results_dir(profile) / f"{self.paper}.{item or self.item}.csv"
        return records.read_records(path) if path.exists() else None

    def columns(self, *, reported: Records | None = None) -> list[Column]:
        """Whose numbers a figure shows, side by side: the paper, this build, the recorded runs."""
        # What the paper and other profiles call otherwise stands in the row of this page's stand-in.
        names = {self.settings.models[name].in_place_of or name: name for name in self.names}
        called = {name: paper for paper, name in names.items()}
        found = [] if reported is None else [Column("paper", reported.named(names), called=called)]
        one = len(self.seeds) == 1
        label = f"seed {self.seeds[0]}" if one else f"{len(self.seeds)} seeds"
        found.append(Column(f"this build\n{self.profile}, {label}", self.records, self.profile))
        for profile in ("mini", "real"):
            recorded = self.recorded(profile)
            if recorded is not None and self.profile != "smoke":
                count = len(recorded.seeds)
                seeds = "1 seed" if count == 1 else f"{count} seeds"
                title = f"recorded\n{profile}, {seeds}"
                found.append(Column(title, recorded.named(names), profile))
        return found

    def overview(self) -> pd.DataFrame:
        """What this page was asked to do, and which claims it judges: the same on every machine."""
        group, prefix = self.settings.group(self.group), f"{self.paper}.{self.item}."
        ids = (c.id.removeprefix(prefix) for c in self._claims())
        judged = ", ".join(x.removeprefix(f"{self.paper}.") for x in ids)
        shown = {
            "profile": self.profile,
            "models": ", ".join(map(self._called, self.names)),
            "pairs": ", ".join(group.pairs),
            "sentences per pair": group.n_parallel,
            "training seeds": ", ".join(map(str, self.seeds)),
            "claims": judged or "none",
        }
        if self.fewer:
            left = "; ".join(f"{name}: {_told(value)}" for name, value in self.fewer.items())
            shown["this build measures only"] = f"{left} (the recorded runs, below, have the rest)"
        return pd.DataFrame({"": shown})

    def _called(self, name: str) -> str:
        scheme = self.settings.models.get(name)
        return f"{name} (for {scheme.in_place_of})" if scheme and scheme.in_place_of else name

    def _claims(self) -> tuple[claims.Claim, ...]:
        """Those that this page's measurements are judged by."""
        try:
            return claims.claims_of(self.paper, self.item)
        except ValueError:  # a page that no claim is about
            return ()

    def coverage(self) -> pd.DataFrame:
        """How many values were measured, by metric and baseline: the same on every machine."""
        frame = self.records.frame
        kind = frame["baseline"].replace("", "measured")
        return pd.crosstab(frame["metric"], kind).rename_axis(columns=None)

    def verdicts(self) -> standing.Verdicts:
        """Judge the claims about this item on this run and on what is recorded, as a table to read."""
        with tracing.paused():  # so that an edited claim does not run a page again
            measured = Table(self.records, self._provenance())
            table = f"{self.paper}.{self.item}"
            return standing.run_table(table, self.profile, measured, other=tuple(self.other))

    def _provenance(self) -> dict:
        public = {"public_checkpoints": self._public} if self._public else {}
        text = dict(self._texts)
        if any(name.startswith(_PRINTED) for name in self._ran):  # measured from what is printed
            text["printed numbers"] = printed.printed_fingerprint(self.paper)
        return provenance_of(
            text=text,
            seeds=self.seeds,
            profile=self.profile,
            parameters={**self.parameters, **public, "page": self.other},
            settings=profiles.resolved(self.parameters),
            cells=page.cells(),
            weights=self._weights(),
            checkpoints={name: folder.name for name, folder in self._folders.items()},
            trace=tracing.Trace(self._ran).fingerprints(without=_STORING),
            device=zoo.device(),
            seconds=time.monotonic() - self._started,
            cpu_seconds=time.process_time() - self._cpu,
        )

    def finish(self) -> pd.DataFrame:
        """Write the records with their provenance; return the footer of the page."""
        made = self._provenance()
        path = self._path()
        records.write_records(self.records, path, made)
        training = sum(p["seconds"] for p in self._used.values())
        shown = {
            "profile": self.profile,
            "training seeds": ", ".join(map(str, self.seeds)),
            "device": f"{made['device']}, {made['threads']} thread(s)",
            "this page": f"{made['seconds']:.0f} s",
            "training behind it": f"{training:.0f} s",
            **self._shipped(),
            **({"public models": self._public_models()} if self._public else {}),
            "versions": ", ".join(f"{k} {v}" for k, v in made["versions"].items()),
            "data": made["data_hash"],
            "code": ", ".join(
                filter(None, (hashing.stable_hash(made["trace"])[:16], made["commit"]))
            ),
            "provenance id": made["id"],
        }
        if self.other:
            shown["records"] = (
                f"{path.parent.name}/{path.name}: {', '.join(self.other)} are not the page's own, so the "
                "book is not judged on them"
            )
        return pd.DataFrame({"": shown})

    def _shipped(self) -> dict[str, str]:
        """What the footer says of models that ship with the library."""
        found = {name: p for name, p in self._used.items() if "shipped" in p}
        if not found:
            return {}
        changed = {f for p in found.values() for f in library().changed(p["trace"])}
        since = f"; {len(changed)} functions have changed since" if changed else ""
        commits = ", ".join(sorted({p["commit"] for p in found.values()}))
        return {"shipped models": f"{len(found)} of {len(self._used)}, trained at {commits}{since}"}

    def _path(self) -> Path:
        """Where the records go: never over those that the book is judged on, if this run is another one."""
        name = f"{self.paper}.{self.item}.parquet"
        if not self.other or os.environ.get("XSIM_RECORDS"):
            return paths.records_dir(self.profile) / name
        other = hashing.stable_hash([self.parameters, self.other])[:12]
        return paths.build_dir(self.profile) / "other" / other / name

    def _weights(self) -> dict[str, str]:
        """Of every model that was loaded, by name and seed; trained ones with all their snapshots."""
        trained = {name: hashing.stable_hash(p["weights"])[:16] for name, p in self._used.items()}
        public = {
            name: (p.get("weights") or p["revision"])[:16] for name, p in self._public.items()
        }
        return trained | public

    def _public_models(self) -> str:
        return ", ".join(
            f"{p['checkpoint']} at {(p.get('revision') or p.get('weights'))[:12]}"
            for p in self._public.values()
        )


def start(
    item: str,
    *,
    profile: str,
    seeds: Sequence[int] | None = None,
    group: str = profiles.SCHEMES,
    checkpoints: Mapping[str, Any] | None = None,
    models: Sequence[str] | None = None,
    judged: bool = True,
    **overrides: Any,
) -> Run:
    """Begin a notebook: check every parameter before anything is trained.

    Parameters
    ----------
    item : paper and figure or table, such as ``"anc2022.fig4"``.
    profile : "smoke", "mini", "real" or "paper".
    seeds : training seeds; None takes the profile's own.
    group : the set of models that the page compares, such as "families".
    checkpoints : name -> public checkpoint (hub name, folder, or a mapping with ``checkpoint``,
        ``revision``, ``dtype``, ``device``) that take the place of the group's models.
    models : names of the group's models (and of others that the page compares them with) to limit the page to.
    judged : False for a page that no claim is about; its item is the first word of its file's name.
    **overrides : settings of the profile to replace, such as ``pairs=["en-fr"]``; None keeps them.

    Raises
    ------
    ValueError : an unknown item, profile or setting, or a value of the wrong type, such as a string
        where a list belongs (which is what ``papermill -p pairs '[en-fr]'`` passes: use ``-y``).
    """
    paper, _, name = item.partition(".")
    if not name:
        raise ValueError(f"item: expected PAPER.ITEM such as 'anc2022.fig4', got {item!r}")
    if judged:
        claims.claims_of(paper, name)  # or verdicts would fail, after hours
    asked = {"seeds": seeds, "checkpoints": checkpoints, "models": models}
    for key, value in {**asked, **overrides}.items():
        if isinstance(value, str):
            raise ValueError(
                f"{key}: expected a {'mapping' if key == 'checkpoints' else 'list'}, got the string {value!r}; "
                f"with papermill write -y '{key}: [...]' instead of -p"
            )
    settings = profiles.paper_settings(
        paper, profile, group=group, checkpoints=checkpoints, seeds=seeds, **overrides
    )
    known = settings.group(
        group
    ).models  # or a page would fail after the models of another group were trained
    if models is not None and not (
        set(models) <= set(settings.models) and set(models) & set(known)
    ):
        raise ValueError(f"models: group {group} has {', '.join(known)}; got {', '.join(models)}")
    given = {key: value for key, value in overrides.items() if value is not None}
    parameters = {"item": item, "profile": profile, "seeds": list(settings.seeds), "group": group}
    parameters |= given
    if checkpoints is not None:
        parameters["checkpoints"] = dict(checkpoints)
    if models is not None:
        parameters["models"] = given["models"] = list(models)
    other, fewer = page.given(item), page.fewer(item)
    if other is None:  # no page: whatever was asked for
        other = given if checkpoints is None else {**given, "checkpoints": checkpoints}
        other |= {"seeds": list(settings.seeds)}
    if settings.seeds == profiles.paper_settings(paper, profile).seeds:
        other.pop("seeds", None)
    tracing.watch()
    return Run(
        paper, name, profile, settings.seeds, settings, parameters, group, other, fewer,
        tuple(models or ()),
    )  # fmt: skip


def _told(value: Any) -> str:
    """A value of a parameter in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_told(v)}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
