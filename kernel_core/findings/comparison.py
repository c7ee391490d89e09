"""Query examples, named or random, and two similarities beside each other: how their neighbors' labels agree."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError
from kernel_core.records import SPLITS, Neighbors, Split


def named_split(text: str) -> Split:
    """The split of the example that a text such as test:123 names. Raises `RequestError` if it has no such form."""
    for split in SPLITS:
        if re.fullmatch(rf"{split}:[0-9]+", text):
            return split
    raise RequestError(
        f"{text!r} names no example; expected a split and an index, as in test:123 or train:123."
    )


def named_example(text: str, counts: Mapping[Split, int]) -> tuple[Split, int]:
    """Split and index of the example that a text names: test:123, train:123, or 123 alone for one of the test split.

    counts: how many examples each split of the source has. Raises `RequestError` if it names none.

    >>> named_example("train:4", {"test": 3, "train": 9}), named_example(" 2 ", {"test": 3, "train": 9})
    (('train', 4), ('test', 2))
    """
    match = re.fullmatch(r"(?:(test|train):)?([0-9]{1,18})", text.strip())
    split: Split = "train" if match and match[1] == "train" else "test"
    if not match or int(match[2]) >= counts.get(split, 0):
        wrong = "is out of range" if match else "names no example"
        known = " or ".join(f"{name}:0 … {name}:{count - 1}" for name, count in sorted(counts.items()))
        raise RequestError(f"{text[:40]!r} {wrong}; expected {known}.")
    return split, int(match[2])


def query_index(text: str, neighbors: Neighbors) -> int:
    """The query example that a text such as test:123 names. Raises `RequestError` if it names none."""
    split, count = neighbors.spec.query, len(neighbors.indices)
    match = re.fullmatch(rf"{split}:([0-9]+)", text)
    if not match:
        raise RequestError(
            f"{text!r} is no example with neighbors; expected {split}:0 … {split}:{count - 1}."
        )
    if int(match[1]) >= count:
        raise RequestError(f"{text} is out of range; expected {split}:0 … {split}:{count - 1}.")
    return int(match[1])


def random_queries(total: int, seed: int, count: int = 10) -> npt.NDArray[np.int64]:
    """`count` different indices below `total` (all, if there are fewer), drawn by the seed alone."""
    return np.random.default_rng(seed).choice(total, min(count, total), replace=False)


def label_agreement(
    neighbors: Neighbors,
    query_labels: npt.NDArray[np.int64],
    database_labels: npt.NDArray[np.int64],
    k: int,
    queries: npt.NDArray[np.int64] | slice = slice(None),
) -> float:
    """The share of the k nearest neighbors of these queries (all by default) that have the query's own label."""
    nearest = database_labels[neighbors.indices[queries, :k]]  # (n, k)
    return float((nearest == query_labels[queries][:, None]).mean())


def overlap(first: Neighbors, second: Neighbors, k: int) -> float:
    """Overlap@k: the share of the k nearest neighbors that both similarities name, averaged over the queries."""
    a, b = first.indices[:, :k], second.indices[:, :k]
    return float((a[:, :, None] == b[:, None, :]).any(2).mean())
