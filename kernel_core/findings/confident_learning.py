"""Which labels cleanlab's confident learning calls issues (Northcutt, Jiang and Chuang 2021)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kernel_core.class_probabilities import ClassProbabilities
from kernel_core.findings.votes import Labels

WHOLE_CELLS = 4_000_000  # examples times classes that are in memory at a time; cleanlab makes copies of them
LEAST_THRESHOLD, TOLERANCE = 2e-6, 1e-6  # of a class's threshold, and of what reaches it, as in cleanlab
Bools = npt.NDArray[np.bool_]


def flag_issues(labels: Labels, probabilities: ClassProbabilities) -> Bools:
    """Return which labels cleanlab's `find_label_issues` flags, bool (n,).

    labels: (n,). probabilities: of the n examples; classes that are not kept share alike what is left, so
    that flags are approximate where not all are kept. None is flagged where fewer than two classes have
    examples: there is nothing to confuse then.
    """
    counts = np.bincount(labels, minlength=probabilities.class_count)
    if (counts > 0).sum() < 2:
        return np.zeros(len(labels), bool)
    if len(labels) * probabilities.class_count <= WHOLE_CELLS:
        return _find(labels, probabilities.dense(), None)
    joint = confident_joint(labels, probabilities)
    flags = np.zeros(len(labels), bool)
    order = np.argsort(labels, kind="stable")
    for part in _parts(counts, probabilities.class_count):  # with the joint, each class is judged alone
        rows = np.sort(order[part])
        flags[rows] = _find(labels[rows], probabilities.rows(rows).dense(), joint)
    return flags


def confident_joint(labels: Labels, probabilities: ClassProbabilities) -> npt.NDArray[np.int64]:
    """Return cleanlab's confident joint, (C, C): how many examples of a label are, confidently, of a class.

    Counted as by its `compute_confident_joint`, without all probabilities in memory; calibrated by cleanlab.
    A class that is not kept is never the confident one.
    """
    from cleanlab.count import calibrate_confident_joint

    C, classes = probabilities.class_count, probabilities.classes
    counts = np.bincount(labels, minlength=C)
    sums = np.bincount(labels, probabilities.of_classes(labels), minlength=C)
    thresholds = np.maximum(sums / np.maximum(counts, 1), LEAST_THRESHOLD)
    thresholds[counts == 0] = 2  # no probability reaches it
    reached = probabilities.values >= thresholds[classes] - TOLERANCE
    reached &= probabilities.is_first()
    how_many = reached.sum(1)
    confident = np.take_along_axis(classes, reached.argmax(1)[:, None], 1)[:, 0]
    guess = np.where(how_many > 1, classes[:, 0], confident).astype(np.int64)
    cells = (labels * C + guess)[how_many > 0]
    joint = np.bincount(cells, minlength=C * C).reshape(C, C)
    np.fill_diagonal(joint, joint.diagonal().clip(min=1))
    calibrated: npt.NDArray[np.int64] = calibrate_confident_joint(joint, labels)
    return calibrated


def _find(labels: Labels, dense: npt.NDArray[np.float64], joint: npt.NDArray[np.int64] | None) -> Bools:
    from cleanlab.filter import find_label_issues  # takes 2 s to load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with few examples, which are not flagged
        flags: Bools = find_label_issues(labels, dense, confident_joint=joint, n_jobs=1)
    return flags


def _parts(counts: npt.NDArray[np.int64], class_count: int) -> Iterator[slice]:
    """Yield slices of the examples in order of label: whole classes, two at least, that fit `WHOLE_CELLS`."""
    most = WHOLE_CELLS // class_count
    ends = np.cumsum(counts[counts > 0]).tolist()
    start, classes = 0, 0
    for place, end in enumerate(ends):
        classes += 1
        left = len(ends) - place - 1
        if not left or (classes > 1 and left > 1 and ends[place + 1] - start > most):
            yield slice(start, end)
            start, classes = end, 0
