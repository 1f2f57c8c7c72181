"""Public and local checkpoints, loaded strictly or not at all.

A weight that a checkpoint lacks is filled with noise by transformers, and one that the architecture
does not know is dropped; both only print a table. A similarity measured on such a model is a number
about no model, so here both are errors.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xsim_lib.evidence.hashing import atomic_write, file_sha256, stable_hash
from xsim_lib.evidence.paths import visible
from xsim_lib.models.untrusted import first_line, is_about_code, refuse_kernels, require_safetensors

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from xsim_lib.models.encoder import LoadedModel

__all__ = [
    "convert_to_safetensors",
    "identity",
    "load",
    "quiet_transformers",
    "read_config",
    "token_limit",
]

#: Task heads and poolers that sit on top of an encoder. Hidden states do not pass through them, so a
#: checkpoint may have them; every other weight the encoder does not know is refused.
TASK_HEADS = {
    "head.": "masked language model (xsim)",
    "cls.": "masked language model, next sentence (BERT)",
    "lm_head.": "language model (RoBERTa, XLM-R, XGLM)",
    "predictions.": "masked language model (ALBERT)",
    "vocab_transform.": "masked language model (DistilBERT)",
    "vocab_layer_norm.": "masked language model (DistilBERT)",
    "vocab_projector.": "masked language model (DistilBERT)",
    "pre_classifier.": "classification (DistilBERT)",
    "classifier.": "classification of sentences or tokens",
    "score.": "classification (causal models)",
    "qa_outputs.": "question answering",
    "pooler.": "the first token's summary, after the last layer",
}
DTYPES = ("float32", "bfloat16", "float16", "float64")
_SHOWN = 20


def load(
    name_or_folder: str | os.PathLike,
    *,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device = "cpu",
    local_files_only: bool = False,
) -> LoadedModel:
    """Load a base encoder (or a causal model) and its tokenizer, or say exactly why not.

    Parameters
    ----------
    name_or_folder : str or path
        A folder holding ``config.json``, ``model.safetensors`` (or its shards) and the tokenizer's
        files, or a name on the hub such as ``"xlm-roberta-base"``.
    revision : str, optional
        Branch, tag or commit on the hub. All files are taken from the one commit it resolves to.
    dtype : {"float32", "bfloat16", "float16", "float64"} or torch.dtype, optional
        Precision of the weights; float32 unless told, whatever the checkpoint was saved in.
    device : str or torch.device
        ``"auto"`` spreads a model that is too large for one GPU over all of them.
    local_files_only : bool
        Never connect: take hub names from the local cache only.

    Returns
    -------
    LoadedModel in evaluation mode, named after the hub or the folder. The tokenizer pads on the right.

    Raises
    ------
    ValueError : nothing to load under this name; weights that are missing, of another shape, or
        unknown to the architecture (other than `TASK_HEADS`), all listed; no safetensors file; no
        vocabulary; no hidden states; an encoder-decoder; an unknown dtype or device.

    Notes
    -----
    Code that comes with a checkpoint is never run and pickled weights are never read; see `convert_to_safetensors`.
    The pooler is left out where the class allows it: no hidden state passes through it.
    """
    from xsim_lib.models.encoder import LoadedModel

    folder = Path(name_or_folder).expanduser()
    is_local = folder.is_dir()
    source = str(folder) if is_local else str(name_or_folder)
    placement = {**_placement(device), "dtype": _dtype(dtype)}
    with quiet_transformers(downloads=not is_local):
        config = read_config(source, is_local, revision, local_files_only)
        # Pinning the commit takes every file from the same one, and needs no connection once cached.
        commit = getattr(config, "_commit_hash", None) or revision
        options = {"revision": commit or "main", "local_files_only": local_files_only or is_local}
        model = _model(source, is_local, config, {**options, **placement})
        tokenizer = _tokenizer(source, options)
    _check_fit(source, model, tokenizer)
    return LoadedModel(folder.resolve().name if is_local else source, model, tokenizer)


def identity(name_or_folder: str | os.PathLike, loaded: LoadedModel) -> dict[str, str]:
    """Say which weights a loaded model has, in words that hold on any machine.

    Returns
    -------
    dict with ``checkpoint``, the name, and ``revision``, the commit on the hub that all files came
    from, or ``weights``, a sha256 over the safetensors files of a local folder.
    """
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        files = visible(folder, "*.safetensors")
        weights = stable_hash({file.name: file_sha256(file) for file in files})
        return {"checkpoint": loaded.name, "weights": weights}
    return {"checkpoint": loaded.name, "revision": loaded.model.config._commit_hash}


def token_limit(loaded: LoadedModel) -> int:
    """Return the longest sequence, special tokens included, that model and tokenizer both allow."""
    config = loaded.model.config
    positions = (
        getattr(config, "max_position_embeddings", None) or loaded.tokenizer.model_max_length
    )
    if any(family in config.model_type for family in ("roberta", "camembert", "xmod")):
        positions -= config.pad_token_id + 1  # RoBERTa numbers its positions from the padding id
    return int(min(positions, loaded.tokenizer.model_max_length))


def convert_to_safetensors(folder: str | os.PathLike) -> list[Path]:
    """Rewrite a checkpoint's ``pytorch_model*.bin`` as safetensors beside it, weight by weight.

    Going through a model class instead would drop the weights that the class does not know, and with
    them the evidence that `load` looks for. Only tensors are unpickled (``weights_only=True``).

    Returns
    -------
    The files written. Existing ones are replaced.

    Raises
    ------
    ValueError : no ``.bin`` file in the folder.
    """
    import torch
    from safetensors.torch import save_file

    folder = Path(folder).expanduser()
    shards = visible(folder, "pytorch_model*.bin")
    if not shards:
        raise ValueError(f"folder: no pytorch_model.bin in {folder}")
    written = []
    for shard in shards:
        state = torch.load(shard, map_location="cpu", weights_only=True)
        # Tied weights share memory in a pickle, which safetensors refuses: each gets its own copy.
        state = {key: value.clone().contiguous() for key, value in state.items()}
        target = folder / _safe_name(shard.name)
        with atomic_write(target) as temporary:
            save_file(state, temporary, metadata={"format": "pt"})
        written.append(target)
    index = folder / "pytorch_model.bin.index.json"
    if index.is_file():
        content = json.loads(index.read_text(encoding="utf-8"))
        content["weight_map"] = {k: _safe_name(v) for k, v in content["weight_map"].items()}
        target = folder / "model.safetensors.index.json"
        with atomic_write(target) as temporary:
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
        written.append(target)
    return written


@contextmanager
def quiet_transformers(*, downloads: bool = False) -> Iterator[None]:
    """Silence the reports and progress bars of transformers, and put everything back afterwards.

    Parameters
    ----------
    downloads : bool
        Keep the progress bars of downloads, which may take minutes.
    """
    from huggingface_hub import utils as hub
    from transformers.utils import logging

    before = logging.get_verbosity(), hub.logging.get_verbosity()
    bars, hub_bars = logging.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()
    logging.set_verbosity_error()
    hub.logging.set_verbosity_error()
    logging.disable_progress_bar()
    if downloads and hub_bars:
        hub.enable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(before[0])
        hub.logging.set_verbosity(before[1])
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            hub.enable_progress_bars()
        else:
            hub.disable_progress_bars()


def read_config(
    source: str, is_local: bool, revision: str | None, local_files_only: bool
) -> PreTrainedConfig:
    from transformers import AutoConfig

    import xsim_lib.models.encoder  # noqa: F401  (registers our architecture)

    if is_local and not Path(source, "config.json").is_file():
        found = ", ".join(sorted(p.name for p in Path(source).iterdir())[:_SHOWN]) or "nothing"
        raise ValueError(f"name_or_folder: no config.json in {source} (found {found})")
    try:
        config = AutoConfig.from_pretrained(
            source,
            revision=revision or "main",
            local_files_only=local_files_only,
            trust_remote_code=False,
        )
    except OSError as error:
        where = "in the local cache" if local_files_only else "on the hub or in the local cache"
        raise ValueError(
            f"name_or_folder: no folder and no model {source!r} {where}"
            f"{f' at revision {revision!r}' if revision else ''}. Give a local folder that holds "
            "config.json, model.safetensors and the tokenizer's files, or connect to the internet"
            f"{' and leave local_files_only off' if local_files_only else ''} and check the name "
            f"({first_line(error)})"
        ) from error
    except (ValueError, KeyError) as error:
        if is_about_code(error):
            raise ValueError(
                f"name_or_folder: {source} can only be loaded by custom code that comes with it, "
                "which is refused"
            ) from error
        raise ValueError(
            f"name_or_folder: {source} has an architecture that transformers cannot build without "
            f"running the checkpoint's own code, which is refused ({first_line(error)})"
        ) from error
    if config.is_encoder_decoder:
        raise ValueError(
            f"name_or_folder: {source} is an encoder-decoder ({config.model_type}); expected one "
            "stack of layers, an encoder or a causal model"
        )
    refuse_kernels(source, config)
    return config


def _model(
    source: str, is_local: bool, config: PreTrainedConfig, options: dict[str, Any]
) -> PreTrainedModel:
    from transformers import MODEL_MAPPING, AutoModel

    architecture = MODEL_MAPPING.get(type(config), None)
    if architecture is None:
        raise ValueError(f"name_or_folder: transformers has no base model for {config.model_type}")
    if isinstance(architecture, tuple):
        architecture = architecture[0]
    if "add_pooling_layer" in inspect.signature(architecture.__init__).parameters:
        options = {**options, "add_pooling_layer": False}
    if is_local:
        require_safetensors(Path(source))
    try:
        model, report = AutoModel.from_pretrained(
            source,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported below, all at once, instead of raised at the first
            output_loading_info=True,
            **options,
        )
    except OSError as error:
        raise ValueError(
            f"name_or_folder: {source}: no safetensors weights could be read "
            f"({first_line(error)}). If it only has pytorch_model.bin, which is not read because a "
            "pickle can run code, download its files to a folder, run "
            "xsim_lib.models.loading.convert_to_safetensors(folder) once, and load the folder"
        ) from error
    except RuntimeError as error:
        raise ValueError(f"name_or_folder: {source}: {first_line(error)}") from error
    _check_keys(source, model, report)
    return model.eval()


def _check_keys(source: str, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Refuse what transformers would only have printed."""
    prefix = f"{model.base_model_prefix}."
    problems = []
    if report["missing_keys"]:
        problems.append(_listed("missing, would be random", report["missing_keys"]))
    if unknown := [k for k in report["unexpected_keys"] if not _is_head(k, prefix)]:
        problems.append(_listed("unknown to the architecture, would be ignored", unknown))
    if report["mismatched_keys"]:
        shapes = (
            f"{key} {tuple(saved)} instead of {tuple(wanted)}"
            for key, saved, wanted in report["mismatched_keys"]
        )
        problems.append(_listed("of another shape", shapes))
    if problems:
        raise ValueError(
            f"name_or_folder: the weights of {source} do not fit {type(model).__name__}: "
            + "; ".join(problems)
        )


def _is_head(key: str, prefix: str) -> bool:
    """Heads stand beside the encoder, except the pooler, which BERT and its kin keep inside."""
    return key.startswith(tuple(TASK_HEADS)) or key.startswith(f"{prefix}pooler.")


def _tokenizer(source: str, options: dict[str, Any]) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    except Exception as error:  # transformers raises a dozen types here, from OSError to TypeError
        reason = "custom code, which is refused" if is_about_code(error) else first_line(error)
        raise ValueError(f"name_or_folder: no usable tokenizer in {source} ({reason})") from error
    # Without files transformers 5 builds an empty tokenizer, for which every word is <unk>.
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise ValueError(
            f"name_or_folder: no tokenizer files in {source}: its vocabulary has special tokens only"
        )
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(f"name_or_folder: the tokenizer of {source} has no token to pad with")
        tokenizer.pad_token = tokenizer.eos_token  # masked everywhere, so which one does not matter
    tokenizer.padding_side = "right"  # on the left it would shift learned positions
    return tokenizer


def _check_fit(source: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Run two short sentences: what fails here would fail in the middle of an experiment."""
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ValueError(
            f"name_or_folder: the tokenizer of {source} has {len(tokenizer)} sub-words, its model "
            f"embeddings for {rows}"
        )
    batch = tokenizer(["a", "a b"], padding=True, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        output = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            output_hidden_states=True,
        )
    states = getattr(output, "hidden_states", None)
    if not states or states[0].shape[:2] != batch["input_ids"].shape:
        raise ValueError(
            f"name_or_folder: {source} ({type(model).__name__}) returns no hidden states per token"
        )


def _placement(device: str | torch.device) -> dict[str, Any]:
    import torch

    if str(device) == "auto":
        return {"device_map": "auto"}
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device: expected cpu, auto or a device of this machine, got {str(device)!r} "
            f"({first_line(error)})"
        ) from error
    return {} if device.type == "cpu" else {"device_map": {"": device}}


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    import torch

    name = str(dtype or "float32").removeprefix("torch.")
    if name not in DTYPES:
        raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    return getattr(torch, name)


def _safe_name(name: str) -> str:
    return name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors"


def _listed(what: str, keys: Iterable[str]) -> str:
    keys = sorted(keys)
    more = f", and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{len(keys)} {what}: {', '.join(keys[:_SHOWN])}{more}"
