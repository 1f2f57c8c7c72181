"""How large a model is, from its configuration alone: no weight is read or kept."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import AutoModel, PreTrainedConfig

from xsim_lib.models.encoder import LoadedModel, count_parameters
from xsim_lib.models.loading import quiet_transformers, read_config

__all__ = ["sizes", "sizes_of"]


def sizes(
    name_or_folder: str | os.PathLike,
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> dict[str, int]:
    """Read how large a public checkpoint is from its ``config.json``.

    Parameters
    ----------
    name_or_folder, revision, local_files_only : as in `xsim_lib.models.loading.load`.

    Returns
    -------
    dict with ``n_parameters`` (embeddings included, heads and pooler not, shared ones once),
    ``n_layers`` and ``n_hidden_units``.

    Raises
    ------
    ValueError : there is no such model, or nothing here can build it.
    """
    folder = Path(name_or_folder).expanduser()
    source = str(folder) if folder.is_dir() else str(name_or_folder)
    return _sizes(read_config(source, folder.is_dir(), revision, local_files_only))


def sizes_of(loaded: LoadedModel) -> dict[str, int]:
    """Say how large a loaded model is, in the same words as `sizes`."""
    return _sizes(loaded.model.config)


def _sizes(config: PreTrainedConfig) -> dict[str, int]:
    with torch.device("meta"), quiet_transformers():
        model = AutoModel.from_config(config, trust_remote_code=False)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # stands beside the layers; `load` leaves it out
    return {
        "n_parameters": count_parameters(model),
        "n_layers": config.num_hidden_layers,
        "n_hidden_units": config.hidden_size,
    }
