"""Training of language models, masked or causal: one loop, counted in steps, resumable to the bit.

Everything random at step t (which language, which sentences, which masks, which dropout) is a
function of the seed and t alone, so a run that is killed and started again ends with the same
weights, and every rank of a distributed run can work out the whole batch before taking its share
of the rows.
"""

from xsim_lib.pretraining.loop import pretrain
from xsim_lib.pretraining.objectives import IGNORED, mask_tokens
from xsim_lib.pretraining.settings import PretrainingSettings
from xsim_lib.pretraining.state import STATE

__all__ = ["IGNORED", "STATE", "PretrainingSettings", "mask_tokens", "pretrain"]
