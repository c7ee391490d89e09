"""A new split into training and test set in which duplicates are never across.

Pairs that machines or people call duplicates connect examples of both old splits into groups, and a group
goes to one side whole. The larger groups are placed first, each where the classes of what is placed so far
are nearer to their shares; the examples without a duplicate then fill each class up to its share, exactly
where they are enough and the groups brought no class too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.groups import NearPairs
from kernel_core.review.verdicts import UNSURE
from kernel_core.spec import Split

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
    grouped = (np.bincount(component) > 1)[component]
    numbers = np.zeros(len(component), np.int64)
    numbers[grouped] = pd.factorize(component[grouped])[0] + 1
    label = np.concatenate([labels["test"], labels["train"]]).astype(np.int64)
    in_test = _test_side(label, numbers, counts["test"], seed)
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


def _test_side(label: Indices, group: Indices, wanted: int, seed: int) -> npt.NDArray[np.bool_]:
    """Return which examples are in the new test set, `wanted` of them where the groups leave room for that.

    label: class number of each example. group: from 1; 0 for an example without a duplicate.
    """
    rng, share = np.random.default_rng(seed), wanted / len(label)
    side: npt.NDArray[np.bool_] = _test_groups(label, group, share, rng)[group]
    alone = group == 0
    class_count = int(label.max()) + 1
    sizes = np.bincount(label, minlength=class_count)
    placed = np.bincount(label[side], minlength=class_count)
    free = np.bincount(label[alone], minlength=class_count)
    takes = np.clip(_rounded(sizes * share, wanted) - placed, 0, free)
    if takes.sum() > (room := max(0, wanted - int(side.sum()))):  # groups brought some classes too many
        takes = _rounded(takes * (room / takes.sum()), room)
    drawn = rng.permutation(np.flatnonzero(alone))
    drawn = drawn[np.argsort(label[drawn], kind="stable")]  # class by class, within each by chance
    of_class = label[drawn]
    place = np.arange(len(drawn)) - np.searchsorted(of_class, of_class)
    side[drawn[place < takes[of_class]]] = True
    return _neither_empty(side, group)


def _test_groups(
    label: Indices, group: Indices, share: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return which groups are in the new test set; the first value stands for examples without one.

    A group goes there if the classes of the groups placed so far are then nearer to their share: less in the
    sum of squared differences. Groups of one size are placed in an order drawn by chance.
    """
    count = int(group.max()) + 1
    side, size = np.zeros(count, bool), np.bincount(group, minlength=count)
    cells, members = np.unique(group * (int(label.max()) + 1) + label, return_counts=True)
    of_cell, classes = np.divmod(cells, int(label.max()) + 1)
    first = np.searchsorted(of_cell, np.arange(count + 1)).tolist()
    classes, members = classes.tolist(), members.tolist()
    lacking = [0.0] * (int(label.max()) + 1)  # of each class, that the test set should have more by now
    order = rng.permutation(np.arange(1, count))
    for number in order[np.argsort(-size[order], kind="stable")].tolist():
        mine = range(first[number], first[number + 1])
        for cell in mine:
            lacking[classes[cell]] += share * members[cell]
        if sum(members[cell] * (2 * lacking[classes[cell]] - members[cell]) for cell in mine) > 0:
            side[number] = True
            for cell in mine:
                lacking[classes[cell]] -= members[cell]
    return side


def _rounded(shares: npt.NDArray[np.floating], total: int) -> Indices:
    """Return whole numbers that add up to a total, each next to its share; the largest rests go up."""
    whole: Indices = np.floor(shares).astype(np.int64)
    whole[np.argsort(whole - shares, kind="stable")[: total - int(whole.sum())]] += 1
    return whole


def _neither_empty(side: npt.NDArray[np.bool_], group: Indices) -> npt.NDArray[np.bool_]:
    """Return the sides of all examples; where all are on one, the smallest group, or one example, changes."""
    if side.any() != side.all():
        return side
    changed = np.flatnonzero(group == 0)[:1]
    if not len(changed):
        sizes = np.bincount(group)[1:]
        changed = np.flatnonzero(group == 1 + sizes.argmin())
    side[changed] = ~side[changed]
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
