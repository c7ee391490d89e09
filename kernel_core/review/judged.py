"""Which verdicts stand, and on which examples of a source, found again by their pixels."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import pandas as pd

from kernel_core.records import ExampleSet
from kernel_core.review.verdicts import WITHDRAWN, Item, Kind, Verdict, pixel_hash
from kernel_core.spec import SPLITS, Split

Example: TypeAlias = tuple[Split, int]
Pair: TypeAlias = tuple[Example, Example]
Key: TypeAlias = tuple[Example, ...]
COLUMNS = [
    "a_split", "a_index", "b_split", "b_index", "reviewer", "verdict", "proposed_label", "note", "at", "id",
    "similarity", "value", "rank", "filter", "design", "stratum", "inclusion_probability", "blind",
    "milliseconds", "repeats",
]  # fmt: skip


class PixelHashes:
    """The hash of every example of a source, and the examples of every hash. 60,000 known ones: 0.1 s."""

    def __init__(self, examples: Mapping[Split, ExampleSet]) -> None:
        self._of: dict[Split, list[str]] = {}
        self._examples: dict[str, list[Example]] = defaultdict(list)
        for split in (split for split in SPLITS if split in examples):
            of = examples[split]
            hashes = _hashes(of)
            self._of[split] = hashes
            for index, found in enumerate(hashes):
                if found:
                    self._examples[found].append((split, index))

    def item(self, example: Example) -> Item:
        """Return an example as verdicts name it."""
        split, index = example
        return Item(split, int(index), self._of[split][index])

    def find(self, item: Item) -> Example | None:
        """Return the example that an item names: where it was, or else where its pixels are now.

        Of several images with the same pixels the first of the same split counts, else the first of all.
        None if there is none.
        """
        hashes = self._of.get(item.split, [])
        if item.index < len(hashes) and hashes[item.index] == item.sha256:
            return item.split, item.index
        found = self._examples.get(item.sha256, []) if item.sha256 else []
        return next((example for example in found if example[0] == item.split), found[0] if found else None)


def _hashes(examples: ExampleSet) -> list[str]:
    """Return the hash of each image, from its pixels where it is not known; "" where there are no images."""
    if not examples.has_images:
        return [""] * len(examples)
    if examples.sha256 is None:
        return [pixel_hash(image) for image in examples.images]
    return [row.tobytes().hex() for row in examples.sha256]


def pair_of(a: Example, b: Example) -> Pair:
    """Return two examples in the order in which pairs are known: test before train, then by index.

    >>> pair_of(("train", 3), ("test", 9)), pair_of(("test", 9), ("test", 2))
    ((('test', 9), ('train', 3)), (('test', 2), ('test', 9)))
    """
    return (a, b) if a <= b else (b, a)


class Judged:
    """The verdicts that stand, by item and reviewer.

    pairs: by pair, in the order of `pair_of`, the standing verdict of each reviewer by name. labels: the same
    by example. unmatched: verdicts on examples that the source does not have. Of several verdicts of one
    reviewer on one item the last stands; one that is withdrawn gives way to the one before.
    """

    def __init__(self, hashes: PixelHashes) -> None:
        self.hashes = hashes
        self.pairs: dict[Pair, dict[str, Verdict]] = {}
        self.labels: dict[Example, dict[str, Verdict]] = {}
        self.unmatched: list[Verdict] = []
        self.count = 0  # verdicts taken so far
        self.by_id: dict[str, Verdict] = {}
        self._stacks: dict[tuple[Key, str], list[Verdict]] = defaultdict(list)

    def take(self, verdicts: Iterable[Verdict]) -> None:
        """Take verdicts in the order in which they were given."""
        for verdict in verdicts:
            self.count += 1
            self.by_id[verdict.id] = verdict
            key = self.key_of(verdict)
            if key is None:
                self.unmatched.append(verdict)
            else:
                self._push(key, verdict)

    def key_of(self, verdict: Verdict) -> Key | None:
        """Return the pair, or the example alone, that a verdict is on; None if the source lacks it."""
        a = self.hashes.find(verdict.a)
        b = self.hashes.find(verdict.b) if verdict.b else None
        if a is None or (verdict.b and b is None) or a == b:
            return None
        return (a,) if b is None else pair_of(a, b)

    def _push(self, key: Key, verdict: Verdict) -> None:
        stack = self._stacks[key, verdict.reviewer]
        if verdict.verdict == WITHDRAWN:
            stack[:] = [before for before in stack if before.id != verdict.supersedes]
        else:
            stack.insert(_place(stack, verdict), verdict)
        standing = self._of_item(key)
        if stack:
            standing[verdict.reviewer] = stack[-1]
        else:
            standing.pop(verdict.reviewer, None)
        if not standing:
            self._drop(key)

    def _of_item(self, key: Key) -> dict[str, Verdict]:
        if len(key) == 1:
            return self.labels.setdefault(key[0], {})
        return self.pairs.setdefault((key[0], key[1]), {})

    def _drop(self, key: Key) -> None:
        if len(key) == 1:
            self.labels.pop(key[0], None)
        else:
            self.pairs.pop((key[0], key[1]), None)

    def of_pair(self, a: Example, b: Example) -> Mapping[str, Verdict]:
        """Return the standing verdicts on a pair, in either order of its examples, by reviewer."""
        return self.pairs.get(pair_of(a, b), {})

    def of_label(self, example: Example) -> Mapping[str, Verdict]:
        """Return the standing verdicts on an example's label, by reviewer."""
        return self.labels.get(example, {})

    def items(self, kind: Kind) -> dict[Key, dict[str, Verdict]]:
        """Return the standing verdicts of every item of a kind, by item and reviewer."""
        if kind == "pair":
            return {(a, b): dict(by) for (a, b), by in list(self.pairs.items())}
        return {(example,): dict(by) for example, by in list(self.labels.items())}

    def history(self, key: Key) -> dict[str, list[Verdict]]:
        """Return every reviewer's verdicts on an item that were not taken back, oldest first, by reviewer."""
        return {reviewer: list(self._stacks[key, reviewer]) for reviewer in self._reviewers_of(key)}

    def _reviewers_of(self, key: Key) -> Iterable[str]:
        return self.of_label(key[0]) if len(key) == 1 else self.of_pair(key[0], key[1])

    @property
    def reviewers(self) -> list[str]:
        """The names of all whose verdicts stand, sorted."""
        standing = [*self.pairs.values(), *self.labels.values()]
        return sorted({reviewer for by in standing for reviewer in by})

    def table(self, kind: Kind) -> pd.DataFrame:
        """Return one row per standing verdict of a kind, in the order of items, with `COLUMNS`.

        b_split is empty and b_index -1 for labels. a and b are in the order of `pair_of`; the other columns
        are fields of `Verdict` and of what was shown.
        """
        rows = [
            _row(key, verdict)
            for key, by in sorted(self.items(kind).items())
            for _, verdict in sorted(by.items())
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def unmatched_table(self) -> pd.DataFrame:
        """Return one row per verdict on examples that the source lacks, in the order given, with `COLUMNS`.

        The examples are where they were when they were judged.
        """
        rows = []
        for verdict in self.unmatched:
            items = [verdict.a, *([verdict.b] if verdict.b else [])]
            rows.append(_row(tuple((item.split, item.index) for item in items), verdict))
        return pd.DataFrame(rows, columns=COLUMNS)


def _place(stack: list[Verdict], verdict: Verdict) -> int:
    """Return where a verdict belongs among those of its reviewer: by time, and after the one it replaces.

    Files are merged line by line: what was added last may be older.
    """
    after = next((at for at, before in enumerate(stack, 1) if before.id == verdict.supersedes), 0)
    return max(after, bisect.bisect_right(stack, verdict.at, key=lambda before: before.at))


def _row(key: Key, verdict: Verdict) -> tuple[object, ...]:
    b: tuple[str, int] = key[1] if len(key) > 1 else ("", -1)
    seen = verdict.shown
    return (
        *key[0], *b, verdict.reviewer, verdict.verdict, verdict.proposed_label, verdict.note, verdict.at,
        verdict.id, seen.similarity, seen.value, seen.rank, seen.filter, verdict.design, verdict.stratum,
        verdict.inclusion_probability, verdict.blind, verdict.milliseconds, verdict.repeats,
    )  # fmt: skip
