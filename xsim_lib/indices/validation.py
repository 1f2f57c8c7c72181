"""One validator for every function that takes representations.

It turns numpy or torch input into a floating-point torch tensor on the input's own device, so that
each index has one implementation, and its errors name the argument, what came and what was expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    Array = np.ndarray | torch.Tensor


def rows(
    name: str,
    value: Any,
    *,
    min_samples: int = 2,
    batched: bool = False,
    convert: bool = True,
) -> torch.Tensor:
    """Check one representation and return it as a tensor, in float64 unless `convert` says else.

    Parameters
    ----------
    name : the argument's name, for the error message.
    value : (n_samples, n_features), or (..., n_samples, n_features) if `batched`
        numpy array, torch tensor, or anything `numpy.asarray` takes; any real dtype, any strides.
    min_samples : the smallest n_samples that makes sense.
    convert : False leaves the dtype as it is, for functions that convert a part at a time.

    Returns
    -------
    Tensor on the input's device (on the CPU if that device has no float64, as Apple's has not). It
    shares memory with the input where no conversion was needed: do not write into it.

    Raises
    ------
    ValueError : wrong number of dimensions, too few samples, no features, or a NaN or infinity, with
        the row and column of the first.
    TypeError : the values are not real numbers.
    """
    import torch

    tensor = _as_tensor(name, value)
    shape = tuple(tensor.shape)
    layout = "(..., n_samples, n_features)" if batched else "(n_samples, n_features)"
    if len(shape) < 2 or (len(shape) > 2 and not batched):
        raise ValueError(f"{name}: expected shape {layout}, got {shape}")
    if shape[-2] < min_samples:
        raise ValueError(
            f"{name}: expected at least {min_samples} rows (samples), got {shape[-2]} in shape {shape}"
        )
    if 0 in shape:
        raise ValueError(f"{name}: expected at least one value, got shape {shape}")
    _check_finite(name, tensor)
    if tensor.device.type == "mps":
        tensor = tensor.cpu()
    return tensor.to(torch.float64) if convert else tensor


def pair(
    x: Any,
    y: Any,
    *,
    same_features: bool = False,
    min_samples: int = 2,
    batched: bool = False,
    convert: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check two aligned representations: row k of both is the same sentence.

    Parameters
    ----------
    x, y : as in `rows`; the number of rows (and of leading dimensions) must agree.
    same_features : the number of columns must agree too.

    Raises
    ------
    ValueError, TypeError : as `rows`; or y has other rows, columns, leading dimensions or another
        device than x, for example ``y: expected 10000 rows like x, got 9998``.
    """
    a = rows("x", x, min_samples=min_samples, batched=batched, convert=convert)
    b = rows("y", y, min_samples=min_samples, batched=batched, convert=convert)
    aligned(("x", a), ("y", b), same_features=same_features)
    return a, b


def aligned(
    x: tuple[str, torch.Tensor], y: tuple[str, torch.Tensor], *, same_features: bool = False
) -> None:
    """Raise ValueError unless two named tensors agree in all that `pair` demands."""
    (first, a), (second, b) = x, y
    if a.shape[-2] != b.shape[-2]:
        raise ValueError(f"{second}: expected {a.shape[-2]} rows like {first}, got {b.shape[-2]}")
    if same_features and a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"{second}: expected {a.shape[-1]} columns like {first}, got {b.shape[-1]}"
        )
    if a.shape[:-2] != b.shape[:-2]:
        raise ValueError(
            f"{second}: expected leading dimensions {tuple(a.shape[:-2])} like {first}, got "
            f"{tuple(b.shape[:-2])}"
        )
    if a.device != b.device:
        raise ValueError(f"{second}: expected device {a.device} like {first}, got {b.device}")


def varies(name: str, tensor: torch.Tensor, index: str) -> None:
    """Raise ValueError if all rows are equal, because then `index` is 0 / 0."""
    if bool((tensor == tensor[0]).all()):
        raise ValueError(f"{name}: all rows are equal, so {index} is undefined (0 / 0)")


def number(name: str, value: Any, *, low: float, high: float, integer: bool = False) -> Any:
    """Return `value` if it is a number (an integer if asked) in [low, high], else raise ValueError."""
    kinds = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    wanted = f"{'an integer' if integer else 'a number'} from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise ValueError(f"{name}: expected {wanted}, got {value!r}")
    return value


def one_of(name: str, value: Any, options: tuple) -> Any:
    """Return `value` if it is one of `options`, else raise ValueError that lists them."""
    if value not in options:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def result(values: torch.Tensor, undefined: dict[str, torch.Tensor] | None = None) -> Any:
    """An index as the caller gets it: a float for one pair, a float64 array for a batch of pairs.

    Parameters
    ----------
    values : (...), one per pair.
    undefined : reason -> (...) where it applies
        For one pair the reason becomes a ValueError; in a batch the entry becomes nan, so that one
        collapsed layer does not take the others with it.
    """
    for reason, where in (undefined or {}).items():
        if values.ndim == 0 and bool(where):
            raise ValueError(reason)
        values = values.masked_fill(where, float("nan"))
    return values.item() if values.ndim == 0 else values.cpu().double().numpy()


def _as_tensor(name: str, value: Any) -> torch.Tensor:
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_complex():
            raise TypeError(f"{name}: expected real numbers, got dtype {value.dtype}")
        return value.detach()
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.dtype not in (np.float16, np.float32, np.float64):
        array = array.astype(np.float64)
    # torch takes only native byte order, non-negative strides and writeable memory without complaint.
    native = array.dtype.newbyteorder("=")
    return torch.from_numpy(np.require(array, dtype=native, requirements=["C", "W"]))


def _check_finite(name: str, tensor: torch.Tensor) -> None:
    # A sum over anything not finite is not finite: one pass, no copy. (It may also have overflowed.)
    if not tensor.is_floating_point() or bool(tensor.sum().isfinite()):
        return
    finite = tensor.isfinite()
    if bool(finite.all()):
        return
    *lead, row, column = (~finite).nonzero()[0].tolist()
    bad = tensor[(*lead, row, column)].item()
    where = f"row {row}, column {column}" + (f" of entry {tuple(lead)}" if lead else "")
    raise ValueError(f"{name}: expected finite values, got {bad} at {where}")
