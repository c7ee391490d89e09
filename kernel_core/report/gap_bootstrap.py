"""How much lower the accuracy on clean examples is, with intervals by a bootstrap over images.

    gap_all      accuracy on clean examples minus that on all
    gap_leaked   accuracy on clean examples minus that on leaked ones
    gap_matched  the same, where clean examples count as often as their class is among the leaked ones:
                 sum over classes of (leaked of the class / leaked) · accuracy on its clean examples, minus
                 the accuracy on leaked ones. Classes without a clean example are left out on both sides.

The bootstrap (Efron and Tibshirani 1993, chapter 13: percentiles) draws groups of near-duplicates, with
replacement and as many as there are, and takes all examples of a group or none: they are alike, so that one
of them drawn alone would pass for news.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 2_000
LEAST = 10  # leaked examples; from fewer a bootstrap gives intervals that are far too narrow
PERCENTILES = (2.5, 97.5)
AT_ONCE_BYTES = 32_000_000
GAPS = ("gap_all", "gap_leaked", "gap_matched")
Floats = npt.NDArray[np.float64]


def gaps(
    right: Floats,
    leaked: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    class_count: int,
    *,
    resamples: int = RESAMPLES,
) -> list[dict[str, Any]]:
    """Return, per way of predicting, each of `GAPS` as value, low and high; None where there is none.

    right: (K, N), 0 … 1, how right each way is on each example. leaked: (N,). labels: (N,), class numbers.
    groups: (N,), numbers from 0. The draws depend on these sizes alone. With fewer than `LEAST` leaked
    examples or as few clean ones, there are values and no intervals.
    """
    K = len(right)
    if not leaked.any() or leaked.all():
        nothing = {"value": None, "low": None, "high": None}
        return [dict.fromkeys(GAPS, nothing) for _ in range(K)]
    sums = _sums_by_group(right, leaked, labels, groups, class_count)
    group_count = sums.shape[1]
    exact = _gaps_of((sums @ np.ones((group_count, 1))).T, K, class_count)[:, :, 0]
    ends = np.full((2, 3, K), np.nan)
    if min(leaked.sum(), (~leaked).sum()) >= LEAST:
        drawn = [
            _gaps_of((sums @ weights.T).T, K, class_count)
            for weights in _draws(group_count, resamples, sums.shape[0])
        ]
        ends = np.nanpercentile(np.concatenate(drawn, axis=2), PERCENTILES, axis=2)
    return [
        {
            name: {
                "value": _number(exact[g, k]),
                "low": _number(ends[0, g, k]),
                "high": _number(ends[1, g, k]),
            }
            for g, name in enumerate(GAPS)
        }
        for k in range(K)
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sums_by_group(
    right: Floats,
    leaked: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    class_count: int,
) -> Any:
    """Return, sparse, the number of examples and the sums of `right`: (2 · (1 + K) · C, groups).

    Rows: clean before leaked, then the number before each way, then the class.
    """
    from scipy.sparse import csr_array

    K = len(right)
    values = np.concatenate([np.ones((1, len(leaked))), right])  # (1 + K, N)
    rows = (leaked * (1 + K) + np.arange(1 + K)[:, None]) * class_count + labels
    columns = np.broadcast_to(groups, rows.shape)
    shape = (2 * (1 + K) * class_count, int(groups.max()) + 1)
    return csr_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=shape)


def _draws(group_count: int, resamples: int, width: int) -> Iterator[Floats]:
    """Yield how often each group is drawn, (b, groups), for all resamples, a few at a time."""
    rng = np.random.default_rng(group_count)
    size = max(1, AT_ONCE_BYTES // (8 * max(group_count, width)))
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        drawn = rng.integers(group_count, size=(count, group_count))
        drawn += np.arange(count)[:, None] * group_count
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def _gaps_of(sums: Floats, K: int, class_count: int) -> Floats:
    """Return the three gaps of each way in each resample, (3, K, b). sums: (b, 2 · (1 + K) · C)."""
    both = sums.reshape(len(sums), 2, 1 + K, class_count).transpose(1, 2, 0, 3)  # (2, 1 + K, b, C)
    (clean, leaked), (clean_right, leaked_right) = both[:, 0], both[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        on_clean = clean_right.sum(2) / clean.sum(1)
        on_leaked = leaked_right.sum(2) / leaked.sum(1)
        on_all = (clean_right + leaked_right).sum(2) / (clean + leaked).sum(1)
        shared = clean > 0
        weights = np.where(shared, leaked, 0)  # (b, C)
        of_class = np.where(shared, clean_right / np.where(shared, clean, 1), 0)
        matched = (weights * of_class).sum(2) - np.where(shared, leaked_right, 0).sum(2)
        return np.stack([on_clean - on_all, on_clean - on_leaked, matched / weights.sum(1)])
