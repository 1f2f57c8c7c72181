"""What a checkpoint may bring but not have run: code of its own, kernels of the hub, pickles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xsim_lib.evidence.paths import visible

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

__all__ = ["first_line", "is_about_code", "refuse_kernels", "require_safetensors"]


def is_about_code(error: BaseException) -> bool:
    """Tell whether transformers stopped because only code of the checkpoint itself could go on.

    Its message then names the keyword that would allow it, and a page on the hub that has nothing to do with a
    local folder; callers say in one line of their own what is refused.
    """
    return "trust_remote_code" in str(error)


def refuse_kernels(source: str, config: PreTrainedConfig) -> None:
    """Refuse a configuration that names an attention kernel on the hub (``owner/name``), which is code.

    Raises
    ------
    ValueError : it does.
    """
    kernel = getattr(config, "_attn_implementation", None)
    if "/" in str(kernel):
        raise ValueError(
            f"name_or_folder: the configuration of {source} asks for the attention kernel {kernel!r} of the "
            "hub, which is code, and is refused; remove attn_implementation from its config.json"
        )


def require_safetensors(folder: Path) -> None:
    """Refuse a folder without safetensors.

    Raises
    ------
    ValueError : there are none; names the pickles that are there instead.
    """
    if visible(folder, "*.safetensors"):
        return
    pickles = [path.name for path in visible(folder, "*.bin")]
    if pickles:
        raise ValueError(
            f"name_or_folder: {folder} has only {', '.join(pickles)}; expected model.safetensors. "
            "A pickle can run code, so it is not read: run xsim_lib.models.loading.convert_to_safetensors(folder) once"
        )
    raise ValueError(f"name_or_folder: no model.safetensors in {folder}")


def first_line(error: BaseException) -> str:
    """What an error says, without the advice below it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
