"""A small transformer encoder whose only freedom is where its layer norms sit.

The three schemes of Del & Fishel (2022), section 4.1. Post-LN normalises after each residual
(Vaswani et al. 2017), Pre-LN before each sub-layer (Xiong et al. 2020), and NormFormer adds to
Pre-LN a norm after attention, one inside the feed-forward block and a learned scale per head
(Shleifer et al. 2021, Eq. 1-4). Everything else is identical, down to the order of parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput, MaskedLMOutput

NORMS = ("post", "pre", "normformer")


@dataclass(frozen=True)
class LoadedModel:
    """A model with the tokenizer it was trained with: what every experiment takes."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


class EncoderConfig(PreTrainedConfig):
    """Sizes of an :class:`Encoder` and its normalisation scheme.

    Parameters
    ----------
    norm : {"post", "pre", "normformer"}
        Where the layer norms sit.
    residual_scaling : bool
        NormFormer's optional learned scale per neuron on the feed-forward residual.
    causal : bool
        A token sees itself and what stands before it, and nothing after it.
    separate_embeddings : bool
        Words, positions and their norm belong to one language (see `xsim_lib.models.bilingual`).
    separate_layers : sequence of int
        Layers that belong to one language, counted from 1 as hidden states are.
    """

    model_type = "xsim-encoder"

    def __init__(
        self,
        vocab_size: int = 1000,
        hidden_size: int = 64,
        num_hidden_layers: int = 6,
        num_attention_heads: int = 4,
        intermediate_size: int = 256,
        max_position_embeddings: int = 128,
        norm: str = "post",
        residual_scaling: bool = False,
        dropout: float = 0.0,
        layer_norm_eps: float = 1e-5,
        initializer_range: float = 0.02,
        causal: bool = False,
        separate_embeddings: bool = False,
        separate_layers: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        if norm not in NORMS:
            raise ValueError(f"norm: expected one of {', '.join(NORMS)}, got {norm!r}")
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size: expected a multiple of {num_attention_heads} heads, got {hidden_size}"
            )
        if residual_scaling and norm != "normformer":
            raise ValueError(f"residual_scaling: only NormFormer has it, got norm={norm!r}")
        separate_layers = sorted(set(separate_layers))
        if not all(1 <= number <= num_hidden_layers for number in separate_layers):
            raise ValueError(
                f"separate_layers: expected numbers from 1 to {num_hidden_layers}, "
                f"got {separate_layers}"
            )
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.norm = norm
        self.residual_scaling = residual_scaling
        self.dropout = dropout
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.causal = causal
        self.separate_embeddings = separate_embeddings
        self.separate_layers = separate_layers
        super().__init__(**kwargs)


class Attention(nn.Module):
    """Multi-head self-attention; NormFormer scales each head's output before mixing them."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = config.dropout
        self.causal = config.causal
        self.head_scale = (
            nn.Parameter(torch.ones(self.heads)) if config.norm == "normformer" else None
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            self.qkv(x)
            .view(batch, length, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        dropout = self.dropout if self.training else 0.0
        # torch takes a mask or the word "causal"; a mask for a causal model is causal already.
        causal = self.causal and mask is None
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal
        )
        if self.head_scale is not None:
            y = y * self.head_scale.view(1, -1, 1, 1)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class FeedForward(nn.Module):
    """Two linear maps around a GELU; NormFormer normalises between them."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.norm = (
            nn.LayerNorm(config.intermediate_size, eps=config.layer_norm_eps)
            if config.norm == "normformer"
            else nn.Identity()
        )
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.norm(F.gelu(self.up(x))))


class Layer(nn.Module):
    """One transformer layer in one of the three normalisation schemes."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.norm = config.norm
        self.attention = Attention(config)
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(width, eps=eps)
        self.after_attention = (
            nn.LayerNorm(width, eps=eps) if config.norm == "normformer" else nn.Identity()
        )
        self.residual_scale = nn.Parameter(torch.ones(width)) if config.residual_scaling else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.norm == "post":
            x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
            return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        attended = self.after_attention(self.attention(self.attention_norm(x), mask))
        x = x + self.dropout(attended)
        residual = x if self.residual_scale is None else x * self.residual_scale
        return residual + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class EncoderPreTrainedModel(PreTrainedModel):
    config_class = EncoderConfig
    base_model_prefix = "encoder"
    _no_split_modules = ["Layer"]  # noqa: RUF012  (transformers reads it as a class attribute)

    def _init_weights(self, module: nn.Module) -> None:
        """BERT's initialisation: N(0, 0.02), zero biases, unit norms and scales."""
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Attention) and module.head_scale is not None:
            nn.init.ones_(module.head_scale)
        elif isinstance(module, Layer) and module.residual_scale is not None:
            nn.init.ones_(module.residual_scale)
        elif isinstance(module, MaskedLMHead):
            nn.init.zeros_(module.bias)


class Encoder(EncoderPreTrainedModel):
    """The encoder: embeddings, layers and, for the pre-norm schemes, a last norm."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        # All schemes normalise the embeddings: without it the two pre-norm ones do not train.
        self.embedding_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.last_norm = (
            nn.Identity()
            if config.norm == "post"
            else nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.word_embeddings = value

    @property
    def language_specific(self) -> tuple[str, ...]:
        """Names of the modules that belong to one language; none unless the config says so."""
        embeddings = ("word_embeddings", "position_embeddings", "embedding_norm")
        layers = (f"layers.{number - 1}" for number in self.config.separate_layers)
        return (*(embeddings if self.config.separate_embeddings else ()), *layers)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> BaseModelOutput:
        """Hidden states of a batch.

        Parameters
        ----------
        input_ids, attention_mask : (batch, length)
        output_hidden_states : bool
            Return all L + 1 states: 0 is the embedding layer; the last one is after the last norm,
            as in the public pre-norm checkpoints.

        Raises
        ------
        ValueError : sequences longer than the model's positions.
        """
        length = input_ids.shape[1]
        if length > self.config.max_position_embeddings:
            raise ValueError(
                f"input_ids: expected at most {self.config.max_position_embeddings} tokens, "
                f"got {length}"
            )
        positions = torch.arange(length, device=input_ids.device)
        x = self.word_embeddings(input_ids) + self.position_embeddings(positions)
        x = self.dropout(self.embedding_norm(x))
        mask = None
        if attention_mask is not None and not bool(attention_mask.all()):
            mask = attention_mask[:, None, None, :].bool()
            if self.config.causal:
                mask = mask & mask.new_ones(length, length).tril()
        states = [x]
        for layer in self.layers:
            x = layer(x, mask)
            states.append(x)
        x = states[-1] = self.last_norm(x)
        return BaseModelOutput(
            last_hidden_state=x, hidden_states=tuple(states) if output_hidden_states else None
        )


class MaskedLMHead(nn.Module):
    """RoBERTa's head: a dense layer, GELU, a norm, then the transposed word embeddings."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: Tensor, embeddings: Tensor) -> Tensor:
        return F.linear(self.norm(F.gelu(self.transform(states))), embeddings, self.bias)


class _LanguageModel(EncoderPreTrainedModel):
    """An encoder that scores words: what the masked and the causal model have in common."""

    _causal: bool
    _output: type[MaskedLMOutput] | type[CausalLMOutput]

    def __init__(self, config: EncoderConfig) -> None:
        if config.causal != self._causal:
            raise ValueError(
                f"causal: {type(self).__name__} expects {self._causal}, got {config.causal}"
            )
        super().__init__(config)
        self.encoder = Encoder(config)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> MaskedLMOutput | CausalLMOutput:
        """Logits of every position or, given `labels`, the summed loss of the labelled tokens.

        With labels (the token that stands there, -100 where none is to be predicted) the softmax
        runs at the predicting positions only, which is what makes small vocabularies cheap, and
        `loss` is the *sum* in nats, so that ranks and micro-batches can be added before dividing by
        the number of labelled tokens. A causal model predicts the token at t from the state at t-1;
        the first token of a row is never predicted.
        """
        output = self.encoder(input_ids, attention_mask, output_hidden_states=output_hidden_states)
        states = output.last_hidden_state
        if labels is None:
            return self._output(logits=self.logits(states), hidden_states=output.hidden_states)
        if self._causal:
            states, labels = states[:, :-1], labels[:, 1:]
        predicted = labels != -100
        logits = self.logits(states[predicted])
        loss = F.cross_entropy(logits.float(), labels[predicted], reduction="sum")
        return self._output(loss=loss, hidden_states=output.hidden_states)


class EncoderForMaskedLM(_LanguageModel):
    """The encoder with a masked-language-model head tied to its word embeddings."""

    _causal, _output = False, MaskedLMOutput

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.head = MaskedLMHead(config)
        self.post_init()

    def logits(self, states: Tensor) -> Tensor:
        """Scores over the vocabulary, (..., hidden) to (..., vocabulary)."""
        return self.head(states, self.encoder.word_embeddings.weight)


class EncoderForCausalLM(_LanguageModel):
    """The causal encoder; its word embeddings, transposed, score the next token."""

    _causal, _output = True, CausalLMOutput

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.post_init()

    def logits(self, states: Tensor) -> Tensor:
        """Scores over the vocabulary, (..., hidden) to (..., vocabulary)."""
        return F.linear(states, self.encoder.word_embeddings.weight)


def untrained(loaded: LoadedModel, seed: int = 0) -> LoadedModel:
    """The same architecture and tokenizer with fresh weights: the baseline every figure needs."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU as well
        model = type(loaded.model)(loaded.model.config)
    model = model.to(device=loaded.model.device, dtype=loaded.model.dtype).eval()
    return LoadedModel(f"{loaded.name} (untrained)", model, loaded.tokenizer)


def count_parameters(model: nn.Module) -> int:
    """Number of parameters, each shared one counted once."""
    return sum(math.prod(p.shape) for p in model.parameters())


AutoConfig.register(EncoderConfig.model_type, EncoderConfig)
AutoModel.register(EncoderConfig, Encoder)
AutoModelForMaskedLM.register(EncoderConfig, EncoderForMaskedLM)
AutoModelForCausalLM.register(EncoderConfig, EncoderForCausalLM)
