"""What single training examples do to a network's outputs, from runs on random halves of the training set.

A run's outputs are its margins on the query examples: f = z_y − log Σ over c ≠ y of exp z_c, y the label.
An attribution gives each training example j a weight τ_ij on query example i, and predicts for a run on
the set S the sum of τ_ij over j in S, but for a constant.

The linear datamodeling score (LDS; Park et al., "TRAK: Attributing Model Behavior at Scale", 2023) is
Spearman's correlation over held-out sets S between that prediction and the margins seen, averaged over
the query examples.

Datamodels (Ilyas et al., "Datamodels: Predicting Predictions from Training Data", 2022) are the weights
that a linear regression on the masks of many runs finds; here with a ridge, whose size a fifth of the
runs decides. Effects are means: the margin of the runs that had j, minus that of those that had not
(Feldman and Zhang 2020).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]
RIDGES = np.geomspace(1, 1e5, 16)
VALIDATION = 5  # one run in so many decides the ridge


def margins_of(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Values:
    """Return the margin of each run on each example, (M, n). logits: (M, n, C). labels: (n,)."""
    x = logits.astype(np.float64)
    row = np.arange(len(labels))
    own = x[:, row, labels].copy()
    x[:, row, labels] = -np.inf
    most = x.max(-1)
    margins: Values = own - most - np.log(np.exp(x - most[..., None]).sum(-1))
    return margins


def linear_datamodeling_scores(weights: Values, masks: Masks, margins: Values) -> Values:
    """Return the LDS of each query example, (n,) in [-1, 1]; 0 where a prediction never changes.

    weights: τ, (n, N). masks: bool (m, N), the training examples of each held-out set. margins: (m, n).
    """
    predicted = masks.astype(np.float64) @ weights.T  # (m, n)
    return _correlations(_ranks(predicted), _ranks(margins))


def _ranks(values: Values) -> Values:
    from scipy.stats import rankdata

    ranks: Values = rankdata(values, axis=0)
    return ranks


def _correlations(first: Values, second: Values) -> Values:
    """Return Pearson's correlation of each column of two tables, (n,)."""
    x, y = first - first.mean(0), second - second.mean(0)
    norms = np.sqrt((x**2).sum(0) * (y**2).sum(0))
    correlations: Values = np.divide((x * y).sum(0), norms, out=np.zeros(len(norms)), where=norms > 0)
    return correlations


def effects(masks: Masks, margins: Values) -> Values:
    """Return the mean margin of the runs with each training example minus that without, (n, N)."""
    with_it = masks.astype(np.float64)
    without = 1 - with_it
    means = [of.T @ margins / np.maximum(of.sum(0), 1)[:, None] for of in (with_it, without)]  # (N, n) each
    difference: Values = (means[0] - means[1]).T
    return difference


def datamodels(masks: Masks, margins: Values) -> Values:
    """Return the weights of a ridge regression of each query example's margins on the masks, (n, N)."""
    x = masks.astype(np.float64) - masks.mean()
    y = margins - margins.mean(0)
    is_kept = np.arange(len(x)) % VALIDATION > 0
    errors = []
    for ridge in RIDGES:
        found = _ridge(x[is_kept], y[is_kept], ridge)
        errors.append(float(((x[~is_kept] @ found.T - y[~is_kept]) ** 2).mean()))
    return _ridge(x, y, RIDGES[int(np.argmin(errors))])


def _ridge(x: Values, y: Values, ridge: float) -> Values:
    """Return the weights (n, N) by the dual form: there are fewer runs than training examples."""
    dual = np.linalg.solve(x @ x.T + ridge * np.eye(len(x)), y)  # (M, n)
    weights: Values = dual.T @ x
    return weights
