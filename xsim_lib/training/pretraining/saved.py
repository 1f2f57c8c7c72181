"""What training leaves on disk, and how a killed run finds its way back into it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xsim_lib.evidence import tracing
from xsim_lib.evidence.definitions import library
from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.models.loading import quiet_transformers

STATE = "state.safetensors"


def save_state(
    directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, history: list[dict]
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
    about = {"step": history[-1]["step"], "trace": library().fingerprints(tracing.so_far())}
    with atomic_write(directory / STATE) as temporary:
        save_file(tensors, temporary, metadata={k: json.dumps(v) for k, v in about.items()})


def restore_state(
    directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, list[dict]]:
    """Load a saved state, if there is one; the number of steps already done, and their history.

    What code trained that says something else today is removed, and training begins anew.
    """
    path = directory / STATE
    if not path.exists():
        return 0, []
    with safe_open(path, "pt") as file:
        about = {name: json.loads(value) for name, value in file.metadata().items()}
    done, trace = about["step"], about.get("trace", {})
    if library().changed(trace):
        path.unlink()
        shutil.rmtree(directory / "snapshots", ignore_errors=True)
        return 0, []
    tracing.include(trace)
    tensors = load_file(path)
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    history = pd.read_csv(directory / "history.csv")
    return done, history[history["step"] <= done].to_dict("records")
