"""Groups of near-duplicates against a plain union-find, and medoids against all pairs one by one."""

from itertools import combinations

import numpy as np
import pytest

from kernel_core.errors import RequestError
from kernel_core.findings.group_words import describe_groups, warn_of_chains
from kernel_core.findings.groups import group_pairs, members_of, near_pairs, select_groups
from kernel_core.records import Neighbors
from kernel_core.spec import KernelSpec

COUNTS = {"test": 30, "train": 70}
DIRECTIONS = [("test", "train"), ("test", "test"), ("train", "train")]


def symmetric(seed=0, levels=200):
    """Similarities of all 100 examples, test first, on few levels so that there are ties."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, levels, (100, 100)) / levels
    return np.maximum(np.triu(values, 1), np.triu(values, 1).T).astype(np.float32)


def tables_of(values, k=50, directions=DIRECTIONS, counts=COUNTS):
    """The neighbor tables that a search keeps of a matrix of similarities."""
    start = {"test": 0, "train": counts["test"]}
    return [
        neighbors_of(values[start[q] :, start[d] :][: counts[q], : counts[d]], KernelSpec("kernel", q, d), k)
        for q, d in directions
    ]


def neighbors_of(block, spec, k):
    values = block.astype(np.float64).copy()
    if spec.excludes_self:
        np.fill_diagonal(values, -np.inf)
    k = min(k, values.shape[1] - spec.excludes_self)
    indices = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return Neighbors(
        spec, indices.astype(np.int32), np.take_along_axis(values, indices, 1).astype(np.float32)
    )


def labels_of(counts=COUNTS, seed=1):
    rng = np.random.default_rng(seed)
    return {split: rng.integers(0, 3, count) for split, count in counts.items()}


def find(values, threshold, *, k=50, directions=DIRECTIONS, labels=None):
    pairs = near_pairs(tables_of(values, k, directions), COUNTS, threshold)
    return group_pairs(pairs, labels or labels_of())


def union_find(total, pairs):
    """The components with several members, by the textbook's union-find, as sorted tuples."""
    parent = list(range(total))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        parent[root(a)] = root(b)
    members = {}
    for i in range(total):
        members.setdefault(root(i), []).append(i)
    return {tuple(group) for group in members.values() if len(group) > 1}


def points_by_group(found):
    """Group number → its members as points, the example to keep first."""
    points = found.members["index"] + np.where(found.members["split"] == "train", COUNTS["test"], 0)
    return {number: points[rows].tolist() for number, rows in found.members.groupby("group").groups.items()}


@pytest.mark.parametrize("threshold", [0.995, 0.99, 0.985])
def test_groups_medoids_and_order_are_those_of_a_plain_search(threshold):
    values, labels = symmetric(), labels_of()
    found = find(values, threshold)
    floor = np.float32(threshold)
    near = [(a, b) for a, b in combinations(range(100), 2) if values[a, b] >= floor]
    by_group = points_by_group(found)
    assert {tuple(sorted(points)) for points in by_group.values()} == union_find(100, near)

    of_point = np.concatenate([labels["test"], labels["train"]])
    capped = np.where(values >= floor, values, floor).astype(np.float64)
    order = []
    for group, points in zip(found.table.itertuples(), by_group.values(), strict=True):
        mean = {i: round(np.mean([capped[i, j] for j in points if j != i]), 9) for i in points}
        assert points == sorted(points, key=lambda i: (-mean[i], i)), (
            "test comes before train, then the index"
        )
        rows = found.members[found.members["group"] == group.group]
        np.testing.assert_allclose(rows["similarity"], [mean[i] for i in points], atol=1e-8)
        assert rows["is_medoid"].tolist() == [True] + [False] * (len(points) - 1)
        assert (rows["split"].iloc[0], rows["index"].iloc[0]) == (group.keep_split, group.keep_index)
        assert rows["label"].tolist() == of_point[points].tolist()
        test = sum(i < 30 for i in points)
        several = len(set(of_point[points])) > 1
        assert (group.size, group.test, group.train) == (len(points), test, len(points) - test)
        assert (group.labels, group.is_mixed) == (len(set(of_point[points])), several)
        assert group.crosses == (0 < test < len(points))
        assert group.links == sum(a in points and b in points for a, b in near)
        assert group.similarity == pytest.approx(np.mean(list(mean.values())), abs=1e-8)
        order.append((not several, -len(points), -group.similarity, min(points)))
    assert order == sorted(order)
    assert found.table["group"].tolist() == list(range(1, len(found) + 1))
    assert set(found.table["is_mixed"]) == {True, False}


def test_pair_of_both_splits_keeps_the_test_example():
    values = np.zeros((100, 100), np.float32)
    for a, b in ((3, 40), (41, 60), (5, 9)):
        values[a, b] = values[b, a] = 0.9
    labels = {split: np.zeros(count, np.int64) for split, count in COUNTS.items()}
    kept = find(values, 0.9, labels=labels).table
    assert kept["keep_split"].tolist() == ["test", "test", "train"]
    assert kept["keep_index"].tolist() == [3, 5, 11]


def test_each_direction_counts_alone_and_is_said():
    values = symmetric()
    for directions in ([("test", "train")], [("test", "test")], [("train", "train")], [("train", "test")]):
        found = find(values, 0.98, directions=directions)
        near = [
            (a, b)
            for a, b in combinations(range(100), 2)
            if values[a, b] >= np.float32(0.98)
            and {("test", "train")[a >= 30], ("test", "train")[b >= 30]} == set(directions[0])
        ]
        assert {tuple(sorted(points)) for points in points_by_group(found).values()} == union_find(100, near)
        assert found.pairs.directions == tuple("→".join(direction) for direction in directions)


def test_chain_is_one_group_and_is_called_a_chain():
    values = np.zeros((100, 100), np.float32)
    for i in range(29):
        values[i, i + 1] = values[i + 1, i] = 0.8
    found = find(values, 0.7)
    assert found.table[["size", "links", "test", "train"]].iloc[0].tolist() == [30, 29, 30, 0]
    assert found.table["keep_index"].iloc[0] == 1, "of members with two neighbors, the first"
    assert "The group of 30 looks like a chain: only 6.7% of its pairs" in warn_of_chains(found)
    values[:30, :30] = 0.8
    np.fill_diagonal(values, 0)
    assert warn_of_chains(find(values, 0.8)) == ""


def test_lists_that_end_above_the_threshold_are_counted():
    values = np.full((100, 100), 0.5, np.float32)
    found = find(values, 0.5, k=5)
    assert found.pairs.full_lists == 30 + 30 + 70
    assert "130 lists of neighbors end above" in warn_of_chains(found)
    assert find(values, 0.5, k=99).pairs.full_lists == 0, "nothing is left out where all are kept"


def test_mask_keeps_confirmed_pairs_alone():
    pairs = near_pairs(tables_of(symmetric()), COUNTS, 0.985)
    kept = pairs.where(pairs.first % 2 == 0)
    found = group_pairs(kept, labels_of())
    near = list(zip(kept.first.tolist(), kept.second.tolist(), strict=True))
    assert {tuple(sorted(points)) for points in points_by_group(found).values()} == union_find(100, near)
    nothing = group_pairs(pairs.where(pairs.first < 0), labels_of())
    assert (len(nothing), len(nothing.members)) == (0, 0)
    assert describe_groups(nothing, COUNTS) == "No two of the 100 examples are linked."
    assert warn_of_chains(nothing) == ""
    assert list(nothing.members) == list(found.members)


def test_the_larger_of_two_values_of_a_pair_counts():
    """Two searches of one pair may differ in the last bit; distances are negative."""
    values = np.full((100, 100), -9, np.float32)
    values[2, 30] = values[30, 2] = -4
    there = tables_of(values, directions=[("test", "train"), ("train", "test")])
    values[30, 2] = np.nextafter(np.float32(-4), np.float32(0))
    back = tables_of(values, directions=[("train", "test")])
    for tables in ([there[0], back[0]], [back[0], there[0]]):
        pairs = near_pairs(tables, COUNTS, -4)
        assert pairs.similarity.tolist() == [values[30, 2]]
        assert group_pairs(pairs, labels_of()).members["index"].tolist() == [2, 0]


def test_sentence_counts_what_is_left_out():
    values = np.zeros((100, 100), np.float32)
    for a, b in ((3, 40), (40, 41)):
        values[a, b] = values[b, a] = 0.9
    labels = {"test": np.zeros(30, np.int64), "train": np.ones(70, np.int64)}
    assert describe_groups(find(values, 0.8, labels=labels), COUNTS) == (
        "1 group holds 3 of 100 examples (across the splits: 1; with mixed labels: 1; members of the "
        "largest: 3). Keeping one example of each leaves out 1 test and 1 training examples."
    )


def test_wrong_tables_and_thresholds_are_refused():
    tables = tables_of(symmetric())
    other = neighbors_of(symmetric()[:30, :30], KernelSpec("pixels", "test", "test"), 5)
    with pytest.raises(RequestError, match="by one similarity; found kernel, pixels"):
        near_pairs([*tables, other], COUNTS, 0.5)
    with pytest.raises(RequestError, match="found none"):
        near_pairs([], COUNTS, 0.5)
    for threshold in (float("nan"), float("inf")):
        with pytest.raises(RequestError, match="expected a finite number"):
            near_pairs(tables, COUNTS, threshold)


def test_filters_keep_numbers_and_members():
    found = find(symmetric(), 0.99)
    table, members = found.table, found.members
    for labels, expected in (("all", 1), ("same", ~table["is_mixed"]), ("different", table["is_mixed"])):
        for of_class in (None, 2):
            with_class = set(members.loc[members["label"] == of_class, "group"])
            for crossing in (False, True):
                kept = select_groups(found, labels, of_class, crossing=crossing)
                rows = (table["group"] > 0) & expected & (table["crosses"] if crossing else True)
                wanted = [g for g in table.loc[rows, "group"] if of_class is None or g in with_class]
                assert kept["group"].tolist() == wanted
                listed = members_of(found, kept, ("ant", "bee", "cat"))
                assert set(listed["group"]) == set(wanted)
                assert len(listed) == kept["size"].sum()
                names = [("ant", "bee", "cat")[label] for label in listed["label"]]
                assert listed["class_name"].tolist() == names
    with pytest.raises(RequestError, match="expected all, same, different"):
        select_groups(found, "mixed")
