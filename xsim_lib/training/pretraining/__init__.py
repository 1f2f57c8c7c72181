"""Training of language models, masked or causal: one loop, counted in steps, resumable to the bit.

Everything random at step t (which language, which sentences, which masks, which dropout) is a
function of the seed and t alone, so a run that is killed and started again ends with the same
weights, and every rank of a distributed run can work out the whole batch before taking its share
of the rows.
"""

from xsim_lib.training.pretraining.loop import (
    Rewrite,
    language_model_loss,
    pretrain,
    training_losses,
)
from xsim_lib.training.pretraining.objectives import IGNORED, mask_tokens
from xsim_lib.training.pretraining.saved import STATE
from xsim_lib.training.pretraining.sentences import read_text
from xsim_lib.training.pretraining.settings import PretrainingSettings

__all__ = [
    "IGNORED",
    "STATE",
    "PretrainingSettings",
    "Rewrite",
    "language_model_loss",
    "mask_tokens",
    "pretrain",
    "read_text",
    "training_losses",
]
