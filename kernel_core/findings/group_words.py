"""Groups of near-duplicates in words: how many there are, and what to be wary of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from kernel_core.findings.groups import Groups
from kernel_core.findings.map_layout import SPLIT_ORDER
from kernel_core.spec import ADJECTIVES, Split

TIGHT = 20  # members; a group of more that is hardly linked is called a chain


def describe_groups(groups: Groups, counts: Mapping[Split, int]) -> str:
    """Return in words how many groups there are, and how many cross the splits and have mixed labels.

    counts: number of examples in each split.
    """
    table, total = groups.table, sum(counts.values())
    if not len(table):
        return f"No two of the {total:,} examples are linked."
    number = "1 group holds" if len(table) == 1 else f"{len(table):,} groups hold"
    crossing = f"across the splits: {table['crosses'].sum():,}; " if len(counts) > 1 else ""
    return (
        f"{number} {len(groups.members):,} of {total:,} examples ({crossing}with mixed labels: "
        f"{table['is_mixed'].sum():,}; members of the largest: {table['size'].max():,}). Keeping one example "
        f"of each leaves out {_left_out(groups)}."
    )


def _left_out(groups: Groups) -> str:
    """Return in words how many members of each split are not kept."""
    others = groups.members.loc[~groups.members["is_medoid"], "split"].value_counts()
    parts = [f"{others[split]:,} {ADJECTIVES[split]}" for split in SPLIT_ORDER if split in others.index]
    return f"{' and '.join(parts)} example{'' if others.sum() == 1 else 's'}"


def is_chain(groups: Groups) -> npt.NDArray[np.bool_]:
    """Return which groups look like chains, bool (groups,).

    These have more than `TIGHT` members, and less than half of the pairs of members are linked.
    """
    size, links = (groups.table[name].to_numpy() for name in ("size", "links"))
    chains: npt.NDArray[np.bool_] = (size > TIGHT) & (links < size * (size - 1) / 4)
    return chains


def warn_of_chains(groups: Groups) -> str:
    """Return a sentence about the largest chain, and about lists that are full; often empty."""
    words = []
    chains = groups.table[is_chain(groups)]
    if len(chains):
        largest = chains.loc[chains["size"].idxmax()]
        share = largest["links"] / (largest["size"] * (largest["size"] - 1) / 2)
        words.append(
            f"The group of {largest['size']:,} looks like a chain: only {max(share, 0.001):.1%} of its pairs "
            "are linked, so that its ends may have little in common. A higher threshold splits it."
        )
    if groups.pairs.full_lists:
        words.append(
            f"{groups.pairs.full_lists:,} lists of neighbors end above the threshold, so that links may be "
            "missing and large groups may come out as several."
        )
    return " ".join(words)
