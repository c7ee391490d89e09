"""Probabilities, log-probabilities and sigmoid outputs as logits, converted block by block as they are read.

The kernel and the votes take the log-softmax of logits. That of log p is log p itself, up to a shift that it
takes away, so log p stands in for the logits. A sigmoid output z is the log of the odds of two classes, so
[0, z] does.
"""

from __future__ import annotations

import math

import numpy as np

from kernel_core.block_array import Array, BlockArray, Logits
from kernel_core.errors import DataError
from kernel_core.records import Floor

CHUNK = 4_000_000  # bytes of float64 converted at a time
LARGEST = 1.01  # a probability rounded to 8 bits is up to 0.4% too large
SUBNORMAL = {2: (2.0**-24, 2.0**-14), 4: (2.0**-149, 2.0**-126), 8: (2.0**-1074, 2.0**-1022)}
BFLOAT16 = (2.0**-133, 2.0**-126)
"""By bytes: the smallest number above 0, and the smallest that has all its digits."""


def floor_of(kind: str, itemsize: int, *, bfloat16: bool) -> Floor | None:
    """Return which logits stand for probabilities that were lost when they were rounded; None if none were.

    itemsize: bytes of a number in the files. bfloat16: whether it is one of these.
    """
    if kind == "probabilities":
        smallest, precise = BFLOAT16 if bfloat16 else SUBNORMAL[itemsize]
    elif kind == "log-probabilities":  # taken of float32 numbers, however they were rounded afterwards
        smallest, precise = SUBNORMAL[max(itemsize, 4)]
    else:
        return None
    zero = math.log(smallest) - math.log(2)
    return Floor(zero, math.log(precise) if kind == "probabilities" else zero)


def as_logits(array: Logits, kind: str, floor: Floor | None, name: str) -> Logits:
    """Return what is read from a file as logits (m, N, C).

    array: (m, N, C), for sigmoid (m, N, 1). name: what to call it in an error. Reading it raises `DataError`
    for numbers that are not of the kind.
    """
    if kind == "logits":
        return array
    m, N, C = array.shape
    dtype = np.float64 if array.dtype == np.float64 else np.float32

    def fill(out: Array, run: int, example: int) -> None:
        n = out.shape[1]
        size = max(1, CHUNK // (8 * n * C))
        for start in range(0, len(out), size):
            target = out[start : start + size]
            first = run + start
            values = np.asarray(array[first : first + len(target), example : example + n], dtype)
            if kind == "sigmoid":
                target[..., 0], target[..., 1] = 0, values[..., 0]
            else:
                assert floor is not None
                _write_logs(values, kind, floor, name, target)

    return BlockArray(fill, (m, N, 2 if kind == "sigmoid" else C), dtype)


def _write_logs(values: Array, kind: str, floor: Floor, name: str, out: Array) -> None:
    least, most = values.min(initial=0), values.max(initial=0)
    if kind == "probabilities":
        if least < 0 or most > LARGEST:
            wrong = least if least < 0 else most
            raise DataError(
                f'{name} holds {wrong:g} as a probability, as kind = "probabilities" says; expected 0 to 1. '
                "Write another kind under [ensemble], or save the probabilities again."
            )
        with np.errstate(divide="ignore"):
            np.log(values, out=out)
        np.maximum(out, floor.zero, out=out)
        return
    if most > math.log(LARGEST):
        raise DataError(
            f'{name} holds {most:g} as the log of a probability, as kind = "log-probabilities" says; '
            "expected at most 0. Write another kind under [ensemble], or save them again."
        )
    out[...] = values
    out[values == -np.inf] = floor.zero
