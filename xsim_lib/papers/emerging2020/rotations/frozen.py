"""Task layers on top of a frozen encoder, which can be exchanged for another one through a rotation."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.loading import token_limit
from xsim_lib.papers.emerging2020.rotations.maps import Normalisation

__all__ = ["Joined", "JoinedConfig", "join"]


class JoinedConfig(PreTrainedConfig):
    """Sizes of a `Joined` encoder.

    Parameters
    ----------
    layer : hidden state of the frozen encoder that the new layers read, 0 for its embedding layer.
    new_layers : number of new layers.
    """

    model_type = "xsim-joined"

    def __init__(
        self,
        hidden_size: int = 64,
        num_attention_heads: int = 4,
        intermediate_size: int = 256,
        max_position_embeddings: int = 128,
        layer: int = 0,
        new_layers: int = 4,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        self.hidden_size, self.num_attention_heads = hidden_size, num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.layer, self.new_layers, self.dropout = layer, new_layers, dropout
        super().__init__(**kwargs)


class Joined(PreTrainedModel):
    """New transformer layers that read one hidden state of a frozen encoder.

    Attributes
    ----------
    lower : the frozen encoder, always in evaluation mode.
    bridge : what brings its states into the common space; none for one encoder of two languages.
    language_specific : the parts that `bilingual.in_language` exchanges: all but the new layers.
    """

    config_class = JoinedConfig
    language_specific = ("lower", "bridge")

    def __init__(self, config: JoinedConfig, lower: nn.Module, bridge: nn.Module) -> None:
        super().__init__(config)
        self.lower, self.bridge = lower, bridge
        # One by one, so that each draws weights of its own: nn.TransformerEncoder copies the first.
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.hidden_size,
                config.num_attention_heads,
                config.intermediate_size,
                config.dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.new_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size)

    def train(self, mode: bool = True) -> Joined:
        """Set the mode of the new layers."""
        super().train(mode)
        self.lower.eval()
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> BaseModelOutput:
        """States of the last new layer."""
        with torch.no_grad():
            states = self.lower(
                input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
            ).hidden_states
        hidden = self.bridge(states[self.config.layer])
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=attention_mask == 0)
        return BaseModelOutput(last_hidden_state=self.norm(hidden))


class _Bridge(nn.Module):
    """Normalise and rotate hidden states as an `Alignment` does one of its sides."""

    def __init__(self, side: Normalisation, rotation: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", side.means.float())
        self.register_buffer("rotation", rotation.float())

    def forward(self, hidden: Tensor) -> Tensor:
        states = Normalisation(self.means)(hidden).to(hidden.dtype)
        # Unit vectors become as large as what layers are used to, about 1 per neuron.
        return math.sqrt(hidden.shape[-1]) * states @ self.rotation.to(hidden.dtype)


def join(
    loaded: LoadedModel,
    layer: int,
    side: Normalisation | None = None,
    rotation: Tensor | None = None,
    *,
    new_layers: int = 4,
    seed: int = 0,
) -> LoadedModel:
    """Put new layers on top of one hidden state of an encoder, which stays as it is.

    Parameters
    ----------
    loaded : LoadedModel; copied, not changed.
    layer : 0 for the embedding layer, up to the number of layers.
    side : normalisation of this encoder's side of an `Alignment`; None reads the states as they are.
    rotation : of the alignment, for its source side; None for its target side, whose space it is.
    new_layers : as many as the paper has.
    seed : of the new layers. Two encoders joined with one seed have the same ones.

    Returns
    -------
    LoadedModel that taggers and parsers take (no folder can keep them). Fine-tune it with ``frozen=("lower",)`` and read another
    language by `bilingual.in_language` with another encoder that was joined at the same layer.

    Raises
    ------
    ValueError : no such layer, or a rotation without `side`.

    Examples
    --------
    >>> fitted = align(french_states, english_states)  # doctest: +SKIP
    >>> english = join(english, 4, fitted.target)  # doctest: +SKIP
    >>> french = join(french, 4, fitted.source, fitted.rotation)  # doctest: +SKIP

    References
    ----------
    Wu, Conneau et al. (2020), section 5.1.2.
    """
    config = loaded.model.config
    if not 0 <= layer <= config.num_hidden_layers:
        raise ValueError(f"layer: expected 0 to {config.num_hidden_layers}, got {layer}")
    if rotation is not None and side is None:
        raise ValueError("rotation: expected the normalisation `side` with it, got None")
    if side is None:
        bridge: nn.Module = nn.Identity()
    else:
        eye = torch.eye(config.hidden_size, dtype=torch.float64)
        bridge = _Bridge(side, eye if rotation is None else rotation)
    own = JoinedConfig(
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=token_limit(loaded),
        layer=layer,
        new_layers=new_layers,
    )
    lower = copy.deepcopy(loaded.model.base_model).requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = Joined(own, lower, bridge)
    name = f"{loaded.name} up to layer {layer}"
    return LoadedModel(name, model.to(loaded.model.device).eval(), loaded.tokenizer)
