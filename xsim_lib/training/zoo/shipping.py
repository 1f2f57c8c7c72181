"""Trained models that come with the library, so that a live build measures and does not train.

``shipped/models.csv`` names them. Each has a folder as the cache of `zoo` has it, with one snapshot, rounded to
float16, its training curve and its provenance. A shipped model stands for a specification: it is valid while the
settings of its training and the rules of its tokenizer are those that it was shipped with. The code that made its
text may say something else by now; that is said where the model is used, and is no reason to train.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from filelock import FileLock
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from xsim_lib.evidence import paths
from xsim_lib.evidence.hashing import atomic_write, file_sha256, stable_hash
from xsim_lib.models.fingerprints import tokenizer_hash
from xsim_lib.text.types import Corpus
from xsim_lib.training.pretraining import language_model_loss, read_text
from xsim_lib.training.pretraining.sentences import split
from xsim_lib.training.zoo.spec import ModelSpec

if TYPE_CHECKING:
    from xsim_lib.training.zoo import Checkpoint

__all__ = [
    "FIRST_STEPS",
    "FOLDER",
    "Shipped",
    "find_shipped",
    "held_out_loss",
    "obstacles",
    "rules_hash",
    "shipped_table",
    "spec_fingerprint",
    "write_shipped",
]

FOLDER = paths.LIBRARY / "shipped"
FIRST_STEPS = 50
"""Steps of a training run whose losses are kept, to see whether it goes the same way today."""

_TABLE = "models.csv"
_SAMPLE = 16  # held-out sentences per language; half of them are measured, see `held_out_loss`
_LARGEST = 2_000_000  # bytes of a file


@dataclass(frozen=True)
class Shipped:
    """Where a shipped model lies, and what its row of the table says of it.

    Attributes
    ----------
    folder : with ``snapshots``, ``history.csv`` and ``provenance.json``, as in the cache of `zoo`.
    tokenizers : folder of its tokenizer; of several languages, a folder for each.
    about : its row of the table.
    """

    folder: Path
    tokenizers: Path
    about: Mapping[str, object]

    @property
    def name(self) -> str:
        return f"{self.about['paper']} {self.about['model']}, seed {self.about['seed']}"

    @property
    def weights(self) -> Path:
        return self.folder / "snapshots" / f"{self.about['step']:07d}" / "model.safetensors"

    def check(self) -> None:
        """Raise ValueError, naming the file, unless its weights are those that were shipped."""
        found = file_sha256(self.weights) if self.weights.is_file() else "no file"
        if found != self.about["sha256"]:
            raise ValueError(
                f"{self.weights}: expected the weights of {self.name}, sha256 {self.about['sha256'][:12]}...; got "
                f"{found[:12]}. Restore the file (git checkout, or install again), or train it: xsim ship {self.about['paper']}"
            )

    def check_tokenizer(self, tokenizers: object) -> None:
        """Raise ValueError, naming the folder, unless a tokenizer that was read from it cuts text as it was shipped."""
        found = rules_hash(tokenizers)
        if found != self.about["tokenizer"]:
            raise ValueError(
                f"{self.tokenizers}: expected the tokenizer of {self.name}, {self.about['tokenizer']}; got {found}"
            )


def shipped_table() -> pd.DataFrame:
    """What ships, one row per model.

    Returns
    -------
    DataFrame : paper, model, seed; folder; step; loss (of the rounded file, held out), loss_of_sample; parameters,
        bytes; cpu_seconds (of its training); settings, tokenizer, text (fingerprints); sha256 (of the file).
    """
    prints = dict.fromkeys(("settings", "tokenizer", "text", "sha256"), str)
    return pd.read_csv(FOLDER / _TABLE, dtype=prints)


def find_shipped(spec: ModelSpec) -> Shipped | None:
    """The model that ships for a specification, if there is one.

    Raises
    ------
    ValueError : there is, but its file is not the one that was shipped (named).
    """
    return _known(FOLDER).get(spec_fingerprint(spec))


@cache
def _known(folder: Path) -> dict[str, Shipped]:
    """Everything that ships, by settings; files are looked at when they are first asked for."""
    if not (folder / _TABLE).exists():
        return {}
    rows = shipped_table().to_dict("records")
    return {
        row["settings"]: Shipped(
            folder / row["folder"], folder / "tokenizers" / row["tokenizer"], row
        )
        for row in rows
    }


def obstacles(paper: str, model: str, seed: int, spec: ModelSpec) -> list[str]:
    """Why the model that ships under a name does not stand for `spec`: settings that say something else today."""
    rows = shipped_table().query("paper == @paper and model == @model and seed == @seed")
    if rows.empty:
        return ["nothing ships under this name"]
    about = json.loads((FOLDER / rows["folder"].iloc[0] / "provenance.json").read_text("utf-8"))
    then, now = (_leaves(x) for x in (about["parameters"], spec.model_dump(mode="json")))
    return [
        f"{name} was {then.get(name)!r}, is {now.get(name)!r}"
        for name in sorted({*then, *now} - {"name", "n_parameters"})
        if then.get(name) != now.get(name)
    ]


def held_out_loss(checkpoint: Checkpoint, corpus: Corpus, held_out: int) -> float:
    """Loss of a checkpoint's last snapshot on the sentences of `corpus` that training would hold out.

    Parameters
    ----------
    held_out : sentences per language, evenly spaced.
    """
    settings = checkpoint.spec.training.model_copy(update={"held_out": held_out})
    model = checkpoint.language_model().eval()
    texts = read_text(
        corpus, checkpoint.tokenizers(), settings, own_words=model.config.separate_embeddings
    )
    return language_model_loss(model, texts, settings)


def write_shipped(
    paper: str, name: str, seed: int, checkpoint: Checkpoint, step: int, first_losses: list[float]
) -> Shipped:
    """Ship one snapshot of a trained model in the place of what was shipped under this name.

    Parameters
    ----------
    paper, name, seed : what the table calls it.
    step : of the snapshot.
    first_losses : of its first `FIRST_STEPS` steps.

    Raises
    ------
    ValueError : its file would be larger than 2 MB.
    """
    spec, corpus = checkpoint.spec, checkpoint.spec.source.training()
    sample = {x: split(corpus, x, spec.training.held_out)[1][:_SAMPLE] for x in corpus.languages}
    rules = rules_hash(checkpoint.tokenizers())
    with tempfile.TemporaryDirectory() as scratch:
        own = replace(checkpoint, directory=Path(scratch), tokenizer=checkpoint.tokenizer_folder)
        file = _rounded(checkpoint, own, step)
        sha256, size = file_sha256(file), file.stat().st_size
        if size > _LARGEST:
            raise ValueError(f"{name}: expected a file of 2 MB at most, got {size:,} bytes")
        about = {
            "paper": paper,
            "model": name,
            "seed": seed,
            "folder": f"{paper}/{name.replace(' ', '_')}.{seed}-{sha256[:8]}",
            "step": step,
            "loss": round(held_out_loss(own, corpus, spec.training.held_out), 6),
            "loss_of_sample": round(held_out_loss(own, Corpus("sample", sample), _SAMPLE // 2), 6),
            "parameters": checkpoint.provenance["parameters"]["n_parameters"],
            "bytes": size,
            "cpu_seconds": checkpoint.provenance["cpu_seconds"],
            "settings": spec_fingerprint(spec),
            "tokenizer": rules,
            "text": corpus.fingerprint[:16],
            "sha256": sha256,
        }
        made = checkpoint.provenance | {
            "weights": {f"{step:07d}": sha256[:16]},
            "shipped": {"sample": sample, "first_losses": first_losses},
        }
        (own.directory / "provenance.json").write_text(json.dumps(made, indent=1), "utf-8")
        # Contents are part of the folders' names: the table names whole ones only, whenever it is read.
        for source, target in (
            (own.directory, FOLDER / about["folder"]),
            (checkpoint.tokenizer_folder, FOLDER / "tokenizers" / rules),
        ):
            if not target.exists():
                with atomic_write(target) as temporary:
                    shutil.copytree(source, temporary)
    _list(about)
    return _known(FOLDER)[about["settings"]]


def _rounded(checkpoint: Checkpoint, own: Checkpoint, step: int) -> Path:
    """Copy one snapshot and the training curve; the file of the weights, which are float16."""
    place = own.directory / "snapshots" / f"{step:07d}"
    shutil.copytree(checkpoint.directory / "snapshots" / place.name, place)
    shutil.copyfile(checkpoint.directory / "history.csv", own.directory / "history.csv")
    file = place / "model.safetensors"
    halves = {k: v.half() if v.is_floating_point() else v for k, v in load_file(file).items()}
    save_file(halves, file, metadata={"format": "pt"})
    return file


def _list(about: Mapping[str, object]) -> None:
    """Put a row into the table, and remove the folders that no row names any more."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER / ".lock"):
        path, name = FOLDER / _TABLE, ["paper", "model", "seed"]
        earlier = shipped_table() if path.exists() else pd.DataFrame()
        rows = pd.concat([earlier, pd.DataFrame([about])], ignore_index=True)
        rows = rows.drop_duplicates(name, keep="last").sort_values(name)
        with atomic_write(path) as temporary:
            rows.to_csv(temporary, index=False)
        named = {FOLDER / x for x in rows["folder"]} | {FOLDER / "tokenizers" / x for x in rows["tokenizer"]}  # fmt: skip
        for folder in set(paths.visible(FOLDER, "*/*")) - named:
            shutil.rmtree(folder)
    _known.cache_clear()


def spec_fingerprint(spec: ModelSpec) -> str:
    """What a specification says, in 16 hex digits: not what its models are called, nor options that are not used."""
    return stable_hash(_settings(spec))[:16]


def _settings(spec: ModelSpec) -> dict:
    found = spec.model_dump(mode="json", exclude_defaults=True, exclude={"name", "start_from"})
    if spec.start_from is not None:
        found["start_from"] = _settings(spec.start_from)
    return found


def rules_hash(tokenizers: PreTrainedTokenizerBase | Mapping[str, PreTrainedTokenizerBase]) -> str:
    """The rules of a tokenizer, or of one per language, in 16 hex digits."""
    if isinstance(tokenizers, Mapping):
        return stable_hash({x: tokenizer_hash(t) for x, t in tokenizers.items()})[:16]
    return tokenizer_hash(tokenizers)[:16]


def _leaves(value: object, path: str = "") -> dict[str, object]:
    """Single values by dotted path."""
    if not isinstance(value, Mapping):
        return {path: value}
    found = {}
    for key, item in value.items():
        found |= _leaves(item, f"{path}.{key}".lstrip("."))
    return found
