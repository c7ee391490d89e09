"""A new split into training and test set in which duplicates are never across.

Pairs that machines or people call duplicates connect examples of both old splits into groups, and a group
goes to one side whole. Classes keep their shares as far as groups allow (StratifiedGroupKFold of
scikit-learn).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.groups import NearPairs
from kernel_core.review.verdicts import UNSURE
from kernel_core.spec import Split

FOLDS = 20  # at most: parts that the new test set is put together from; more take longer
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Resplit:
    """A new split.

    table: one row per example, test before train as they were, by index: old_split, index, new_split, group
    (from 1; 0 for an example without a duplicate) and label. pairs: links between examples. cut, added: links
    that verdicts took away, and brought. crossing: groups that were across the old splits.
    """

    table: pd.DataFrame
    pairs: int
    cut: int
    added: int
    crossing: int


def resplit(
    near: NearPairs, decided: pd.DataFrame, labels: Mapping[Split, npt.NDArray[np.int64]], seed: int
) -> Resplit:
    """Return a new split of a source's examples.

    near: pairs found by machine. decided: one row per judged pair, of `review.leaked.decided_pairs`: those
    that count as a leak link two examples, the others take their link away, and unsure ones change nothing.
    labels: of both old splits. seed: of the split; the same arguments give the same split.
    Raises `RequestError` unless both splits are there, each with an example.
    """
    if not all(len(labels.get(split, ())) for split in ("test", "train")):
        raise RequestError("A new split needs a test and a training set; this source has one of them alone.")
    counts = {split: len(labels[split]) for split in ("test", "train")}
    known = set(zip(near.first.tolist(), near.second.tolist(), strict=True))
    links, cut, added = _with_verdicts(known, decided, counts["test"])
    component = _components(links, sum(counts.values()))
    size = np.bincount(component)[component]
    numbers = np.zeros(len(component), np.int64)
    grouped = size > 1
    numbers[grouped] = pd.factorize(component[grouped])[0] + 1
    label = np.concatenate([labels["test"], labels["train"]]).astype(np.int64)
    in_test = _test_side(label, component, Fraction(counts["test"], len(label)), seed)
    table = pd.DataFrame(
        {
            "old_split": np.repeat(["test", "train"], list(counts.values())),
            "index": np.concatenate([np.arange(count) for count in counts.values()]),
            "new_split": np.where(in_test, "test", "train"),
            "group": numbers,
            "label": label,
        }
    )
    sides = table[table["group"] > 0].groupby("group")["old_split"].nunique()
    return Resplit(table, len(links), cut, added, int((sides > 1).sum()))


def _with_verdicts(
    known: set[tuple[int, int]], decided: pd.DataFrame, test_count: int
) -> tuple[set[tuple[int, int]], int, int]:
    """Return the links after verdicts, and how many these took away and brought."""
    links, cut, added = set(known), 0, 0
    for row in decided.itertuples():
        if row.verdict == UNSURE:
            continue
        a, b = (index + (test_count if split == "train" else 0)
                for split, index in ((row.a_split, row.a_index), (row.b_split, row.b_index)))  # fmt: skip
        link = min(a, b), max(a, b)
        if row.leaked:
            added += link not in links
            links.add(link)
        else:
            cut += link in links
            links.discard(link)
    return links, cut, added


def _components(links: set[tuple[int, int]], count: int) -> Indices:
    """Return the number of the group of each point, (count,)."""
    from scipy.sparse import csr_array  # takes 0.2 s to import
    from scipy.sparse.csgraph import connected_components

    first, second = np.array(sorted(links), np.int64).reshape(-1, 2).T
    graph = csr_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    found: Indices = connected_components(graph, directed=False)[1].astype(np.int64)
    return found


def _test_side(label: Indices, group: Indices, share: Fraction, seed: int) -> npt.NDArray[np.bool_]:
    """Return which examples are in the new test set, of about this share of all.

    It is put together from folds, as many of them as come nearest to the share.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes 1 s to import

    most = min(FOLDS, int(np.bincount(label).max()), len(np.unique(group)))
    near = share.limit_denominator(max(2, most))
    near = min(max(near, Fraction(1, max(2, most))), 1 - Fraction(1, max(2, most)))
    folds = StratifiedGroupKFold(near.denominator, shuffle=True, random_state=seed)
    side = np.zeros(len(label), bool)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # its share cannot be kept
        for number, (_, fold) in enumerate(folds.split(label, label, group)):
            if number < near.numerator:
                side[fold] = True
    return side


def class_shares(table: pd.DataFrame, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return a row per class: label, class_name, and its number and share in each split, old and new.

    Columns old_test, old_test_share, … new_train_share; shares are of the split, 0 … 1.
    """
    columns: dict[str, Any] = {"label": np.arange(len(class_names)), "class_name": list(class_names)}
    for when in ("old", "new"):
        for split in ("test", "train"):
            labels = table.loc[table[f"{when}_split"] == split, "label"].to_numpy()
            numbers = np.bincount(labels, minlength=len(class_names))
            columns[f"{when}_{split}"] = numbers
            columns[f"{when}_{split}_share"] = numbers / max(1, len(labels))
    return pd.DataFrame(columns)


def index_lists(table: pd.DataFrame) -> dict[str, dict[str, list[int]]]:
    """Return, by new split and old split, the indices of the examples, rising."""
    return {
        new: {old: rows.loc[rows["old_split"] == old, "index"].tolist() for old in ("test", "train")}
        for new, rows in ((new, table[table["new_split"] == new]) for new in ("test", "train"))
    }
