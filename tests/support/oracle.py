"""The kernel and its neighbors, computed the slow way: float64, whole, by `np.corrcoef`. Shares no code with ours."""

import numpy as np


def log_softmax(logits):
    """Extended precision, so that the oracle itself loses nothing where a run is very sure. (..., C)."""
    x = logits.astype(np.longdouble)
    x = x - x.max(-1, keepdims=True)
    others = np.exp(x).sum(-1, keepdims=True) - 1  # the winner is exp(0); longdouble keeps 1e-19 beside it
    return x - np.log1p(others)


def kernel(query, database, transform="log_softmax", classes=None):
    """Logits (M, N1, C) and (M, N2, C) → the kernel (N1, N2): (M-1)/M times the mean correlation over classes, all or
    some, of what `transform` makes of the logits."""
    M, n, C = query.shape
    classes = range(C) if classes is None else classes
    total = np.zeros((n, database.shape[1]))
    made = {"log_softmax": log_softmax, "none": lambda logits: logits.astype(np.float64)}[transform]
    zq, zd = made(query), made(database)
    for c in classes:
        rows = np.concatenate([zq[:, :, c], zd[:, :, c]], axis=1).T.astype(np.float64)  # (N1 + N2, M)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.corrcoef(rows)
        correlation[np.ptp(rows, axis=1) == 0] = 0  # a constant class has no correlation
        correlation[:, np.ptp(rows, axis=1) == 0] = 0
        total += correlation[:n, n:]
    return (M - 1) / M * total / len(classes)


def assert_neighbors(indices, values, similarity, tolerance):
    """indices and values (n, k) are the k largest of each row of `similarity` (n, N), draws within the tolerance
    in any order."""
    k = indices.shape[1]
    largest = -np.sort(-similarity, axis=1)[:, :k]
    np.testing.assert_allclose(values, largest, atol=tolerance, rtol=0)
    np.testing.assert_allclose(
        np.take_along_axis(similarity, indices.astype(int), 1), values, atol=tolerance, rtol=0
    )
    assert all(len(set(row)) == k for row in indices.tolist()), "a neighbor is named twice"


def assert_exact_order(indices, similarity):
    """indices (n, k) are exactly the k largest, larger value first, of equal values the smaller index first."""
    k = indices.shape[1]
    expected = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
