"""The kernel of infinitely wide networks at their start, in closed form, float64.

With ReLU, weights of variance 2 / fan-in (He et al. 2015) and no biases, the outputs of two examples over
random weights are jointly normal as the layers grow wide, with a correlation that is found layer by layer:
the first is the cosine of the inputs, and a hidden layer takes a correlation cos θ to

    (sin θ + (π − θ) cos θ) / π

Sources: Cho and Saul, "Kernel Methods for Deep Learning", 2009 (the arc-cosine kernel of degree 1); Lee et
al., "Deep Neural Networks as Gaussian Processes", 2018 (NNGP).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def nngp_correlation(query: Values, database: Values, hidden_layers: int) -> Values:
    """Return the correlation of the outputs of each pair of inputs, (n, m), in [-1, 1].

    query, database: inputs (n, D) and (m, D). An input of zeros has a correlation of 0 with all others.

    >>> nngp_correlation(np.eye(2), np.eye(2), 1).round(4).tolist()
    [[1.0, 0.3183], [0.3183, 1.0]]
    """
    correlation = _unit(query) @ _unit(database).T
    for _ in range(hidden_layers):
        correlation = after_relu(correlation.clip(-1, 1))
    known = np.outer((query != 0).any(1), (database != 0).any(1))
    return np.where(known, correlation, 0.0)


def after_relu(correlation: Values) -> Values:
    """Return the correlation after a hidden layer of ReLU units, of that before it."""
    angle = np.arccos(correlation)
    found: Values = (np.sin(angle) + (np.pi - angle) * correlation) / np.pi
    return found


def _unit(vectors: Values) -> Values:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit: Values = np.divide(vectors, norms, out=np.zeros(vectors.shape), where=norms > 0)
    return unit
