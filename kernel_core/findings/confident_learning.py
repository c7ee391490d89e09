"""Which labels cleanlab's confident learning calls issues (Northcutt, Jiang and Chuang 2021)."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from kernel_core.class_probabilities import ClassProbabilities
from kernel_core.findings.votes import Labels


def flag_issues(labels: Labels, probabilities: ClassProbabilities) -> npt.NDArray[np.bool_]:
    """Return which labels cleanlab's `find_label_issues` flags, bool (n,).

    labels: (n,). probabilities: of the n examples; classes that are not kept share alike what is left, so
    that flags are approximate where not all are kept. None is flagged where fewer than two classes have
    examples: there is nothing to confuse then.
    """
    from cleanlab.filter import find_label_issues  # takes 2 s to load

    if len(np.unique(labels)) < 2:
        return np.zeros(len(labels), bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with few examples, which are not flagged
        flags: npt.NDArray[np.bool_] = find_label_issues(labels, probabilities.dense(), n_jobs=1)
    return flags
