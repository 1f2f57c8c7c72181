"""What a notebook starts with: settings checked, models at hand, records collected, a footer at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from xsim_lib import claims, hashing, loading, paths, profiles, records, zoo
from xsim_lib.models import LoadedModel
from xsim_lib.plots import Column
from xsim_lib.provenance import provenance
from xsim_lib.records import Records
from xsim_lib.texts import Classification, ParallelCorpus

__all__ = ["Run", "collect", "start", "sweep"]


@dataclass
class Run:
    """One execution of one notebook; made by `start`."""

    paper: str
    item: str
    profile: str
    seeds: tuple[int, ...]
    settings: profiles.Settings
    parameters: Mapping[str, Any]
    group: str = profiles.SCHEMES
    _rows: list[Records] = field(default_factory=list)
    _used: dict[str, dict] = field(default_factory=dict)
    _public: dict[str, dict] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    @property
    def pairs(self) -> tuple[str, ...]:
        return self.settings.group(self.group).pairs

    @property
    def names(self) -> tuple[str, ...]:
        """The models that this page compares, in the order of figures."""
        return self.settings.group(self.group).models

    @property
    def parallel(self) -> dict[str, ParallelCorpus]:
        """Aligned sentences of every pair."""
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
        return checkpoint

    def models(
        self, seed: int, *names: str, group: str | None = None
    ) -> dict[str, tuple[LoadedModel, float]]:
        """Load models of one group: name -> (model, held-out loss; nan of a public model).

        Parameters
        ----------
        names : some of the group's models; none for all.
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
        for name in names or known:
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
        """Add measurements; `constant` columns (model, seed, ...) hold for all of them."""
        self._rows.append(
            Records.of(rows, paper=self.paper, item=self.item, profile=self.profile, **constant)
        )

    @property
    def records(self) -> Records:
        """Everything this run has measured so far."""
        return records.merge(self._rows)

    def recorded(self, profile: str, item: str | None = None) -> Records | None:
        """Read the committed measurements of this item (or another) at `profile`, if there are any."""
        path = paths.results_dir(profile) / f"{self.paper}.{item or self.item}.csv"
        return records.read(path) if path.exists() else None

    def columns(self, *, reported: Records | None = None) -> list[Column]:
        """Whose numbers a figure shows, side by side: the paper, this build, the recorded runs."""
        found = [] if reported is None else [Column("paper", reported)]
        one = len(self.seeds) == 1
        label = f"seed {self.seeds[0]}" if one else f"{len(self.seeds)} seeds"
        found.append(Column(f"this build\n{self.profile}, {label}", self.records))
        for profile in ("mini", "real"):
            recorded = self.recorded(profile)
            if recorded is not None and self.profile != "smoke":
                count = len(recorded.seeds)
                seeds = "1 seed" if count == 1 else f"{count} seeds"
                found.append(Column(f"recorded\n{profile}, {seeds}", recorded))
        return found

    def overview(self) -> pd.DataFrame:
        """What this page was asked to do, and which claims it judges: the same on every machine."""
        group, prefix = self.settings.group(self.group), f"{self.paper}.{self.item}."
        ids = (c.id.removeprefix(prefix) for c in self._claims())
        judged = ", ".join(x.removeprefix(f"{self.paper}.") for x in ids)
        shown = {
            "profile": self.profile,
            "models": ", ".join(group.models),
            "pairs": ", ".join(group.pairs),
            "sentences per pair": group.n_parallel,
            "training seeds": ", ".join(map(str, self.seeds)),
            "claims": judged or "none",
        }
        return pd.DataFrame({"": shown})

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

    def verdicts(self) -> Styler:
        """Judge the claims about this item on this run and on what is recorded, as a table to read."""
        found = claims.item_table(self.paper, self.item, self.profile, self.records)
        table = pd.DataFrame(
            {
                "claim": [claims.get(c).statement for c in found["claim"]],
                "in the paper": [claims.get(c).reported for c in found["claim"]],
                "verdict": found["verdict"].str.replace("_", " "),
                "measured": found["measured"],
                "stands on": found["reason"],
            }
        )
        # A fixed id, so that the same verdicts give the same page.
        return table.style.hide(axis="index").set_uuid(f"verdicts-{self.paper}-{self.item}")

    def finish(self) -> pd.DataFrame:
        """Write the records with their provenance; return the footer of the page."""
        public = {"public_checkpoints": self._public} if self._public else {}
        made = provenance(
            code_hash=claims.code_hash(self.paper),
            data_hash=self._data_hash(),
            seeds=self.seeds,
            profile=self.profile,
            parameters={**self.parameters, **public},
            device=zoo.device(),
            seconds=time.monotonic() - self._started,
        )
        path = paths.build_dir(self.profile) / "records" / f"{self.paper}.{self.item}.parquet"
        records.write(self.records, path, made)
        training = sum(p["seconds"] for p in self._used.values())
        shown = {
            "profile": self.profile,
            "training seeds": ", ".join(map(str, self.seeds)),
            "device": f"{made['device']}, {made['threads']} thread(s)",
            "this page": f"{made['seconds']:.0f} s",
            "training behind it": f"{training:.0f} s",
            **({"public models": self._public_models()} if self._public else {}),
            "versions": ", ".join(f"{k} {v}" for k, v in made["versions"].items()),
            "data": made["data_hash"],
            "code": made["code_hash"][:16],
            "provenance id": made["id"],
        }
        return pd.DataFrame({"": shown})

    def _data_hash(self) -> str:
        """The training text; of public models nobody here knows it: the text they were compared on."""
        trained = sorted({p["data_hash"][:16] for p in self._used.values()})
        if trained:
            return "-".join(trained) if len(trained) < 4 else hashing.stable_hash(trained)[:16]
        return hashing.stable_hash(self._texts)[:16] if self._texts else "no text"

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
    for key, value in {"seeds": seeds, "checkpoints": checkpoints, **overrides}.items():
        if isinstance(value, str):
            raise ValueError(
                f"{key}: expected a {'mapping' if key == 'checkpoints' else 'list'}, got the string {value!r}; "
                f"with papermill write -y '{key}: [...]' instead of -p"
            )
    settings = profiles.settings(
        paper, profile, group=group, checkpoints=checkpoints, seeds=seeds, **overrides
    )
    settings.group(group)  # or a page would fail after the models of another group were trained
    parameters = {"item": item, "profile": profile, "seeds": list(settings.seeds), **overrides}
    if checkpoints is not None:
        parameters["checkpoints"] = dict(checkpoints)
    return Run(paper, name, profile, settings.seeds, settings, parameters, group)


def sweep(paper: str, profile: str, group: str = profiles.SCHEMES) -> Records:
    """Train every model of a group at every learning rate of its sweep and record the held-out loss.

    Runs on the sweep's own seed, which no figure reports. The rates with the lowest loss belong into
    ``profiles/PAPER.yaml``. Writes ``results/PROFILE/PAPER.sweep.csv`` (``PAPER.sweep.GROUP.csv`` for
    other groups than "schemes"); trained models are cached, so an interrupted sweep goes on where it
    stopped.

    Raises
    ------
    ValueError : an unknown group, or one without a sweep.
    """
    settings = profiles.settings(paper, profile)
    found = settings.group(group)
    if found.sweep is None:
        raise ValueError(f"group: {group} of {paper} has no sweep at {profile!r}")
    wanted = found.sweep
    item = "sweep" if group == profiles.SCHEMES else f"sweep.{group}"
    swept = [
        m for m in found.models if m in settings.trained and not settings.models[m].seed_offset
    ]
    rows, made, started = [], [], time.monotonic()
    for name in swept:
        for rate in wanted.learning_rates:
            spec = settings.spec(
                name, wanted.seed, learning_rate=rate, steps=wanted.steps, evaluations=1
            )
            checkpoint = zoo.get(spec)
            made.append(checkpoint.provenance)
            last = checkpoint.history.iloc[-1]
            rows.append(
                {"model": name, "variant": f"lr={rate:g}", "metric": "loss", "value": last["loss"]}
            )
    found = Records.of(rows, paper=paper, item=item, profile=profile, seed=wanted.seed)
    about = provenance(
        code_hash=made[0]["code_hash"],
        data_hash=made[0]["data_hash"],
        seeds=[wanted.seed],
        profile=profile,
        parameters=wanted.model_dump(),
        device=zoo.device(),
        seconds=time.monotonic() - started,
    )
    records.write(found, paths.results_dir(profile) / f"{paper}.{item}.csv", about)
    return found


def collect(profile: str) -> list[Path]:
    """Merge what `make record` left per seed into one small table per item under ``results/PROFILE``."""
    files: dict[str, list[Path]] = {}
    for path in sorted(paths.build_dir(profile).glob(f"seeds/*/{profile}/records/*.parquet")):
        files.setdefault(path.stem, []).append(path)
    if not files:
        raise FileNotFoundError(f"no records of single seeds at profile {profile!r}: make record")
    written = []
    for item, parts in files.items():
        merged = records.merge([records.read(path) for path in parts])
        made = [records.read_provenance(path) for path in parts]
        hashes = {m["code_hash"] for m in made}
        if len(hashes) > 1:
            raise ValueError(
                f"{item}: its seeds were measured by {len(hashes)} versions of the code"
            )
        about = provenance(
            code_hash=made[0]["code_hash"],
            data_hash=made[0]["data_hash"],
            seeds=merged.seeds,
            profile=profile,
            parameters={**made[0]["parameters"], "seeds": list(merged.seeds)},
            device=zoo.device(),
            seconds=sum(m["seconds"] for m in made),
        )
        # The rows of all seeds share the provenance that is committed with them.
        frame = merged.frame.assign(provenance=about["id"])
        path = paths.results_dir(profile) / f"{item}.csv"
        written.append(records.write(Records(frame), path, about))
    return written
