"""Processes started by torchrun, as far as `compare` needs them; one process is rank 0 of 1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

__all__ = ["Rank", "broadcast", "current_rank", "gather", "process_group"]

# Rank 0 works out the indices while the others wait, which for CCA of a wide model takes a while.
_PATIENCE = timedelta(hours=12)


class Rank(NamedTuple):
    """Which of how many processes this one is."""

    rank: int = 0
    size: int = 1


def current_rank() -> Rank:
    """Tell the rank of this process in the process group, if one was joined."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return Rank(dist.get_rank(), dist.get_world_size())
    return Rank()


@contextmanager
def process_group() -> Iterator[Rank]:
    """Join the group that torchrun announced in the environment, and leave it afterwards.

    The backend is gloo on every device: what the ranks exchange at the end of a pass (sums) is small
    beside what made it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield Rank()
        return
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield current_rank()
    finally:
        dist.destroy_process_group()


def gather(value: Any) -> list[Any] | None:
    """Collect one value of every rank on rank 0, in the order of ranks; None elsewhere."""
    rank, size = current_rank()
    if size == 1:
        return [value]
    import torch.distributed as dist

    values = [None] * size if rank == 0 else None
    dist.gather_object(value, values)
    return values


def broadcast(value: Any) -> Any:
    """Give every rank the value of rank 0."""
    if current_rank().size == 1:
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box)
    return box[0]
