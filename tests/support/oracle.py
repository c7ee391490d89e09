"""The kernel and its neighbors computed the slow way: float64, whole, by `np.corrcoef`.

Shares no code with the project.
"""

import numpy as np


def log_softmax(logits):
    """Return log_softmax of logits (..., C) in extended precision, exact even for a very confident run."""
    x = logits.astype(np.longdouble)
    x = x - x.max(-1, keepdims=True)
    # The largest term is exp(0) = 1; longdouble keeps 1e-19 beside it.
    others = np.exp(x).sum(-1, keepdims=True) - 1
    return x - np.log1p(others)


def _mean(logits):
    return logits.astype(np.longdouble).mean(-1, keepdims=True)


TRANSFORMS = {
    "log_softmax": log_softmax,
    "none": lambda logits: logits.astype(np.float64),
    "centred": lambda logits: logits - _mean(logits),
    "shift": _mean,
}


def kernel(query, database, transform="log_softmax", classes=None):
    """Return the kernel (N1, N2) of logits (M, N1, C) and (M, N2, C).

    It is (M-1)/M times the correlation over the runs of what `transform` makes of the logits, averaged over
    the classes; classes: None for all.
    """
    M, n, _C = query.shape
    total = np.zeros((n, database.shape[1]))
    zq, zd = TRANSFORMS[transform](query), TRANSFORMS[transform](database)
    classes = range(zq.shape[2]) if classes is None else classes
    for c in classes:
        rows = np.concatenate([zq[:, :, c], zd[:, :, c]], axis=1).T.astype(np.float64)  # (N1 + N2, M)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.corrcoef(rows)
        correlation[np.ptp(rows, axis=1) == 0] = 0  # a constant class has no correlation
        correlation[:, np.ptp(rows, axis=1) == 0] = 0
        total += correlation[:n, n:]
    return (M - 1) / M * total / len(classes)


def whitened(query, database, training, transform="log_softmax", classes=None):
    """Return the whitened kernel (N1, N2) of logits (M, N1, C) and (M, N2, C).

    training: logits (M, N, C) whose covariance whitens, by the symmetric root of its inverse.
    """

    def rows(logits):
        x = TRANSFORMS[transform](logits)[:, :, slice(None) if classes is None else list(classes)]
        x = (x - x.mean(0)) / x.std(0, ddof=1)
        return x.transpose(1, 2, 0).reshape(x.shape[1], -1).astype(np.float64)

    x = rows(training)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    root = vectors @ np.diag((values + 0.1 * values.mean()) ** -0.5) @ vectors.T
    q, d = ((rows(logits) - x.mean(0)) @ root for logits in (query, database))
    return (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (d / np.linalg.norm(d, axis=1, keepdims=True)).T


def assert_neighbors(indices, values, similarity, tolerance):
    """Check that indices and values (n, k) are the k largest of each row of `similarity` (n, N).

    Values within the tolerance of each other may come in any order.
    """
    k = indices.shape[1]
    largest = -np.sort(-similarity, axis=1)[:, :k]
    np.testing.assert_allclose(values, largest, atol=tolerance, rtol=0)
    np.testing.assert_allclose(
        np.take_along_axis(similarity, indices.astype(int), 1), values, atol=tolerance, rtol=0
    )
    assert all(len(set(row)) == k for row in indices.tolist()), "a neighbor is named twice"


def assert_exact_order(indices, similarity):
    """Check that indices (n, k) are exactly the k largest, in descending order, ties by smaller index."""
    k = indices.shape[1]
    expected = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
