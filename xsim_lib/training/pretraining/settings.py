"""What a training run is, apart from its data and its model."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from xsim_lib.training.learning_rate import warm_up_and_decay


class PretrainingSettings(BaseModel):
    """What a training run is, apart from its data and its model.

    Attributes
    ----------
    steps : number of optimizer steps; 0 keeps the first, random weights.
    objective : "mlm", masked tokens are predicted from both sides; "clm", every token from those
        before it.
    sampling_exponent : every batch is of one language, drawn with p ~ n**exponent of its n
        sentences; None mixes all text in every batch.
    tokens_per_step : tokens in a batch, over all ranks.
    learning_rate : peak of a schedule with linear warm-up and linear decay to 0.
    warmup : share of the steps spent warming up.
    mask_rate : share of tokens to predict; of these 80 % are masked, 10 % random, 10 % unchanged.
        Has no meaning for "clm".
    max_length : sentences are cut after this many tokens.
    evaluations : how often the held-out loss is measured and a snapshot kept, evenly spaced.
    held_out : sentences per language kept out of training for that.
    precision : "fp32", or "bf16" autocast where the device has it; evaluation is always in fp32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    objective: Literal["mlm", "clm"] = "mlm"
    sampling_exponent: float | None = Field(None, ge=0)
    tokens_per_step: int = Field(1024, gt=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    mask_rate: float = Field(0.3, gt=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    max_length: int = Field(64, gt=2)
    evaluations: int = Field(10, gt=0)
    held_out: int = Field(200, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = Field(0, ge=0)

    def rate(self, step: int) -> float:
        """Learning rate of step 1, 2, ..., `steps`."""
        return warm_up_and_decay(step, self.steps, warmup=self.warmup, peak=self.learning_rate)

    @property
    def evaluation_steps(self) -> list[int]:
        """Steps with an evaluation and a snapshot: at most one each, the last step among them."""
        ends = np.linspace(0, self.steps, self.evaluations + 1)[1:]
        return sorted({round(end) for end in ends} - {0}) or [0]
