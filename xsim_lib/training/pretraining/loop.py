"""The training loop and the held-out loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from xsim_lib.reading.batching import by_length
from xsim_lib.text.types import Corpus
from xsim_lib.training.fitting import seeded
from xsim_lib.training.pretraining.objectives import IGNORED, mix, training_examples
from xsim_lib.training.pretraining.saved import STATE, restore_state, save_state
from xsim_lib.training.pretraining.sentences import Sequences, Text, read_text, schedule
from xsim_lib.training.pretraining.settings import PretrainingSettings

#: Changes the sentences of a batch: (sentences, their language, seed) to as many sentences.
Rewrite = Callable[[Sequence[str], str, tuple[int, int]], Sequence[str]]


def pretrain(
    model: nn.Module,
    tokenizers: PreTrainedTokenizerBase | Mapping[str, PreTrainedTokenizerBase],
    corpus: Corpus,
    settings: PretrainingSettings,
    directory: Path,
    *,
    rewrite: Rewrite | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train `model` in place on the sentences of every language of `corpus`.

    Parameters
    ----------
    model : `EncoderForMaskedLM`, `EncoderForCausalLM` or `BilingualForMaskedLM`
        Its loss is a sum over the predicted tokens. It is called with the language of the batch.
    tokenizers : one for all languages, or one for each; these need a `sampling_exponent`.
    corpus : Corpus
        `held_out` evenly spaced sentences of each language are never trained on.
    directory : Path
        Holds `snapshots/STEP` (loadable with `from_pretrained`), `history.csv` and, while training,
        the state from which a killed run resumes.
    rewrite : callable, optional
        Changes the sentences of every batch before they are encoded, never the held-out ones.
        Needs a `sampling_exponent`, since it is told the language of the batch.

    Returns
    -------
    DataFrame with one row per evaluation: step, tokens (seen so far), learning_rate,
    training_loss (mean since the last row), loss (held out; both in nats per predicted token).

    Raises
    ------
    ValueError : a language has no more sentences than `held_out`, a loss is not finite, or batches
        of one language are needed and `sampling_exponent` is None.

    Notes
    -----
    Under `torchrun` every rank trains on its share of each batch; the result is the same up to the
    order of floating-point sums. The caller's random state is left as it was.
    """
    if settings.sampling_exponent is None and (isinstance(tokenizers, Mapping) or rewrite):
        raise ValueError(
            "sampling_exponent: expected a number, since each batch must be of one language; got None"
        )
    directory = Path(directory)
    training = _Training(model, tokenizers, corpus, settings, rewrite)
    done, history = restore_state(directory, model, training.optimizer)
    main = training.accelerator.is_main_process
    bar = tqdm(
        total=settings.steps,
        initial=done,
        desc=directory.name[:12],
        mininterval=1,
        disable=not (progress and main),
    )
    evaluations = set(settings.evaluation_steps)

    def evaluate(step: int, tokens: int, training_loss: float) -> None:
        held_out = language_model_loss(model, training.texts, settings)
        _check_finite("held-out", held_out, settings, step)
        rate = settings.rate(step)
        row = {
            "step": step,
            "tokens": tokens,
            "learning_rate": rate,
            "training_loss": training_loss,
        }
        history.append({**row, "loss": held_out})
        if main:
            save_state(directory, model, training.optimizer, history)
        training.accelerator.wait_for_everyone()

    if 0 in evaluations and not history:
        evaluate(0, 0, float("nan"))
    running, since, tokens = 0.0, 0, history[-1]["tokens"] if history else 0
    for step, loss, seen in training.steps(done):
        running, since, tokens = running + loss, since + 1, tokens + seen
        bar.update()
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        if step in evaluations:
            evaluate(step, tokens, running / since)
            running, since = 0.0, 0
    bar.close()
    if main:
        (directory / STATE).unlink(missing_ok=True)
    return pd.DataFrame(history)


def training_losses(
    model: nn.Module,
    tokenizers: PreTrainedTokenizerBase | Mapping[str, PreTrainedTokenizerBase],
    corpus: Corpus,
    settings: PretrainingSettings,
    n: int,
    *,
    rewrite: Rewrite | None = None,
) -> list[float]:
    """Losses of the first `n` steps of `pretrain`, which this repeats to the bit; nothing is kept.

    Training is chaotic, but not from its first step: so far apart code or text can be told from other digits.
    """
    training = _Training(model, tokenizers, corpus, settings, rewrite)
    return [loss for _, loss, _ in islice(training.steps(0), n)]


class _Training:
    """The steps of a run, one after the other: everything but what is kept of them."""

    def __init__(
        self,
        model: nn.Module,
        tokenizers: PreTrainedTokenizerBase | Mapping[str, PreTrainedTokenizerBase],
        corpus: Corpus,
        settings: PretrainingSettings,
        rewrite: Rewrite | None,
    ):
        self.model, self.settings, self.rewrite = model, settings, rewrite
        self.accelerator = _accelerator(model)
        self.texts = read_text(
            corpus, tokenizers, settings, own_words=model.config.separate_embeddings
        )
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay
        )

    def steps(self, done: int) -> Iterator[tuple[int, float, int]]:
        """Take the steps after `done`: number, mean loss, tokens seen."""
        settings = self.settings
        model, optimizer = self.accelerator.prepare(self.model, self.optimizer)
        model.train()
        batches = schedule(self.texts, settings, done)
        for step, (text, rows) in enumerate(batches, start=done + 1):
            ids = _batch(text, rows, settings, self.rewrite, step)
            loss, seen = _step(model, optimizer, self.accelerator, text, ids, settings, step)
            _check_finite("training", loss, settings, step)
            yield step, loss, seen


@torch.no_grad()
def language_model_loss(
    model: nn.Module, texts: Sequence[Text], settings: PretrainingSettings
) -> float:
    """Loss on the held-out sentences in nats per predicted token, always with the same masks."""
    was_training = model.training
    model.eval()
    total, count, number = 0.0, 0, 0
    for text in texts:
        sentences, pad = text.held_out, text.tokenizer.pad_token_id
        order = np.argsort(sentences.lengths, kind="stable")
        for rows in by_length(order, sentences.lengths, 4 * settings.tokens_per_step):
            ids = sentences.batch(rows, pad)
            seed = (0, number)
            inputs, labels = training_examples(ids, text.tokenizer, text.words, settings, seed=seed)
            output = model(
                inputs.to(model.device),
                attention_mask=(ids != pad).to(model.device),
                labels=labels.to(model.device),
                language=text.language,
            )
            total += float(output.loss)
            count += int((labels != IGNORED).sum())
            number += 1
    model.train(was_training)
    return total / count


def _accelerator(model: nn.Module) -> Accelerator:
    # Half precision is ours (in `_step`): Accelerate keeps the first run's for the whole process.
    # It would also pick Apple's MPS by itself, where float64 sums do not exist.
    options = {"cpu": not torch.cuda.is_available(), "mixed_precision": "no"}
    if model.config.separate_embeddings or model.config.separate_layers:
        # A batch leaves the other language's parts without gradients.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        return Accelerator(**options, kwargs_handlers=[unused])
    return Accelerator(**options)


def _batch(
    text: Text,
    rows: np.ndarray,
    settings: PretrainingSettings,
    rewrite: Rewrite | None,
    step: int,
) -> Tensor:
    """Token ids (n, length) of some training sentences."""
    pad = text.tokenizer.pad_token_id
    if rewrite is None:
        return text.train.batch(rows, pad)
    lines = rewrite([text.lines[row] for row in rows], text.language, (settings.seed + 3, step))
    changed = Sequences.encode(text.tokenizer, lines, settings.max_length)
    return changed.batch(np.arange(len(lines)), pad)


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    text: Text,
    ids: Tensor,
    settings: PretrainingSettings,
    step: int,
) -> tuple[float, int]:
    """One optimizer step; the mean loss over the predicted tokens of all ranks, and the tokens seen."""
    seed = (settings.seed + 1, step)
    inputs, labels = training_examples(ids, text.tokenizer, text.words, settings, seed=seed)
    attention = ids != text.tokenizer.pad_token_id
    predicted = (labels != IGNORED).sum()
    rank, ranks, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    # A rank without a row of its own repeats one without labels: it must still join the exchange.
    mine = torch.arange(rank, len(ids), ranks) if rank < len(ids) else torch.tensor([0])
    if rank >= len(ids):
        labels = torch.full_like(labels, IGNORED)
    for group in optimizer.param_groups:
        group["lr"] = settings.rate(step)
    half = torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
    with seeded(mix(settings.seed + 2, step * ranks + rank), device), half:  # dropout
        output = model(
            inputs[mine].to(device),
            attention_mask=attention[mine].to(device),
            labels=labels[mine].to(device),
            language=text.language,
        )
    # Gradients are averaged over ranks, so each rank's sum is scaled up by their number.
    accelerator.backward(output.loss * ranks / predicted)
    accelerator.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    total = accelerator.reduce(output.loss.detach(), reduction="sum")
    return float(total) / int(predicted), int(attention.sum())


def _check_finite(which: str, loss: float, settings: PretrainingSettings, step: int) -> None:
    if not np.isfinite(loss):
        raise ValueError(
            f"learning_rate: training diverged at step {step} with {settings.learning_rate}; "
            f"expected a finite {which} loss, got {loss}"
        )
