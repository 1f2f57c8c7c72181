"""The page on artificial languages: its parameters checked, its families, and what an untrained encoder makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from xsim_lib import indices
from xsim_lib.models.encoder import Encoder, EncoderConfig, LoadedModel
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.reading.sentences import encode
from xsim_lib.study import profiles
from xsim_lib.text.sources import split_pair

if TYPE_CHECKING:
    from xsim_lib.text.artificial import Family
    from xsim_lib.text.sources import Artificial

__all__ = ["changed_family", "family_settings", "say", "untrained_similarities"]


def say(text: str) -> None:
    """Show Markdown below the cell that runs."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def family_settings(
    profile: str, seed: int, options: Mapping[str, Any], width: int | None
) -> tuple[profiles.PaperSettings, dict[str, Any]]:
    """Check the parameters of the page before anything is made.

    Parameters
    ----------
    profile : of real text, too; the family is then that of "mini".
    seed : of the family.
    options : settings of the family to replace.
    width : of the untrained encoder; None for that of the first chapter.

    Returns
    -------
    Settings of the first chapter, and those of its encoder with that width.

    Raises
    ------
    ValueError : an unknown profile, a seed, options or width of the wrong type, or a width that the heads of
        the encoder do not divide.
    """
    if profile not in profiles.PROFILES:
        raise ValueError(
            f"profile: expected one of {', '.join(profiles.PROFILES)}; got {profile!r}"
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed: expected an integer >= 0, got {seed!r}")
    if not isinstance(options, dict):
        raise ValueError(f"options: expected a mapping such as {{'anchors': 0.5}}, got {options!r}")
    if width is not None and (isinstance(width, bool) or not isinstance(width, int) or width < 1):
        raise ValueError(f"width: expected an integer >= 1 or None, got {width!r}")
    settings = profiles.paper_settings(
        "anc2022", profile if profile in ("smoke", "mini") else "mini"
    )
    encoder = {**settings.encoder, **({"hidden_size": width} if width else {})}
    EncoderConfig(**encoder)
    return settings, encoder


def changed_family(
    source: Artificial,
    family_seed: int,
    options: Mapping[str, Any],
    *,
    every: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Family:
    """The family of a source with other settings.

    Parameters
    ----------
    options, changes : settings of the family to replace; the latter come last.
    every : settings of all its languages to replace, after those in `options`.
    """
    wanted = {**source.options, **options, **changes}
    wanted["every"] = {
        **source.options.get("every", {}), **options.get("every", {}), **(every or {})
    }  # fmt: skip
    return source.model_copy(update={"family_seed": family_seed, "options": wanted}).family


def untrained_similarities(
    family: Family,
    encoder: Mapping[str, Any],
    pairs: Sequence[str],
    n: int,
    *,
    vocabulary: int,
    lines: int,
    init: int = 0,
) -> pd.DataFrame:
    """CKA and ANC of pairs of languages in a random encoder, at its first and last layer.

    Parameters
    ----------
    encoder : settings of `EncoderConfig`.
    pairs : such as "en-fr"; the length of sentences is that of English ones.
    n : sentences of each language that are read.
    vocabulary, lines : size of the vocabulary, and lines of text of each language that decide it.
    init : seed of the random weights.

    Returns
    -------
    DataFrame with pair, layer (0 or -1), pairing ("translations", "equal length", "shuffled"), CKA and ANC.
    """
    tokenizer = train_tokenizer(family.text(lines), vocabulary)
    torch.manual_seed(init)
    config = EncoderConfig(vocab_size=len(tokenizer), norm="post", **encoder)
    model = LoadedModel("untrained", Encoder(config).eval(), tokenizer)
    said = {x: [sentence for sentence, _, _ in family.gloss(x, n)] for x in family.languages}
    states = {x: encode(model, sentences) for x, sentences in said.items()}
    size = [len(line.split()) for line in said["en"]]
    orders = {
        "translations": np.arange(n),
        "equal length": indices.shuffled(n, 0, size),
        "shuffled": indices.shuffled(n, 0),
    }
    rows = []
    for pair in pairs:
        for layer in (0, -1):
            x, y = (states[name][layer] for name in split_pair(pair))
            for pairing, order in orders.items():
                values = indices.linear_cka(x, y[order]), indices.anc(x, y[order])
                rows.append((pair, layer, pairing, *values))
    return pd.DataFrame(rows, columns=["pair", "layer", "pairing", "CKA", "ANC"])
