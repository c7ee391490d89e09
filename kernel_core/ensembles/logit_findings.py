"""What looks wrong with logits, found in a sample before anything is computed from them.

Nothing here takes longer than reading the sample, except where runs that look equal are compared in full.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError
from kernel_core.records import Ensemble
from kernel_core.spec import Split

RUNS = 8  # looked at for what shows in any run
EXAMPLES = 64  # of each split, looked at in every run
NUMBERS = 20_000_000  # logits read for the accuracies, at most
COMPARED = 64  # pairs of runs that look equal and are compared in full; beyond these, the sample is believed
BETTER = 0.2  # an order of the columns counts as better if so many more labels are right
FEW = 12  # examples too few to tell an order of the classes from
NAMED = 20  # classes listed in full

Labels = Mapping[Split, npt.NDArray[np.int64]]


def logit_findings(
    ensemble: Ensemble, labels: Labels, class_names: Sequence[str], kind: str = "logits"
) -> list[str]:
    """Return one line for each thing that looks wrong, as a warning says it.

    labels: split → (N,), which fit the logits; empty if they are not known.
    kind: what the files are said to hold, one of `sources.source.KINDS`.
    Raises `DataError` if all the runs are equal.
    """
    lines = _equal_runs(ensemble)
    lines += list(filter(None, (_value(ensemble, split, kind) for split in ensemble.parts[0])))[:1]
    lines.append(_column_order(ensemble, labels, class_names) if labels else "")
    return [line for line in lines if line]


def _digests(ensemble: Ensemble, split: Split) -> list[bytes]:
    """Return a digest of every run's logits of the first examples."""
    digests = []
    for part in ensemble.parts:
        logits = part[split][:, :EXAMPLES]
        for start in range(0, len(logits), 500):
            block = np.ascontiguousarray(np.asarray(logits[start : start + 500]))
            digests += [hashlib.blake2b(run.tobytes(), digest_size=16).digest() for run in block]
    return digests


def _equal_runs(ensemble: Ensemble) -> list[str]:
    """Return what is to be said of runs that are equal, number for number."""
    splits = list(ensemble.parts[0])
    digests = {split: _digests(ensemble, split) for split in splits}
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for run, of_run in enumerate(zip(*digests.values(), strict=True)):
        groups.setdefault(of_run, []).append(run)
    repeated = [(runs[0], run) for runs in groups.values() for run in runs[1:]]
    equal = [pair for n, pair in enumerate(repeated) if n >= COMPARED or _are_equal(ensemble, *pair, *splits)]
    if len(equal) == ensemble.run_count - 1 > 0:
        raise DataError(
            f"{ensemble.name_of(0)}: all {ensemble.run_count} runs have the same logits, so that nothing "
            "varies over the runs and every value of the kernel is 0; expected runs that differ. Train each "
            "with another seed, or save each run's own logits."
        )
    lines = [
        f"the {split} logits are the same in all {ensemble.run_count} runs, so that their kernel is 0"
        for split, of_split in digests.items()
        if len(set(of_split)) == 1 < ensemble.run_count
        and all(_are_equal(ensemble, 0, run, split) for run in range(1, min(ensemble.run_count, COMPARED)))
    ]
    if equal:
        first, again = equal[0]
        lines.append(
            f"{len(equal)} of {ensemble.run_count} runs repeat another one, number for number (run {again} "
            f"is run {first}), which makes correlations look surer than they are; leave them out"
        )
    return lines


def _run(ensemble: Ensemble, run: int, split: Split) -> npt.NDArray[np.floating]:
    """Return the logits (N, C) of one run."""
    for part in ensemble.parts:
        if run < len(part[split]):
            (logits,) = np.asarray(part[split][run : run + 1])
            return np.asarray(logits)
        run -= len(part[split])
    raise IndexError(run)


def _are_equal(ensemble: Ensemble, a: int, b: int, *splits: Split) -> bool:
    return all(np.array_equal(_run(ensemble, a, s), _run(ensemble, b, s)) for s in splits)


def _value(ensemble: Ensemble, split: Split, kind: str) -> str:
    """Return what the first runs and examples show to be wrong with the kind; an empty text if nothing."""
    logits = np.asarray(ensemble.parts[0][split][:RUNS, :EXAMPLES], np.float64)
    where = f"{ensemble.name_of(0)}: the {split} logits"
    if kind == "sigmoid":
        z = logits[..., 1]
        if 0 <= z.min() and z.max() <= 1:
            return f"{where} are from 0 to 1, as after a sigmoid; expected the outputs before it"
    elif kind == "logits":
        sums = logits.sum(-1)
        if logits.shape[2] > 1 and logits.min() >= 0 and np.abs(sums - 1).max() < 0.02:
            return (
                f"{where} are not negative and sum to 1 in every row: they are probabilities. Write kind = "
                '"probabilities" under [ensemble]'
            )
    else:
        sums = np.exp(logits).sum(-1)
        if np.abs(sums - 1).max() > 0.1:
            return (
                f"{where} should be {kind}, but the probabilities of one example sum to "
                f"{sums.flat[np.abs(sums - 1).argmax()]:.3g}; expected 1. They are scaled to 1"
            )
    return ""


def _votes(ensemble: Ensemble, split: Split, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how often the first runs predict each class for examples of each label, (C, C)."""
    N, C = ensemble.example_count(split), ensemble.class_count
    runs = min(RUNS, len(ensemble.parts[0][split]))
    votes = np.zeros((C, C), np.int64)
    block = max(1, min(N, 1_000))
    blocks = max(1, min(-(-N // block), NUMBERS // (runs * C * block)))
    for start in np.unique(np.linspace(0, N - block, blocks).astype(int)):
        logits = np.asarray(ensemble.parts[0][split][:runs, start : start + block])
        classes = logits.argmax(-1)
        np.add.at(votes, (np.broadcast_to(labels[start : start + block], classes.shape), classes), 1)
    return votes


def _column_order(ensemble: Ensemble, labels: Labels, class_names: Sequence[str]) -> str:
    """Return what is to be said if the labels fit the columns in another order far better, else nothing."""
    from scipy.optimize import linear_sum_assignment

    votes = sum(_votes(ensemble, split, of_split) for split, of_split in labels.items())
    assert not isinstance(votes, int)
    if sum(map(len, labels.values())) < max(FEW, 2 * len(votes)):
        return ""
    total, as_is = votes.sum(), int(np.trace(votes))
    label_of_column = linear_sum_assignment(votes.T, maximize=True)[1]
    best = int(votes[label_of_column, np.arange(len(votes))].sum())
    if best < as_is + BETTER * total or best < 2 * as_is or best < total / 2:
        return ""
    names = [class_names[label] for label in label_of_column]
    order = ", ".join(f'"{name}"' for name in names[:NAMED]) + (", …" if len(names) > NAMED else "")
    numbers = all(name.isascii() and name.isdigit() for name in names)
    fix = '"numeric"' if numbers and names == sorted(names, key=int) else f"[{order}]"
    return (
        f"the first runs are right on {as_is / total:.0%} of the labels, but would be on {best / total:.0%} "
        "if the columns of the logits were of the classes in another order. If these were sorted in another "
        f"way, write classes = {fix} under [images]"
    )
