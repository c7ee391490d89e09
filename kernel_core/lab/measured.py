"""What the kernel of an ensemble finds, as a few numbers, beside a reference kernel of other runs."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from kernel_core.findings.votes import fourth_power, weighted_vote
from kernel_core.lab.all_pairs import Labels, Values, kernel_values, nearest_of, pearson, shared
from kernel_core.lab.setting import K
from kernel_core.lab.varied import Logits

OVERLAP = 10
MEASURES: dict[str, Literal["share", "number"]] = {
    "one run": "share",
    "averaged": "share",
    "3 nearest": "share",
    "20 weighted": "share",
    "correlation": "number",
    f"shared {OVERLAP} nearest": "share",
    "effective runs": "number",
}
"""Title → unit, in the order of `measured`."""


def measured(logits: Logits, labels: Labels, reference: Values) -> list[float]:
    """Return the numbers of `MEASURES`.

    logits: of the test and the training examples. reference: the values of a kernel for the same pairs.
    """
    test = logits["test"]
    values = kernel_values(test, logits["train"])
    nearest = nearest_of(values, min(K, values.shape[1]))
    of_nearest = labels[1][nearest]
    count = int(max(map(np.max, labels))) + 1
    weights = fourth_power(np.take_along_axis(values, nearest, 1).astype(np.float32))
    right = [
        test.argmax(2) == labels[0],
        test.mean(0).argmax(1) == labels[0],
        weighted_vote(of_nearest[:, :3], np.ones((len(nearest), 3)), count) == labels[0],
        weighted_vote(of_nearest, weights, count) == labels[0],
    ]
    near = shared(nearest[:, :OVERLAP], nearest_of(reference, OVERLAP))
    return [*(float(of.mean()) for of in right), pearson(values, reference), near, effective_runs(test)]


def effective_runs(logits: npt.NDArray[np.floating]) -> float:
    """Return how many independent runs vary as much as these do, 1 … M − 1. logits: (M, n, C).

    It is the participation ratio, (sum of λ)² / sum of λ², of the eigenvalues λ of the M × M inner products
    of the runs' log-probabilities, each standardized over the runs as in the kernel.

    >>> rng = np.random.default_rng(0)
    >>> one, many = rng.normal(size=(2, 500, 4)), rng.normal(size=(8, 500, 4))
    >>> round(effective_runs(np.repeat(one, 4, 0)), 2), round(effective_runs(many), 1)
    (1.0, 7.0)
    """
    x = logits.astype(np.float64)
    x = x - np.log(np.exp(x - x.max(2, keepdims=True)).sum(2, keepdims=True)) - x.max(2, keepdims=True)
    centered, spread = x - x.mean(0), x.std(0, ddof=1)
    rows = np.divide(centered, spread, out=np.zeros_like(x), where=spread > 0).reshape(len(x), -1)
    products = rows @ rows.T
    return float(np.trace(products) ** 2 / (products**2).sum())
