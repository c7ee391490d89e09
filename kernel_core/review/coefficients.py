"""Coefficients of agreement, as functions of how often each pattern of votes occurs.

Items with the same votes are alike, so that a coefficient is a function of the number of items per pattern. A
bootstrap over items draws these numbers, and computes all resamples at once.

weights: float64 (..., u), items per pattern. counts: int (u, q), votes per verdict in each pattern, at least
two in all: an item with one vote says nothing of agreement, and would change what is expected by chance.
Results: float64 (...), NaN where a coefficient is not defined.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def percent(weights: Floats, counts: Ints) -> Floats:
    """Return the share of equal verdicts among all two votes on an item, averaged over items.

    Fleiss (1971), "Measuring nominal scale agreement among many raters", P̄; with missing votes Gwet (2014),
    "Handbook of inter-rater reliability", p_a: mean of Σ n_k (n_k − 1) / (n (n − 1)).
    """
    votes = counts.sum(1)
    return _ratio(weights @ ((counts * (counts - 1)).sum(1) / (votes * (votes - 1))), weights.sum(-1))


def fleiss_kappa(weights: Floats, counts: Ints) -> Floats:
    """Return Fleiss' κ = (p_a − p_e) / (1 − p_e), p_e = Σ π_k².

    π_k: the share of verdict k among an item's votes, averaged over items. Fleiss (1971); with missing votes
    Gwet (2014).
    """
    return _corrected(percent(weights, counts), (_shares(weights, counts) ** 2).sum(-1))


def gwet_ac1(weights: Floats, counts: Ints) -> Floats:
    """Return Gwet's AC1 = (p_a − p_e) / (1 − p_e), p_e = Σ π_k (1 − π_k) / (q − 1).

    q: all verdicts that were possible, given or not. Gwet (2008), "Computing inter-rater reliability and its
    variance in the presence of high agreement".
    """
    shares = _shares(weights, counts)
    expected = (shares * (1 - shares)).sum(-1) / (counts.shape[1] - 1)
    return _corrected(percent(weights, counts), expected)


def krippendorff_alpha(weights: Floats, counts: Ints, *, ordinal: bool = False) -> Floats:
    """Return Krippendorff's α = 1 − D_o / D_e.

    Krippendorff (2011), "Computing Krippendorff's alpha-reliability": coincidences
    o_ck = Σ n_c (n_k − [c = k]) / (n − 1) over items. ordinal: weigh a difference by the votes between the
    two verdicts, in their order: δ²_ck = (Σ_{g=c…k} n_g − (n_c + n_k) / 2)²; otherwise any two are equally
    different.
    """
    number = counts.shape[1]
    own = counts[:, :, None] * np.eye(number, dtype=int)
    pairs = (counts[:, :, None] * counts[:, None, :] - own) / (counts.sum(1) - 1)[:, None, None]
    observed = (weights @ pairs.reshape(len(counts), -1)).reshape(*weights.shape[:-1], number, number)
    totals = weights @ counts
    difference = _ordinal(totals) if ordinal else 1.0 - np.eye(number)
    together = totals[..., :, None] * totals[..., None, :]
    expected = (together * difference).sum((-1, -2))
    return 1 - _ratio((observed * difference).sum((-1, -2)) * (totals.sum(-1) - 1), expected)


def _ordinal(totals: Floats) -> Floats:
    """Return Krippendorff's squared ordinal differences (..., q, q). totals: votes per verdict (..., q)."""
    middle = np.cumsum(totals, -1) - totals / 2
    squared: Floats = (middle[..., :, None] - middle[..., None, :]) ** 2
    return squared


def cohen_kappa(weights: Floats, votes: Ints, number: int) -> Floats:
    """Return Cohen's κ = (p_o − p_e) / (1 − p_e) of two reviewers, p_e = Σ p_k· p_·k.

    votes: (u, 2), the verdict of each in a pattern. number: of verdicts. Cohen (1960), "A coefficient of
    agreement for nominal scales".
    """
    total = weights.sum(-1)
    first, second = (weights @ np.eye(number)[votes[:, at]] for at in (0, 1))
    same = weights @ (votes[:, 0] == votes[:, 1]).astype(float)
    return _corrected(_ratio(same, total), _ratio((first * second).sum(-1), total**2))


def specific(weights: Floats, counts: Ints) -> Floats:
    """Return, for each verdict, how often another reviewer of the item says it too if one does, (..., q).

    Σ n_k (n_k − 1) / (n − 1) over Σ n_k: Fleiss (1971), p̄_k; with two reviewers the positive and negative
    agreement of Cicchetti and Feinstein (1990), "High agreement but low kappa: II".
    """
    pairs = counts * (counts - 1) / (counts.sum(1) - 1)[:, None]
    return _ratio(weights @ pairs, weights @ counts)


def _shares(weights: Floats, counts: Ints) -> Floats:
    return _ratio(weights @ (counts / counts.sum(1)[:, None]), weights.sum(-1)[..., None])


def _corrected(observed: Floats, expected: Floats) -> Floats:
    return _ratio(observed - expected, np.where(expected > 1 - 1e-12, 0, 1 - expected))


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return a quotient, NaN where it is divided by 0."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    found: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
    return found
