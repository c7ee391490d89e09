"""Which examples a cleaned set keeps, which it drops and why, and which labels it corrects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.exact_copies import ORDER, exact_copies
from kernel_core.findings.twins import BANDS
from kernel_core.results.pair_orders import lacks_pixels, ordered_pairs
from kernel_core.results.results import Results
from kernel_core.review.consensus import ITEM_COLUMNS, consensus
from kernel_core.review.judged import Example, Judged, pair_of
from kernel_core.review.leaked import decided_pairs
from kernel_core.review.verdicts import DUPLICATES
from kernel_core.spec import Split

SIDES = {
    "test": "the test examples of pairs between the splits: for networks that are trained already",
    "train": "the training examples of such pairs: the test set stays comparable, training starts anew",
    "both": "both of them",
}
"""Choice → which examples it drops of duplicates between the splits."""
LABELS = {
    "correct": "correct labels that were judged wrong; drop examples of which no class was found",
    "drop": "drop every example whose label was judged wrong",
    "keep": "leave labels as they are",
}
"""Choice → what becomes of labels that were judged wrong."""
Row: TypeAlias = tuple[Split, int, str, str, str, int]
JUDGED, MACHINE = "judged", "machine-found"
DROPPED_COLUMNS = ["split", "index", "why", "by", "other_split", "other_index"]
CORRECTION_COLUMNS = ["split", "index", "label", "class", "verdict", "valid_labels", "valid_classes"]


@dataclass(frozen=True)
class Rules:
    """How verdicts become a cleaned set.

    rule: of `consensus.RULES`. leaked: verdicts that count as a duplicate. side: of `SIDES`. labels: of
    `LABELS`. machine: whether pairs that nobody judged count, if they are equal in every byte, or in the
    band "same picture" of the twin score.
    """

    rule: str = "majority"
    leaked: tuple[str, ...] = DUPLICATES
    side: str = "test"
    labels: str = "correct"
    machine: bool = False


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A cleaned set.

    keep, drop: indices of each split, rising; together they are all, and none is in both.
    dropped: one row per dropped example, with `DROPPED_COLUMNS`: why ("duplicate across splits", "duplicate
    within the split", "wrong label"), by ("judged" or "machine-found"), and the example that it duplicates,
    empty and -1 for labels. corrections: one row per label judged wrong or ambiguous, with
    `CORRECTION_COLUMNS`: label and class as given; valid_labels, valid_classes: lists of the classes that
    apply, empty where none was found.
    """

    keep: Mapping[Split, list[int]]
    drop: Mapping[Split, list[int]]
    dropped: pd.DataFrame
    corrections: pd.DataFrame


def clean(results: Results, judged: Judged, rules: Rules) -> Cleaned:
    """Return the cleaned set that the rules make of verdicts.

    Of duplicates within a split one stays, that of lowest index. Where the machine's findings count, those of
    the twin score do only if aligned pixels are built. Raises `RequestError` where nobody has judged anything
    and the machine's findings do not count.
    """
    if not rules.machine and not judged.pairs and not judged.labels:
        raise RequestError(
            "Nobody has judged anything yet. Begin on the page Review, or add --machine to count exact "
            "copies and what the twin score finds."
        )
    pairs = _pairs(results, judged, rules)
    corrections = corrected_labels(results, judged, rules.rule)
    dropped = [*_across(pairs, rules.side), *_wrong(corrections, rules.labels)]
    gone = {(row[0], row[1]) for row in dropped}
    dropped += _within(pairs, gone)
    table = pd.DataFrame(dropped, columns=DROPPED_COLUMNS).sort_values(["split", "index"], ignore_index=True)
    drop = {split: sorted(table["index"][table["split"] == split].tolist()) for split in results.examples}
    keep = {
        split: sorted(set(range(len(examples))) - set(drop[split]))
        for split, examples in results.examples.items()
    }
    return Cleaned(keep, drop, table, corrections)


def _pairs(results: Results, judged: Judged, rules: Rules) -> dict[tuple[Example, Example], str]:
    """Return the pairs that count as duplicates, and by whom they were found."""
    table = decided_pairs(judged, rules.rule, rules.leaked)
    keys = list(map(_key, table[ITEM_COLUMNS].itertuples(index=False)))
    found = dict.fromkeys(key for key, leaked in zip(keys, table["leaked"], strict=True) if leaked)
    pairs = dict.fromkeys(found, JUDGED)
    if rules.machine:
        decided = set(keys)
        pairs |= {key: MACHINE for key in _by_machine(results) if key not in decided and key not in pairs}
    return pairs


def _key(row: tuple[Split, int, Split, int]) -> tuple[Example, Example]:
    a_split, a_index, b_split, b_index = row
    return (a_split, int(a_index)), (b_split, int(b_index))


def _by_machine(results: Results) -> Iterable[tuple[Example, Example]]:
    """Yield the pairs that are equal in every byte, or in the first band of the twin score."""
    for _, members in exact_copies(results.examples).groupby("group", sort=False):
        test, train = (
            [(split, int(index)) for index in members["index"][members["split"] == split]] for split in ORDER
        )
        for own in (test, train):
            yield from ((own[0], other) for other in own[1:])
        for example in test if train else ():
            yield example, train[0]
    if results.has_images and "kernel" in results.names and not lacks_pixels(results, "kernel", "twin"):
        pairs = ordered_pairs(results, "kernel", "twin")
        same = pairs[pairs["band"] == BANDS[0]]
        for row in same.itertuples():
            query: Example = (results.query, int(row.query_index))
            yield pair_of(query, (results.database, int(row.database_index)))


def _across(pairs: Mapping[tuple[Example, Example], str], side: str) -> list[Row]:
    """Return the examples to drop of duplicates between the splits, each with one that it duplicates."""
    rows: dict[Example, Row] = {}
    for (a, b), by in sorted(pairs.items()):
        if a[0] != b[0]:
            for own, other in ((a, b), (b, a)):
                if side in (own[0], "both"):
                    rows.setdefault(own, (*own, "duplicate across splits", by, *other))
    return list(rows.values())


def _within(pairs: Mapping[tuple[Example, Example], str], gone: set[Example]) -> list[Row]:
    """Return the examples to drop of groups of duplicates within a split: all that are left but the first."""
    from scipy.cluster.hierarchy import DisjointSet  # takes 0.2 s to import

    groups = DisjointSet()
    by_of: dict[Example, str] = {}
    for (a, b), by in sorted(pairs.items(), key=lambda pair: (pair[1] != JUDGED, pair[0])):
        if a[0] == b[0] and a not in gone and b not in gone:
            for example in (a, b):
                groups.add(example)
                by_of.setdefault(example, by)
            groups.merge(a, b)
    rows: list[Row] = []
    for first, *others in map(sorted, groups.subsets()):
        rows += [(*example, "duplicate within the split", by_of[example], *first) for example in others]
    return rows


def corrected_labels(results: Results, judged: Judged, rule: str) -> pd.DataFrame:
    """Return the labels that were judged wrong or ambiguous, with `CORRECTION_COLUMNS`.

    A verdict "guessed" or "both" that names no known class says that the label is wrong, or not alone, and no
    more: its valid labels lack the class.
    """
    names = results.class_names
    rows = []
    for row in consensus(judged, "label", rule).itertuples():
        if row.verdict in ("guessed", "both", "neither"):
            given = int(results.examples[row.a_split].labels[row.a_index])
            proposed = [names.index(row.proposed_label)] if row.proposed_label in names else []
            valid = {"guessed": proposed, "both": [given, *proposed], "neither": []}[row.verdict]
            classes = [names[label] for label in valid]
            rows.append((row.a_split, int(row.a_index), given, names[given], row.verdict, valid, classes))
    return pd.DataFrame(rows, columns=CORRECTION_COLUMNS)


def _wrong(corrections: pd.DataFrame, choice: str) -> list[Row]:
    """Return the examples to drop for their labels."""
    rows: list[Row] = []
    for row in corrections.to_dict("records"):
        is_hopeless = choice == "correct" and not row["valid_labels"]
        if is_hopeless or (choice == "drop" and row["verdict"] != "both"):
            rows.append((row["split"], row["index"], "wrong label", JUDGED, "", -1))
    return rows
