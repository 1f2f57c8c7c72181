"""Where encoder checkpoints of other code bases keep their weights: data for `xsim_lib.models.normformer`.

A new layout is a new table here; `xsim_lib.models.normformer` says where the names are known from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xsim_lib.models.encoder import NORMS

__all__ = ["LAYOUTS", "Layout", "layout_of", "rules"]


@dataclass(frozen=True)
class Layout:
    """Where one kind of checkpoint keeps the weights of an `EncoderForMaskedLM`.

    In a name ``*`` stands for weight and bias, ``a + b + c`` for rows on top of each other and ``|``
    separates names of which a checkpoint has one. `layer` goes before the names of `layers`, with the
    number of the layer for ``{}``. `added` is what only NormFormer has, `head` the masked-language-model
    head, `copies` names of weights that must equal one of ours, `buffers` names that hold no weights.
    """

    prefix: str
    layer: str
    norms: tuple[str, ...]
    outer: Mapping[str, str]
    layers: Mapping[str, str]
    added: Mapping[str, str]
    last_norm: str
    head: Mapping[str, str]
    copies: Mapping[str, str]
    buffers: tuple[str, ...]


_FAIRSEQ = Layout(
    prefix="encoder.sentence_encoder.",
    layer="layers.{}.",
    norms=NORMS,
    outer={
        "word_embeddings.weight": "embed_tokens.weight",
        "position_embeddings.weight": "embed_positions.weight",
        "embedding_norm.*": "layernorm_embedding.* | emb_layer_norm.*",
    },
    layers={
        "attention.qkv.*": "self_attn.q_proj.* + self_attn.k_proj.* + self_attn.v_proj.*"
        " | self_attn.in_proj_*",
        "attention.out.*": "self_attn.out_proj.*",
        "attention_norm.*": "self_attn_layer_norm.*",
        "feed_forward.up.*": "fc1.*",
        "feed_forward.down.*": "fc2.*",
        "feed_forward_norm.*": "final_layer_norm.*",
    },
    added={
        "attention.head_scale": "self_attn.c_attn",
        "attention.out.scale": "c_attn",
        "after_attention.*": "attn_ln.*",
        "feed_forward.norm.*": "ffn_layernorm.*",
        "residual_scale": "w_resid",
    },
    last_norm="layer_norm.*",
    head={
        "transform.*": "encoder.lm_head.dense.*",
        "norm.*": "encoder.lm_head.layer_norm.*",
        "bias": "encoder.lm_head.bias",
    },
    copies={"encoder.lm_head.weight": "encoder.word_embeddings.weight"},
    buffers=("encoder.sentence_encoder.version",),
)

_ROBERTA_HEAD = {
    "transform.*": "lm_head.dense.*",
    "norm.*": "lm_head.layer_norm.*",
    "bias": "lm_head.bias",
}
_ROBERTA_COPIES = {
    "lm_head.decoder.weight": "encoder.word_embeddings.weight",
    "lm_head.decoder.bias": "head.bias",
}


def _roberta(
    prefix: str, norms: tuple[str, ...], last: str, attention: str, feed_forward: str
) -> Layout:
    """A layout with RoBERTa's names in transformers; `attention` and `feed_forward` are the norms."""
    return Layout(
        prefix=prefix,
        layer="encoder.layer.{}.",
        norms=norms,
        outer={
            "word_embeddings.weight": "embeddings.word_embeddings.weight",
            "position_embeddings.weight": "embeddings.position_embeddings.weight",
            "token_type": "embeddings.token_type_embeddings.weight",
            "embedding_norm.*": "embeddings.LayerNorm.*",
        },
        layers={
            "attention.qkv.*": "attention.self.query.* + attention.self.key.* + attention.self.value.*"
            " | attention.self.qkv.*",
            "attention.out.*": "attention.output.dense.*",
            "attention_norm.*": attention,
            "feed_forward.up.*": "intermediate.dense.*",
            "feed_forward.down.*": "output.dense.*",
            "feed_forward_norm.*": feed_forward,
        },
        added={},
        last_norm=last,
        head=_ROBERTA_HEAD,
        copies=_ROBERTA_COPIES,
        buffers=(f"{prefix}embeddings.position_ids", f"{prefix}embeddings.token_type_ids"),
    )


#: By name: "fairseq" its own checkpoints; "fairseq-port" the same names as transformers writes them for
#: models that come from fairseq (BART, XGLM); "roberta" XLM-R; "prelayernorm" RoBERTa-PreLayerNorm.
LAYOUTS: Mapping[str, Layout] = {
    "fairseq": _FAIRSEQ,
    "fairseq-port": Layout(
        **{
            **vars(_FAIRSEQ),
            "prefix": "model.",
            "head": _ROBERTA_HEAD,
            "copies": {
                "lm_head.weight": "encoder.word_embeddings.weight",
                **_ROBERTA_COPIES,
            },
            "buffers": (),
        }
    ),
    "roberta": _roberta(
        "roberta.", ("post",), "", "attention.output.LayerNorm.*", "output.LayerNorm.*"
    ),
    "prelayernorm": _roberta(
        "roberta_prelayernorm.",
        ("pre",),
        "LayerNorm.*",
        "attention.LayerNorm.*",
        "intermediate.LayerNorm.*",
    ),
}


def layout_of(layout: str, norm: str) -> Layout:
    """The table of a layout.

    Raises
    ------
    ValueError : unknown layout, or one that cannot hold the normalisation scheme.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}; got {layout!r}")
    table = LAYOUTS[layout]
    if norm not in table.norms:
        raise ValueError(
            f"norm: layout {layout!r} holds {', '.join(table.norms)}; got {norm!r}"
        )  # fmt: skip
    return table


def rules(table: Layout, norm: str, depth: int, prefix: str) -> Iterator[tuple[str, str]]:
    """Each of our names with the names of the layout, both in full."""
    outer = dict(table.outer)
    if norm != "post":
        outer["last_norm.*"] = table.last_norm
    yield from _expanded(outer, "encoder.", prefix)
    for k in range(depth):
        theirs = prefix + table.layer.format(k)
        names = {**table.layers, **(table.added if norm == "normformer" else {})}
        yield from _expanded(names, f"encoder.layers.{k}.", theirs)
    yield from _expanded(table.head, "head.", "")


def _expanded(names: Mapping[str, str], ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for name, where in names.items():
        where = re.sub(r"[^|+ ]+", lambda word: theirs + word[0], where)
        for kind in ("weight", "bias") if name.endswith("*") else ("",):
            yield ours + name.replace("*", kind), where.replace("*", kind)
