"""The traces of single examples, computed anew from their logits: exact, for sources too large to keep any.

`similarity.kernel` has the definition. Here the same is written once more with NumPy, for the web process,
which never loads torch, and in float64 throughout, as the examples are few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

CONSTANT = 1e-12  # as in `similarity.moments`: a spread, relative to the values, that rounding alone can make
Floats = npt.NDArray[np.float64]


def exact_traces(logits: npt.NDArray[Any]) -> Floats:
    """Return the traces of examples over all the runs given, (n, C, M): as `explain.traces`, but not rounded.

    logits: any float (M, n, C), finite. A class that does not vary over the runs is 0.
    """
    values = log_softmax(logits.astype(np.float64)).transpose(1, 2, 0)  # (n, C, M)
    median = np.median(values, axis=2, keepdims=True)
    deviations = values - values.mean(2, keepdims=True)
    norm = np.sqrt(np.square(deviations).sum(2, keepdims=True))
    varies = norm > CONSTANT * np.sqrt(np.square(values).sum(2, keepdims=True))
    spread = np.where(varies, norm / np.sqrt(max(1, values.shape[2] - 1)), np.inf)
    return np.ascontiguousarray((values - median) / spread)


def log_softmax(logits: Floats) -> Floats:
    """Return the log-softmax over the last axis, in the place of the logits.

    Exact for the winning class too: log1p of the sum of the others keeps what is lost beside the winner's 1.
    """
    logits -= logits.max(-1, keepdims=True)
    exponentials = np.exp(logits)
    np.put_along_axis(exponentials, logits.argmax(-1)[..., None], 0.0, -1)
    logits -= np.log1p(exponentials.sum(-1, keepdims=True))
    return logits
