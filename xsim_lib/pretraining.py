"""Masked-language-model training: one loop, counted in steps, resumable to the bit.

Everything random at step t (which sentences, which masks, which dropout) is a function of the seed
and t alone, so a run that is killed and started again ends with the same weights, and every rank
of a distributed run can work out the whole batch before taking its share of the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xsim_lib.batching import by_length
from xsim_lib.hashing import atomic_write
from xsim_lib.loading import quiet_transformers
from xsim_lib.texts import Corpus

IGNORED = -100  # the label of a position that was not masked
STATE = "state.safetensors"


class PretrainingSettings(BaseModel):
    """What a training run is, apart from its data and its model.

    Attributes
    ----------
    steps : number of optimizer steps.
    tokens_per_step : tokens in a batch, over all ranks.
    learning_rate : peak of a schedule with linear warm-up and linear decay to 0.
    warmup : share of the steps spent warming up.
    mask_rate : share of tokens to predict; of these 80 % are masked, 10 % random, 10 % unchanged.
    max_length : sentences are cut after this many tokens.
    evaluations : how often the held-out loss is measured and a snapshot kept, evenly spaced.
    held_out : sentences per language kept out of training for that.
    precision : "fp32", or "bf16" autocast where the device has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    tokens_per_step: int = Field(1024, gt=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    mask_rate: float = Field(0.3, gt=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    max_length: int = Field(64, gt=2)
    evaluations: int = Field(10, gt=0)
    held_out: int = Field(200, gt=0)
    precision: str = Field("fp32", pattern="^(fp32|bf16)$")
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of step 1, 2, ..., `steps`."""
        warm = max(1, round(self.warmup * self.steps))
        if step <= warm:
            return self.learning_rate * step / warm
        return self.learning_rate * (self.steps - step + 1) / (self.steps - warm + 1)

    @property
    def evaluation_steps(self) -> list[int]:
        ends = np.linspace(0, self.steps, self.evaluations + 1)[1:]
        return sorted({round(end) for end in ends})


@dataclass(frozen=True)
class Sequences:
    """Token ids of many sentences, stored end to end."""

    tokens: np.ndarray
    ends: np.ndarray  # ends[k] is where sentence k stops

    @classmethod
    def encode(
        cls, tokenizer: PreTrainedTokenizerBase, sentences: list[str], max_length: int
    ) -> Sequences:
        ids = tokenizer(sentences, truncation=True, max_length=max_length)["input_ids"]
        tokens = np.fromiter((t for row in ids for t in row), dtype=np.int32)
        return cls(tokens, np.cumsum([len(row) for row in ids]))

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.diff(self.ends, prepend=0)

    def batch(self, rows: np.ndarray, pad: int) -> Tensor:
        """Rows as (n, longest) ids, padded on the right."""
        out = torch.full((len(rows), int(self.lengths[rows].max())), pad)
        for k, row in enumerate(rows):
            start = self.ends[row - 1] if row else 0
            out[k, : self.ends[row] - start] = torch.from_numpy(self.tokens[start : self.ends[row]])
        return out


def pretrain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    settings: PretrainingSettings,
    directory: Path,
    *,
    progress: bool = True,
) -> pd.DataFrame:
    """Train `model` in place on the sentences of every language of `corpus`, mixed.

    Parameters
    ----------
    model : a masked language model whose loss is a sum over masked tokens (`EncoderForMaskedLM`).
    corpus : Corpus
        `held_out` evenly spaced sentences of each language are never trained on.
    directory : Path
        Holds `snapshots/STEP` (loadable with `from_pretrained`), `history.csv` and, while training,
        the state from which a killed run resumes.

    Returns
    -------
    DataFrame with one row per evaluation: step, tokens (seen so far), learning_rate,
    training_loss (mean since the last row), loss (held out; both in nats per masked token).

    Raises
    ------
    ValueError : a language has no more sentences than `held_out`, or the loss is not finite.

    Notes
    -----
    Under `torchrun` every rank trains on its share of each batch; the result is the same up to the
    order of floating-point sums.
    """
    # Accelerate would pick Apple's MPS by itself, where float64 sums do not exist.
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision="bf16" if settings.precision == "bf16" else "no",
    )
    directory = Path(directory)
    train, held_out = _split(corpus, tokenizer, settings)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    done = _restore(directory / STATE, model, optimizer)
    history = _read_history(directory, done)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    wrapped.train()

    bar = tqdm(
        total=settings.steps,
        initial=done,
        desc=directory.name[:12],
        mininterval=1,
        disable=not (progress and accelerator.is_main_process),
    )
    running, since, tokens = 0.0, 0, history[-1]["tokens"] if history else 0
    for step, rows in enumerate(_batches(train, settings, done), start=done + 1):
        loss, seen = _step(wrapped, optimizer, accelerator, tokenizer, train, rows, settings, step)
        running, since, tokens = running + loss, since + 1, tokens + seen
        bar.update()
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        if step in settings.evaluation_steps:
            if not np.isfinite(running):
                raise ValueError(
                    f"learning_rate: training diverged before step {step} with "
                    f"{settings.learning_rate}; expected a finite loss, got {running}"
                )
            history.append(
                {
                    "step": step,
                    "tokens": tokens,
                    "learning_rate": settings.rate(step),
                    "training_loss": running / since,
                    "loss": evaluate(model, tokenizer, held_out, settings),
                }
            )
            running, since = 0.0, 0
            if accelerator.is_main_process:
                _save(directory, model, optimizer, history)
            accelerator.wait_for_everyone()
    bar.close()
    if accelerator.is_main_process:
        (directory / STATE).unlink(missing_ok=True)
    return pd.DataFrame(history)


@torch.no_grad()
def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequences,
    settings: PretrainingSettings,
) -> float:
    """Masked-language-model loss in nats per masked token, always with the same masks."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    order = np.argsort(sentences.lengths, kind="stable")
    for number, rows in enumerate(
        by_length(order, sentences.lengths, 4 * settings.tokens_per_step)
    ):
        ids = sentences.batch(rows, tokenizer.pad_token_id)
        inputs, labels = mask_tokens(ids, tokenizer, settings.mask_rate, seed=(0, number))
        output = model(
            inputs.to(model.device),
            attention_mask=(ids != tokenizer.pad_token_id).to(model.device),
            labels=labels.to(model.device),
        )
        total += float(output.loss)
        count += int((labels != IGNORED).sum())
    model.train(was_training)
    return total / count


def mask_tokens(
    ids: Tensor, tokenizer: PreTrainedTokenizerBase, rate: float, *, seed: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """BERT's corruption: choose `rate` of the ordinary tokens; 80 % mask, 10 % random, 10 % kept.

    Returns the corrupted ids and the labels (the original id where chosen, -100 elsewhere), both
    shaped like `ids`. At least one token is always chosen, so no batch is without a loss.
    """
    generator = torch.Generator().manual_seed(_mix(*seed))
    vocabulary, specials = torch.arange(len(tokenizer)), torch.tensor(tokenizer.all_special_ids)
    special = torch.isin(ids, specials)
    draw = torch.rand(ids.shape, generator=generator).masked_fill(special, 2.0)
    chosen = draw < rate
    chosen.view(-1)[draw.view(-1).argmin()] = True
    labels = torch.where(chosen, ids, IGNORED)
    kind = torch.rand(ids.shape, generator=generator)
    ordinary = vocabulary[~torch.isin(vocabulary, specials)]
    random = ordinary[torch.randint(len(ordinary), ids.shape, generator=generator)]
    inputs = torch.where(chosen & (kind < 0.8), tokenizer.mask_token_id, ids)
    return torch.where(chosen & (kind >= 0.9), random, inputs), labels


def _step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequences,
    rows: np.ndarray,
    settings: PretrainingSettings,
    step: int,
) -> tuple[float, int]:
    """One optimizer step; the mean loss over the masked tokens of all ranks, and the tokens seen."""
    ids = sentences.batch(rows, tokenizer.pad_token_id)
    inputs, labels = mask_tokens(ids, tokenizer, settings.mask_rate, seed=(settings.seed + 1, step))
    attention = ids != tokenizer.pad_token_id
    masked, rank, ranks = (
        (labels != IGNORED).sum(),
        accelerator.process_index,
        accelerator.num_processes,
    )
    # A rank without a row of its own repeats one without labels: it must still join the exchange.
    mine = torch.arange(rank, len(rows), ranks) if rank < len(rows) else torch.tensor([0])
    if rank >= len(rows):
        labels = torch.full_like(labels, IGNORED)
    torch.manual_seed(_mix(settings.seed + 2, step * ranks + rank))  # dropout
    for group in optimizer.param_groups:
        group["lr"] = settings.rate(step)
    with accelerator.autocast():
        output = model(
            inputs[mine].to(accelerator.device),
            attention_mask=attention[mine].to(accelerator.device),
            labels=labels[mine].to(accelerator.device),
        )
    # Gradients are averaged over ranks, so each rank's sum is scaled up by their number.
    accelerator.backward(output.loss * ranks / masked)
    accelerator.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    total = accelerator.reduce(output.loss.detach(), reduction="sum")
    return float(total) / int(masked), int(attention.sum())


def _split(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase, settings: PretrainingSettings
) -> tuple[Sequences, Sequences]:
    train, held_out = [], []
    for language in corpus.languages:
        lines = list(corpus.sentences[language])
        if len(lines) <= settings.held_out:
            raise ValueError(
                f"corpus: expected more than {settings.held_out} sentences (held_out) in "
                f"{language}, got {len(lines)}"
            )
        # Evenly spaced, because real text comes domain after domain.
        chosen = set(np.linspace(0, len(lines) - 1, settings.held_out).astype(int).tolist())
        held_out += [line for k, line in enumerate(lines) if k in chosen]
        train += [line for k, line in enumerate(lines) if k not in chosen]
    return tuple(
        Sequences.encode(tokenizer, lines, settings.max_length) for lines in (train, held_out)
    )


def _batches(
    sentences: Sequences, settings: PretrainingSettings, skip: int
) -> Iterator[np.ndarray]:
    """Batches of sentences of (nearly) one length, in a new random order every epoch."""
    number, epoch = 0, 0
    while True:
        random = np.random.default_rng([settings.seed, epoch])
        shuffled = random.permutation(len(sentences.ends))
        order = shuffled[np.argsort(sentences.lengths[shuffled], kind="stable")]
        batches = list(by_length(order, sentences.lengths, settings.tokens_per_step))
        for index in random.permutation(len(batches)):
            number += 1
            if number > settings.steps:
                return
            if number > skip:
                yield batches[index]
        epoch += 1


def _save(
    directory: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer, history: list[dict]
) -> None:
    """Snapshot, then history, then state: a kill between any two repeats work but loses none."""
    snapshot = directory / "snapshots" / f"{history[-1]['step']:07d}"
    if not snapshot.exists():
        with atomic_write(snapshot) as temporary, quiet_transformers():
            model.save_pretrained(temporary)
    with atomic_write(directory / "history.csv") as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False)
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in values.items()}
    tensors = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    with atomic_write(directory / STATE) as temporary:
        save_file(tensors, temporary, metadata={"step": json.dumps(history[-1]["step"])})


def _restore(path: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> int:
    """Load a saved state, if there is one; the number of steps already done."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        step = json.loads(file.metadata()["step"])
    tensors = load_file(path)
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return step


def _read_history(directory: Path, done: int) -> list[dict]:
    path = directory / "history.csv"
    if not done or not path.exists():
        return []
    history = pd.read_csv(path)
    return history[history["step"] <= done].to_dict("records")


def _mix(a: int, b: int) -> int:
    """One well-mixed 63-bit seed out of two numbers."""
    return int(np.random.SeedSequence([a, b]).generate_state(1, np.uint64)[0] >> np.uint64(1))
