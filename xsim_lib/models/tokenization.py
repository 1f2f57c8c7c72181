"""Sub-word vocabularies, learned on the text a model is trained on."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from xsim_lib.text.types import Corpus

SPECIAL = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def train_tokenizer(
    corpus: Corpus, vocabulary: int, *, lowercase: bool = False, max_length: int = 512
) -> PreTrainedTokenizerFast:
    """Learn one byte-pair-encoding vocabulary on all languages of a corpus together.

    Words are marked at their start (as sentencepiece does), punctuation is split off, and every
    sentence is wrapped as ``<s> ... </s>``. Training is deterministic.

    Parameters
    ----------
    corpus : Corpus
        The text of every language, each weighted by its own size.
    vocabulary : int
        Number of sub-words, the five special tokens included.
    lowercase : bool
        Fold case first (helps tiny vocabularies; irrelevant to scripts without case).
    max_length : int
        The longest sequence the tokenizer reports to its model.

    Raises
    ------
    ValueError : `vocabulary` is too small to hold every character of the text.
    """
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    lines = [line for language in corpus.languages for line in corpus.sentences[language]]
    text = unicodedata.normalize("NFKC", " ".join(lines))
    alphabet = set(text.lower() if lowercase else text) - {" "} | {"▁"}
    characters = len(alphabet) + len(SPECIAL)
    if vocabulary < characters:
        raise ValueError(
            f"vocabulary: expected at least {characters} (every character of {corpus.name} and "
            f"the special tokens), got {vocabulary}"
        )

    tokenizer = Tokenizer(BPE(unk_token=SPECIAL["unk_token"]))
    steps = [normalizers.NFKC()] + ([normalizers.Lowercase()] if lowercase else [])
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL.values()), show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer, length=len(lines))
    bos, eos = SPECIAL["bos_token"], SPECIAL["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (bos, eos)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=max_length, padding_side="right", **SPECIAL
    )
