"""Probabilities of classes, of which only the likeliest are kept, and some that are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LIKELIEST = 10  # classes that are kept of every example
Classes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def likeliest_classes(values: npt.NDArray[np.float32], count: int) -> Classes:
    """Return the classes of the largest values, the largest first, int64 (n, count); ties by class.

    values: (n, C), at least 0.

    >>> likeliest_classes(np.array([[0.1, 0.4, 0.1, 0.4]], np.float32), 3)
    array([[1, 3, 0]])
    """
    n, C = values.shape
    if count == C:
        return _in_order(values, np.broadcast_to(np.arange(C), (n, C)))
    least = np.partition(values, C - count, axis=1)[:, C - count]
    candidates = values >= least[:, None]
    is_clear = candidates.sum(1) == count  # elsewhere several classes are as likely as the last one
    classes = np.empty((n, count), np.int64)
    found = np.nonzero(candidates & is_clear[:, None])[1].reshape(-1, count)
    classes[is_clear] = _in_order(np.take_along_axis(values[is_clear], found, 1), found)
    others = values[~is_clear]
    classes[~is_clear] = _in_order(others, np.broadcast_to(np.arange(C), others.shape))[:, :count]
    return classes


def _in_order(values: npt.NDArray[np.float32], classes: npt.NDArray[np.integer]) -> Classes:
    """Return the classes (n, m) of these values (n, m), at least 0, the largest first; ties by class."""
    last = np.uint64(2**32 - 1)
    # Floats of at least 0 are in the order of their bits. With the class below them, no two are equal.
    keys = np.ascontiguousarray(values).view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys |= last - classes.astype(np.uint64)
    keys.sort(axis=1)
    return (last - (keys[:, ::-1] & last)).astype(np.int64)


def likeliest_count(class_count: int, named: int) -> int:
    """Return how many of the likeliest classes are kept, where so many named ones are kept beside them.

    All, where that would not be fewer than all.
    """
    return class_count if class_count <= LIKELIEST + named else LIKELIEST


def kept_count(class_count: int, named: int) -> int:
    """Return how many classes are kept of each example in all."""
    return min(class_count, LIKELIEST + named)


def sum_of_rest(values: npt.NDArray[Any], kept: Classes) -> npt.NDArray[Any]:
    """Return the sum of the values (n, C) of classes that are not among the kept, (n,). kept: (n, K)."""
    if kept.shape[1] == values.shape[1]:
        return np.zeros(len(values))
    others = values.copy()
    np.put_along_axis(others, kept, 0, 1)
    sums: npt.NDArray[Any] = others.sum(1)
    return sums


@dataclass(frozen=True, eq=False)
class ClassProbabilities:
    """Probabilities of C classes for N examples, usually memory-mapped; of an unlikely class only a bound.

    class_count: C. classes: unsigned (N, K), the classes that are kept: the `LIKELIEST`, the likeliest first,
    ties by class; then others that were named, which may be among these too. Or all C of them, the likeliest
    first, where K = C. values: float32 (N, K), the probability of each; NaN in the rows of examples that have
    none. rest: float32 (N,), the sum over the classes that are not kept.
    """

    class_count: int
    classes: npt.NDArray[np.unsignedinteger[Any]]
    values: npt.NDArray[np.float32]
    rest: npt.NDArray[np.float32]

    @classmethod
    def of(cls, values: npt.NDArray[np.floating], named: npt.NDArray[np.integer]) -> ClassProbabilities:
        """Return what is kept of the probabilities (N, C) of all classes.

        named: (N, m), classes to keep however unlikely they are.
        """
        values = np.ascontiguousarray(values, np.float32)
        C = values.shape[1]
        kept = likeliest_classes(np.nan_to_num(values), likeliest_count(C, named.shape[1]))
        if kept.shape[1] < C:
            kept = np.concatenate([kept, named], 1)
        rest = sum_of_rest(values.astype(np.float64), kept).astype(np.float32)
        numbers = kept.astype(np.min_scalar_type(C))
        return cls(C, numbers, np.take_along_axis(values, kept, 1), rest)

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def is_complete(self) -> bool:
        """Whether every class is kept."""
        return bool(self.classes.shape[1] == self.class_count)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which examples have probabilities, (N,)."""
        return np.isfinite(self.values[:, 0])

    def rows(self, index: npt.NDArray[np.integer] | slice) -> ClassProbabilities:
        """Return the probabilities of some examples."""
        return ClassProbabilities(self.class_count, self.classes[index], self.values[index], self.rest[index])

    def likeliest(self) -> tuple[Classes, npt.NDArray[np.float32]]:
        """Return each example's likeliest class and its probability, both (N,). Ties go to the smallest."""
        return self.classes[:, 0].astype(np.int64), self.values[:, 0]

    def of_classes(self, classes: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Return the probability of one class of each example, (N,). classes: (N,).

        NaN where that class is not kept, and where the example has no probabilities.
        """
        place, is_kept = place_of(self.classes, classes)
        found: npt.NDArray[np.float32] = self.values[np.arange(len(self)), place]
        return np.where(is_kept, found, np.float32(np.nan))

    def is_first(self) -> npt.NDArray[np.bool_]:
        """Return which of the kept classes are not among those before them, (N, K)."""
        first = np.ones(self.classes.shape, bool)
        for place in range(LIKELIEST, 0 if self.is_complete else self.classes.shape[1]):
            first[:, place] = (self.classes[:, :place] != self.classes[:, place : place + 1]).all(1)
        return first

    def most(self) -> Floats:
        """Return the most that a class that is not kept can have, (N,); 0 where all are kept.

        It is no likelier than the last of the likeliest, nor than all that are not kept together.
        """
        if self.is_complete:
            return np.zeros(len(self))
        return np.minimum(self.values[:, LIKELIEST - 1], self.rest).astype(np.float64)

    def dense(self) -> Floats:
        """Return a probability of every class, float64 (N, C); those not kept share alike what is left."""
        N, K = self.classes.shape
        if self.is_complete:
            dense = np.empty((N, self.class_count))
        else:
            # Those that are kept twice make K too large, and a share too large; `most` is never passed.
            share = np.minimum(self.rest.astype(np.float64) / (self.class_count - K), self.most())
            dense = np.repeat(share[:, None], self.class_count, 1)
        np.put_along_axis(dense, self.classes.astype(np.int64), self.values.astype(np.float64), 1)
        return dense


def place_of(
    kept: npt.NDArray[np.unsignedinteger[Any]], classes: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return where each row's class is first among those that are kept, and whether it is; both (n,).

    kept: (n, K). classes: (n,).
    """
    is_there = kept == classes[:, None].astype(kept.dtype)
    return is_there.argmax(1), is_there.any(1)
