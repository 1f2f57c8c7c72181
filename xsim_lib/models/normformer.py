"""Checkpoints of Post-LN, Pre-LN and NormFormer encoders from elsewhere, rewritten as our `Encoder`.

A NormFormer loaded into a plain XLM-R loses the norms that make it one; `xsim_lib.models.loading.load` refuses
that. This is the way in: one table per layout says where it keeps each of our weights. A conversion
uses every weight of the checkpoint exactly once and fills every weight of ours, or lists what does
not fit.

The names are known from public code and from models that transformers ships (the tests compare hidden states with
them): the names of RoBERTa and XLM-R, of RoBERTa-PreLayerNorm and of fairseq's `roberta`; that both
number positions from the padding index; fairseq's names for what its flags ``--scale-attn``,
``--scale-fc``, ``--scale-heads`` and ``--scale-resids`` add (`attn_ln`, `ffn_layernorm`, `c_attn`,
`w_resid`). fairseq has these flags for decoder layers only, and applies `c_attn` to slices of the
attention's *output*, after the projection that mixes the heads; the NormFormer paper (Eq. 3) scales the
heads before it, and so do encoders that keep `c_attn` inside `self_attn`. Both are understood:
the place of the key says which one is meant, and the first is folded into the projection.

Which layout, if any, the public checkpoints of anc2022 (architecture "fstm") have could not be found out from
where this was written. Names that differ in a prefix only need `prefix`; anything else is refused by name and
needs a table in `layouts`.
"""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.evidence.paths import visible
from xsim_lib.models.encoder import Encoder, EncoderConfig, EncoderForMaskedLM
from xsim_lib.models.layouts import LAYOUTS, Layout, layout_of, rules
from xsim_lib.models.loading import load, quiet_transformers
from xsim_lib.models.untrusted import is_about_code

__all__ = ["LAYOUTS", "convert_checkpoint", "convert_folder", "export_state"]


# A checkpoint may lack these altogether, but not in some layers only: without the flag there is none.
_OPTIONAL = ("attention.head_scale", "attention.out.scale", "residual_scale")


def convert_checkpoint(
    folder_or_state: str | os.PathLike | Mapping[str, Tensor],
    layout: str,
    *,
    norm: str = "normformer",
    num_attention_heads: int | None = None,
    padding_index: int | None = None,
    layer_norm_eps: float | None = None,
    prefix: str | None = None,
    ignore: Sequence[str] = (),
) -> EncoderForMaskedLM | Encoder:
    """Build our encoder with the weights of a checkpoint of another layout.

    Parameters
    ----------
    folder_or_state : a folder with ``model.safetensors`` (or its shards), a ``.safetensors`` file, a
        ``.pt`` or ``.bin`` file of tensors (no other object is unpickled), or names and tensors.
    layout : one of `LAYOUTS`.
    norm : "post", "pre" or "normformer". The first two have the same names in fairseq.
    num_attention_heads : needed where neither the checkpoint's head scales nor a ``config.json`` tell.
    padding_index : id of the padding token, 1 unless a ``config.json`` says else. Positions count from
        the next number on, so the first `padding_index` + 1 rows of their table are dropped.
    layer_norm_eps : 1e-5 unless a ``config.json`` says else.
    prefix : what precedes the names of the encoder's weights if not the layout's own.
    ignore : prefixes of weights to leave out, such as ``("classifier.",)``.

    Returns
    -------
    EncoderForMaskedLM in evaluation mode, float32; an Encoder if the checkpoint has no language-model
    head at all.

    Raises
    ------
    ValueError : weights that are missing, unknown or of another shape, all listed; a head or a bias
        that is not tied as ours is; an activation other than GELU; an unknown layout, or a scheme that
        the layout cannot hold; no number of heads.

    Notes
    -----
    Nothing in the weights tells Pre-LN from Post-LN: check a conversion by the loss on masked text, which a wrong
    one ruins.
    """
    table = layout_of(layout, norm)
    state, config = _read(folder_or_state)
    activation = config.get("hidden_act", config.get("activation_function", "gelu"))
    if activation != "gelu":
        raise ValueError(f"folder_or_state: expected the activation gelu, got {activation!r}")
    state = {
        name: tensor.detach().cpu().float() if tensor.is_floating_point() else tensor.cpu()
        for name, tensor in state.items()
        if not name.startswith(tuple(ignore))
    }
    prefix = table.prefix if prefix is None else prefix
    depths = [int(m[1]) for m in _matches(prefix + table.layer, state)]
    if not depths:
        raise ValueError(
            f"folder_or_state: no name begins with {prefix + table.layer.format(0)!r} as in layout "
            f"{layout!r}; names here begin as {', '.join(sorted(state)[:3]) or 'nothing'}"
        )
    wanted = dict(rules(table, norm, max(depths) + 1, prefix))
    found, left, problems = _collect(wanted, state, table)
    if problems or left:
        problems += (
            [_several("unknown to the layout (ignore=... leaves out)", sorted(left))]
            if left
            else []
        )
        raise ValueError(
            f"folder_or_state: the weights do not fit layout {layout!r}, norm {norm!r}: "
            + "; ".join(problems)
        )
    pad = config.get("pad_token_id", 1) if padding_index is None else padding_index
    eps = config.get("layer_norm_eps", 1e-5) if layer_norm_eps is None else layer_norm_eps
    heads = num_attention_heads or config.get(
        "num_attention_heads", config.get("encoder_attention_heads")
    )
    found = _as_ours(found, norm, pad)
    scales = found.get("encoder.layers.0.attention.head_scale")
    heads = heads or (None if scales is None else len(scales))
    if heads is None:
        raise ValueError("num_attention_heads: neither config.json nor a head scale tells it")
    return _build(found, norm, max(depths) + 1, int(heads), int(pad), float(eps))


def convert_folder(
    source: str | os.PathLike,
    layout: str,
    out: str | os.PathLike,
    *,
    tokenizer: str | None = None,
    **options: Any,
) -> Path:
    """Convert a checkpoint with its tokenizer to a folder that `xsim_lib.models.loading.load` reads.

    Parameters
    ----------
    source, layout : as `convert_checkpoint`, with its `options`.
    out : new folder; it appears complete or not at all.
    tokenizer : folder or hub name; None takes the one in `source`.

    Raises
    ------
    ValueError : as `convert_checkpoint`; no tokenizer; or one with more sub-words than the embeddings.
    """
    from transformers import AutoTokenizer

    out = Path(out).expanduser()
    if out.exists():
        raise ValueError(f"out: expected a new folder, {out} exists")
    model = convert_checkpoint(source, layout, **options)
    with atomic_write(out) as temporary, quiet_transformers():
        model.save_pretrained(temporary)
        try:
            found = AutoTokenizer.from_pretrained(tokenizer or source, trust_remote_code=False)
            found.save_pretrained(temporary)
        except (OSError, ValueError) as error:
            if is_about_code(error):
                raise ValueError(
                    f"tokenizer: that of {tokenizer or source} needs custom code that comes with it, "
                    "which is refused; name another one"
                ) from error
            raise ValueError(
                f"tokenizer: none in {tokenizer or source}; name a folder or a model on the hub"
            ) from error
        load(temporary)
    return out


def export_state(model: EncoderForMaskedLM, layout: str) -> dict[str, Tensor]:
    """Write a model's weights under the names of a layout: the inverse of `convert_checkpoint`.

    Raises
    ------
    ValueError : unknown layout, or one that cannot hold the model's normalisation scheme.
    """
    config = model.config
    table = layout_of(layout, config.norm)
    ours = model.state_dict()
    rows = ours["encoder.position_embeddings.weight"]
    unused = rows.new_zeros(config.pad_token_id + 1, rows.shape[1])
    ours["encoder.position_embeddings.weight"] = torch.cat([unused, rows])
    ours["encoder.token_type"] = rows.new_zeros(1, rows.shape[1])
    state = {}
    for name, theirs in rules(table, config.norm, config.num_hidden_layers, table.prefix):
        if name not in ours:
            continue
        parts = theirs.split(" | ")[0].split(" + ")
        state |= dict(zip(parts, ours[name].chunk(len(parts)), strict=True))
    state |= {copy: ours[name] for copy, name in table.copies.items()}
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _collect(
    rules: Mapping[str, str], state: Mapping[str, Tensor], table: Layout
) -> tuple[dict[str, Tensor], set[str], list[str]]:
    """Our names with their tensors, names nobody asked for, and what is wrong."""
    left = {name for name in state if name not in table.buffers}
    found: dict[str, Tensor] = {}
    missing, shapes = [], []
    required = _required(rules, state)
    for name, where in rules.items():
        choices = [choice.split(" + ") for choice in where.split(" | ")]
        present = [parts for parts in choices if all(part in left for part in parts)]
        if not present:
            missing += [p for p in choices[0] if p not in state] if required(name) else []
            continue
        parts = present[0]
        left.difference_update(parts)
        tensors = [state[part] for part in parts]
        if len({tensor.shape[1:] for tensor in tensors}) > 1:
            shapes += [f"{part} {tuple(state[part].shape)}" for part in parts]
            continue
        found[name] = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
    for copy, name in table.copies.items():
        if copy not in left:
            continue
        left.discard(copy)
        if name in found and not torch.equal(state[copy], found[name]):
            shapes.append(f"{copy} is not tied to {name}")
    problems = [_several("missing", missing)] if missing else []
    problems += [_several("that do not fit each other", shapes)] if shapes else []
    return found, left, problems


def _required(rules: Mapping[str, str], state: Mapping[str, Tensor]) -> Callable[[str], bool]:
    """Which of our names a checkpoint must have; groups that may be absent are so as a whole."""

    def group(name: str) -> str:
        if name.startswith("head."):
            return "head"
        return next((o for o in (*_OPTIONAL, "token_type") if name.endswith(o)), "")

    there = {
        group(name)
        for name, where in rules.items()
        if any(part in state for part in re.split(r" [|+] ", where))
    }
    return lambda name: group(name) in {"", *there}


def _as_ours(found: dict[str, Tensor], norm: str, pad: int) -> dict[str, Tensor]:
    """Drop unused positions and fold what our encoder has no weight for into those it has."""
    rows = found["encoder.position_embeddings.weight"][pad + 1 :]
    kinds = found.pop("encoder.token_type", None)
    if (
        kinds is not None
    ):  # every token is of the first kind; only if it is not zero does it change a bit
        rows = rows + kinds[0] if bool(kinds[0].any()) else rows
    found["encoder.position_embeddings.weight"] = rows
    for name in [name for name in found if name.endswith("attention.out.scale")]:
        own = name.replace("out.scale", "head_scale")
        if own in found:
            raise ValueError(f"folder_or_state: {name} and {own} scale the same heads")
        scale = found.pop(name)
        weight, bias = (f"{name.removesuffix('scale')}{kind}" for kind in ("weight", "bias"))
        rows_of_head = scale.repeat_interleave(len(found[bias]) // len(scale))
        found[weight] = found[weight] * rows_of_head.unsqueeze(1)
        found[bias] = found[bias] * rows_of_head
        found[own] = torch.ones_like(scale)
    return found


def _build(
    found: dict[str, Tensor], norm: str, depth: int, heads: int, pad: int, eps: float
) -> EncoderForMaskedLM | Encoder:
    words = found["encoder.word_embeddings.weight"]
    config = EncoderConfig(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=found["encoder.layers.0.feed_forward.up.weight"].shape[0],
        max_position_embeddings=found["encoder.position_embeddings.weight"].shape[0],
        norm=norm,
        residual_scaling="encoder.layers.0.residual_scale" in found,
        layer_norm_eps=eps,
        pad_token_id=pad,
    )
    model = EncoderForMaskedLM(config).eval()
    wanted = model.state_dict()
    for name in wanted:  # without the flag there is nothing to scale by
        if name.endswith("head_scale"):
            found.setdefault(name, torch.ones(heads))
    wrong = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
        for name, tensor in found.items()
        if tensor.shape != wanted[name].shape
    ]
    if wrong:
        raise ValueError(f"folder_or_state: {_several('of another shape', wrong)}")
    has_head = "head.bias" in found
    model.load_state_dict(found if has_head else {**wanted, **found})
    return model if has_head else model.encoder


def _read(source: Any) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
    """The tensors of a state, file or folder, and the folder's config.json."""
    if isinstance(source, Mapping):
        return source, {}
    path = Path(source).expanduser()
    if path.is_dir():
        files = visible(path, "*.safetensors")
        config = path / "config.json"
        found = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    else:
        files, found = [path] if path.is_file() else [], {}
    if not files:
        raise ValueError(f"folder_or_state: no safetensors and no file of weights at {path}")
    state: dict[str, Tensor] = {}
    for file in files:
        state |= load_file(file) if file.suffix == ".safetensors" else _unpickled(file)
    return state, found


def _unpickled(file: Path) -> Mapping[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"folder_or_state: {file} holds more than tensors, which could run code. Where you trust it, "
            "save torch.load(...)['model'] as safetensors and convert that"
        ) from error
    return content.get("model", content)


def _matches(pattern: str, names: Mapping[str, Tensor]) -> Iterator[re.Match]:
    expression = re.compile(re.escape(pattern).replace(r"\{\}", r"(\d+)"))
    return filter(None, map(expression.match, names))


def _several(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"{len(names)} {what}: {', '.join(names[:20])}{more}"
