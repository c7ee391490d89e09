"""Duplicates come in groups: examples of both splits that pairs above a threshold connect.

A group is a connected component: A and C are in one group if both are near B, however far they are from each
other. A low threshold therefore joins almost everything, in chains; `links` tells them from tight groups.

Pairs are read from tables of neighbors, all that the tables hold and not only the nearest. A table keeps at
most 50 neighbors per example (`spec.NEIGHBORS_KEPT`). That is enough to connect a group, unless it is larger
than these lists: an example all of whose neighbors are above the threshold may have more, which are not seen
(`NearPairs.full_lists` counts such lists), and a group of more than 50 could then come out as several.

The example to keep is the medoid: the member with the largest mean similarity to the other members. A pair
that is not linked, because it is below the threshold, not in the tables or not confirmed, counts as the
threshold itself. Ties, as in every group of two, go to a test example, then to the lower index: without a
training example the test set still measures what it measured before.

Members have these columns, one row per example, group by group, the example to keep first:

    group         1 for the first group: mixed labels before equal ones, then larger before smaller, then
                  nearer before farther, then by the first example
    size          number of members, 2 …
    is_mixed      whether the group has several labels
    crosses       whether it has members in both splits
    split         train or test
    index         of the example in its split
    label         class number
    similarity    mean similarity to the other members, as said above; larger is nearer
    is_medoid     whether it is the example to keep

Groups have these columns, one row per group, in the same order:

    group, size, is_mixed, crosses    as above
    labels                     number of different labels, 1 …
    test, train                number of members in each split
    links                      number of pairs above the threshold, size - 1 … size (size - 1) / 2
    similarity                 mean over all pairs of members, as said above
    keep_split, keep_index     the example to keep
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.map_layout import SPLIT_ORDER
from kernel_core.findings.votes import Labels
from kernel_core.records import Neighbors
from kernel_core.spec import Split

Points = npt.NDArray[np.int64]
MEMBER_COLUMNS = [
    "group", "size", "is_mixed", "crosses", "split", "index", "label", "similarity", "is_medoid",
]  # fmt: skip
GROUP_COLUMNS = [
    "group", "size", "labels", "is_mixed", "test", "train", "crosses", "links", "similarity", "keep_split",
    "keep_index",
]  # fmt: skip
DECIMALS = 9  # means that are equal in exact arithmetic must not be told apart by their last bit


@dataclass(frozen=True, eq=False)
class NearPairs:
    """The pairs of examples whose similarity is at least a threshold, each pair once.

    An example is a point: test examples come first, then training examples, as on the map.

    first, second: int64 (n,), the two points, first < second; rising.
    similarity: float32 (n,), at least the threshold; where two tables have the pair, the larger value.
    threshold: rounded to float32, as the values are.
    directions: of the tables, as test→train.
    full_lists: number of lists of neighbors that end above the threshold, so that pairs may be missing.
    """

    first: Points
    second: Points
    similarity: npt.NDArray[np.float32]
    threshold: float
    directions: tuple[str, ...]
    full_lists: int

    def __len__(self) -> int:
        return len(self.first)

    def where(self, mask: npt.NDArray[np.bool_]) -> NearPairs:
        """Return the pairs that a mask (n,) keeps, as those that something else confirms."""
        return replace(
            self, first=self.first[mask], second=self.second[mask], similarity=self.similarity[mask]
        )


def near_pairs(tables: Sequence[Neighbors], counts: Mapping[Split, int], threshold: float) -> NearPairs:
    """Return the pairs whose similarity is at least the threshold.

    tables: of one similarity, in any directions, at least one. counts: number of examples in each split.
    Raises `RequestError` if the threshold is not a finite number, or the similarities differ.
    """
    names = {table.spec.name for table in tables}
    if len(names) != 1:
        raise RequestError(f"Groups are by one similarity; found {', '.join(sorted(names)) or 'none'}.")
    if not np.isfinite(threshold):
        raise RequestError(f"Found the threshold {threshold}; expected a finite number.")
    floor = np.float32(threshold)
    start = _first_points(counts)
    total = sum(counts.values())
    keys, values, full = [], [], 0
    for table in tables:
        queries = np.flatnonzero(table.values[:, 0] >= floor)  # the nearest comes first: few lists of many
        row, position = np.nonzero(table.values[queries] >= floor)
        query = queries[row]
        a = query + start[table.spec.query]
        b = table.indices[query, position].astype(np.int64) + start[table.spec.database]
        keys.append(np.minimum(a, b) * total + np.maximum(a, b))
        values.append(table.values[query, position])
        is_whole = table.k >= counts[table.spec.database] - table.spec.excludes_self
        full += 0 if is_whole else int((table.values[queries, -1] >= floor).sum())
    key, similarity = _larger_of_equal(np.concatenate(keys), np.concatenate(values))
    directions = tuple(table.spec.direction for table in tables)
    return NearPairs(key // total, key % total, similarity, float(floor), directions, full)


def _larger_of_equal(
    keys: npt.NDArray[np.int64], values: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return each key once, in rising order, with the largest of its values."""
    order = np.argsort(keys)
    keys, values = keys[order], values[order]
    begins = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[begins], np.maximum.reduceat(values, begins) if len(keys) else values


def _first_points(counts: Mapping[Split, int]) -> dict[Split, int]:
    """Return the point of each split's first example."""
    return {"test": 0, "train": counts.get("test", 0)}


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of near examples; the module describes the columns of both tables.

    pairs: those that connect them.
    """

    members: pd.DataFrame
    table: pd.DataFrame
    pairs: NearPairs

    def __len__(self) -> int:
        return len(self.table)


def group_pairs(pairs: NearPairs, labels: Mapping[Split, Labels]) -> Groups:
    """Return the groups that pairs connect. labels: of each split of the source."""
    from scipy.sparse import csr_array  # takes 0.2 s to import
    from scipy.sparse.csgraph import connected_components

    of_point = np.concatenate([labels[split] for split in SPLIT_ORDER if split in labels])
    total = len(of_point)
    graph = csr_array((np.ones(len(pairs), bool), (pairs.first, pairs.second)), shape=(total, total))
    _, component = connected_components(graph, directed=False)
    size = np.bincount(component, minlength=1)[component]  # (total,): of each point's component
    points = np.flatnonzero(size > 1)
    excess = pairs.similarity.astype(np.float64) - pairs.threshold
    above = np.bincount(pairs.first, excess, total) + np.bincount(pairs.second, excess, total)
    members = pd.DataFrame(
        {
            "component": component[points],
            "size": size[points],
            "point": points,
            "label": of_point[points],
            "similarity": (pairs.threshold + above[points] / (size[points] - 1)).round(DECIMALS),
        }
    )
    links = np.bincount(component[pairs.first], minlength=total)
    counts = {split: len(of_split) for split, of_split in labels.items()}
    table = _ordered_groups(members, links, counts)
    members["group"] = pd.Series(table["group"].to_numpy(), table.index).loc[members["component"]].to_numpy()
    return _readable(members, table, pairs, counts)


def _ordered_groups(
    members: pd.DataFrame, links: npt.NDArray[np.int64], counts: Mapping[Split, int]
) -> pd.DataFrame:
    """Return the table of groups in their order, but for the examples to keep; its index is the component."""
    grouped = members.groupby("component")
    table = pd.DataFrame({"size": grouped.size(), "labels": grouped["label"].nunique()})
    table["is_mixed"] = table["labels"] > 1
    is_test = members["point"] < counts.get("test", 0)
    table["test"] = is_test.groupby(members["component"]).sum()
    table["train"] = table["size"] - table["test"]
    table["crosses"] = (table["test"] > 0) & (table["train"] > 0)
    table["links"] = links[table.index]
    table["similarity"] = grouped["similarity"].mean().round(DECIMALS)
    first = grouped["point"].min()
    order = np.lexsort((first, -table["similarity"], -table["size"], ~table["is_mixed"].to_numpy()))
    table = table.iloc[order]
    table.insert(0, "group", np.arange(1, len(table) + 1))
    return table


def _readable(
    members: pd.DataFrame, table: pd.DataFrame, pairs: NearPairs, counts: Mapping[Split, int]
) -> Groups:
    """Return the groups with examples by split and index, and the example to keep of each."""
    order = np.lexsort((members["point"], -members["similarity"], members["group"]))
    members = members.iloc[order].reset_index(drop=True)
    points = members["point"].to_numpy()
    members["split"] = np.where(points < counts.get("test", 0), "test", "train")
    members["index"] = points
    start = _first_points(counts)
    members["index"] -= members["split"].map(start).astype(np.int64)
    members["is_medoid"] = ~members["group"].duplicated()
    medoids = members[members["is_medoid"]]
    table = table.reset_index(drop=True)
    table["keep_split"] = medoids["split"].to_numpy()
    table["keep_index"] = medoids["index"].to_numpy()
    of_group = table.set_index("group")[["is_mixed", "crosses"]].loc[members["group"]]
    members = members.assign(**{name: of_group[name].to_numpy() for name in of_group})
    return Groups(members[MEMBER_COLUMNS], table[GROUP_COLUMNS], pairs)


def select_groups(
    groups: Groups, labels: str = "all", of_class: int | None = None, *, crossing: bool = False
) -> pd.DataFrame:
    """Return the rows of the table of groups that pass filters; they keep their numbers.

    labels: all, same (not mixed) or different (mixed). of_class: a class number that at least one member must
    have; None for any. crossing: only those with members in both splits.
    Raises `RequestError` for other values of labels.
    """
    table = groups.table
    by_labels = {"all": table["group"] > 0, "same": ~table["is_mixed"], "different": table["is_mixed"]}
    if labels not in by_labels:
        raise RequestError(f"Found labels = {labels!r}; expected {', '.join(by_labels)}.")
    kept = by_labels[labels]
    if of_class is not None:
        kept &= table["group"].isin(groups.members.loc[groups.members["label"] == of_class, "group"])
    return table[kept & table["crosses"]] if crossing else table[kept]


def members_of(groups: Groups, rows: pd.DataFrame, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return the members of some groups, with the name of each one's class in the column class_name.

    rows: of the table of groups.
    """
    members = groups.members[groups.members["group"].isin(rows["group"])].reset_index(drop=True)
    return members.assign(class_name=[class_names[label] for label in members["label"]])
