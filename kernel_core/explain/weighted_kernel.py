"""The kernel of one example with others when each run has a weight, for many weightings at once.

It is a mean over classes of weighted correlations over the runs, with weights w of sum 1:

    sum of w x y - (sum of w x)(sum of w y),   divided by both weighted deviations
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernel_core.explain.traces import ROUNDING, Kept, to_float32

NUMBERS = 200_000  # examples times weightings times runs of the classes that are computed at a time
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RunWeights:
    """B weightings of the M runs.

    values: float32 (B, M), each row of sum 1.
    draws: float64 (B,), the number of runs that each row stands for.
    """

    values: Singles
    draws: Floats

    def __getitem__(self, rows: slice) -> RunWeights:
        """Return some of the weightings."""
        return RunWeights(self.values[rows], self.draws[rows])

    def distinct(self) -> tuple[RunWeights, npt.NDArray[np.intp]]:
        """Return the weightings without repetitions, and the place of each of these B among them, (B,).

        Few runs have few resamples: of 200 resamples of 4 runs, at most 35 differ.
        """
        both = np.column_stack([self.values, self.draws])
        _, first, place = np.unique(both, axis=0, return_index=True, return_inverse=True)
        return RunWeights(self.values[first], self.draws[first]), place


def exact_kernel(query: Floats, others: Floats, weights: RunWeights) -> Floats:
    """Return the kernel of an example with others under each weighting, float64 (n, B).

    query: (C, M). others: (n, C, M). Both are raw traces; equal traces give equal numbers. A class that does
    not vary contributes 0.
    """
    W = weights.values.astype(np.float64)  # (B, M)
    W /= W.sum(1, keepdims=True)
    total = np.zeros((len(others), len(W)))
    some = max(1, NUMBERS // (len(others) * W.size))  # classes at a time
    for c in range(0, len(query), some):
        q, q_deviation = _centered(query[c : c + some], W)  # (c, B, M) and (c, B)
        raw = others[:, c : c + some, None, :]  # (n, c, 1, M)
        x = raw - (raw * W).sum(-1, keepdims=True)  # (n, c, B, M)
        deviation = np.sqrt((W * x**2).sum(-1))
        size = np.sqrt((W * raw**2).sum(-1))
        divisor = q_deviation * np.where(deviation > ROUNDING * size, deviation, np.inf)
        total += ((W * q * x).sum(-1) / divisor).sum(1)
    return total * ((weights.draws - 1) / weights.draws / len(query))


def _centered(query: Floats, W: Floats) -> tuple[Floats, Floats]:
    """Return an example minus its weighted means, (C, B, M), and its weighted deviations, (C, B).

    query: (C, M). W: (B, M). Where the example does not vary, its deviation is infinite.
    """
    around = query[:, None, :] - (query @ W.T)[:, :, None]
    deviation = np.sqrt((W * around**2).sum(-1))
    varies = deviation > ROUNDING * np.sqrt(query**2 @ W.T)
    return around, np.where(varies, deviation, np.inf)


@dataclass(frozen=True, eq=False)
class WeightedKernel:
    """The kernel of one example under B weightings, computed in float32 by two matrix products.

    products: float32 (C, M, B), to multiply traces by: the weighted example, standardized under each
    weighting, of sum 0.
    weights: float32 (M, B), to multiply traces and squared traces by.
    factor: float32 (B,), to multiply the sum over classes by.
    """

    products: Singles
    weights: Singles
    factor: Singles

    @classmethod
    def of(cls, query: Floats, weights: RunWeights) -> WeightedKernel:
        """Prepare the products for an example, whose raw trace is (C, M)."""
        (C, M), B = query.shape, len(weights.draws)
        products = np.empty((C, M, B), np.float32)
        for c in range(C):
            around, deviation = _centered(query[c : c + 1], weights.values.astype(np.float64))
            products[c] = (weights.values * around[0] / deviation[0][:, None]).T
        factor = (weights.draws - 1) / weights.draws / C
        return cls(products, np.ascontiguousarray(weights.values.T), factor.astype(np.float32))

    def with_traces(self, others: Kept) -> Singles:
        """Return the kernel with other traces, (n, C, M), under each weighting, float32 (n, B)."""
        n, C, M = others.shape
        B = len(self.factor)
        total = np.zeros((n, B), np.float32)
        # Arrays of their own: what is done number by number takes half as long as with parts of one.
        x, product, mean, squares = (np.empty((n, width), np.float32) for width in (M, B, B, B))
        for c in range(C):
            to_float32(np.asarray(others[:, c]), x)
            np.matmul(x, self.products[c], out=product)
            np.matmul(x, self.weights, out=mean)
            np.matmul(np.multiply(x, x, out=x), self.weights, out=squares)
            variance = np.subtract(squares, np.multiply(mean, mean, out=mean), out=mean)
            # Less variance than this is rounding; the larger divisor makes its product vanish.
            squares *= np.float32(ROUNDING**2)
            np.maximum(variance, squares, out=variance)
            variance += np.float32(1e-30)
            total += np.divide(product, np.sqrt(variance, out=variance), out=product)
        return np.multiply(total, self.factor, out=total)
