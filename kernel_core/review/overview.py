"""All verdicts at a glance: how many, by whom, and those that no longer match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.review.consensus import undecided
from kernel_core.review.judged import Judged, Key
from kernel_core.review.verdicts import DESIGNS, VERDICTS, Kind
from kernel_core.spec import example_name

UNMATCHED_COLUMNS = ["kind", "a", "b", "missing", "reviewer", "verdict", "at", "source", "id"]


def counts_of(judged: Judged, kind: Kind) -> dict[str, int]:
    """Return numbers of what stands of a kind.

    items: judged. verdicts: on them. shared: items of two reviewers or more. disputed: items on which they
    disagree and that nobody has decided. serious: of these, where both sides have a vote (`is_serious`).
    blind: verdicts. queue, sample, gold: verdicts of the designs.
    """
    items = judged.items(kind)
    verdicts = [verdict for by in items.values() for verdict in by.values()]
    open_ones = undecided(judged, kind, "adjudicated")
    designs = Counter(verdict.design for verdict in verdicts)
    return {
        "items": len(items),
        "verdicts": len(verdicts),
        "shared": sum(len(by) > 1 for by in items.values()),
        "disputed": len(open_ones),
        "serious": int(open_ones["serious"].sum()),
        "blind": sum(verdict.blind for verdict in verdicts),
        **{design: designs[design] for design in DESIGNS},
    }


def by_reviewer(judged: Judged, kind: Kind) -> pd.DataFrame:
    """Return one row per reviewer: how many of each verdict stand.

    Columns: reviewer, one int column per verdict of the kind, total, seconds (the median from the item's
    appearance to the key; NaN where no time is known). Sorted by name.
    """
    counts: dict[str, Counter[str]] = {}
    times: dict[str, list[float]] = {}
    for by in judged.items(kind).values():
        for name, verdict in by.items():
            counts.setdefault(name, Counter())[verdict.verdict] += 1
            if verdict.milliseconds is not None:
                times.setdefault(name, []).append(verdict.milliseconds / 1_000)
    rows = [
        (name, *(found[verdict] for verdict in VERDICTS[kind]), found.total(), _median(times, name))
        for name, found in sorted(counts.items())
    ]
    return pd.DataFrame(rows, columns=["reviewer", *VERDICTS[kind], "total", "seconds"])


def _median(times: Mapping[str, list[float]], name: str) -> float:
    return float(pd.Series(times.get(name, []), dtype=float).median())


def unmatched_table(judged: Judged) -> pd.DataFrame:
    """Return one row per verdict on examples that the source does not have, in the order of the file.

    Columns `UNMATCHED_COLUMNS`: a, b: where the examples were (b empty for labels). missing: those of them
    whose pixels are nowhere now; both have the same pixels if it is empty. source: what it was called then.
    """
    find = judged.hashes.find
    rows = []
    for verdict in judged.unmatched:
        items = [item for item in (verdict.a, verdict.b) if item is not None]
        names = [example_name(item.split, item.index) for item in items]
        missing = [name for name, item in zip(names, items, strict=True) if find(item) is None]
        b = names[1] if len(names) > 1 else ""
        about = verdict.reviewer, verdict.verdict, verdict.at, verdict.shown.source, verdict.id
        rows.append((verdict.kind, names[0], b, " ".join(missing), *about))
    return pd.DataFrame(rows, columns=UNMATCHED_COLUMNS)


def standing_table(judged: Judged, kinds: tuple[Kind, ...]) -> pd.DataFrame:
    """Return the verdicts that stand, with the column kind before those of `Judged.table`."""
    tables = [judged.table(kind).assign(kind=kind) for kind in kinds]
    table = pd.concat([part for part in tables if len(part)] or tables[:1], ignore_index=True)
    return table[["kind", *(column for column in table if column != "kind")]]


def reviewers_along(judged: Judged, ranked: Sequence[Key]) -> npt.NDArray[np.int64]:
    """Return how many reviewers judged each pair of a ranking, int64 (n,). ranked: pairs in their order."""
    return np.array([len(judged.pairs.get((key[0], key[1]), ())) for key in ranked], np.int64)


def coverage(counts: npt.NDArray[np.int64], size: int = 100) -> pd.DataFrame:
    """Return one row per `size` ranks, up to the last one that somebody judged.

    counts: of `reviewers_along`. Columns: first, last (ranks, from 1), items, once (judged by one reviewer),
    more (by two or more). Empty if nothing was judged.

    >>> coverage(np.array([2, 1, 0, 1, 0]), 2).to_numpy().tolist()
    [[1, 2, 2, 1, 1], [3, 4, 2, 1, 0]]
    """
    found = np.flatnonzero(counts)
    starts = range(0, int(found[-1]) + 1 if len(found) else 0, size)
    rows = []
    for start in starts:
        part = counts[start : start + size]
        rows.append((start + 1, start + len(part), len(part), int((part == 1).sum()), int((part > 1).sum())))
    return pd.DataFrame(rows, columns=["first", "last", "items", "once", "more"])


def judged_without_gap(counts: npt.NDArray[np.int64]) -> int:
    """Return how many first ranks were all judged. counts: of `reviewers_along`.

    >>> judged_without_gap(np.array([1, 3, 0, 1])), judged_without_gap(np.array([2, 1]))
    (2, 2)
    """
    gaps = np.flatnonzero(counts == 0)
    return int(gaps[0]) if len(gaps) else len(counts)
