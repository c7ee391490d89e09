"""The cells of groups of near-duplicates, and what is only asked on their page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from kernel_core.explain.image_alignment import ALIKE
from kernel_core.findings.groups import Groups, members_of
from kernel_core.results.results import Results
from pages.ui import grouped, links, names, paired
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, Tile, tile

DRAWN = 24  # images per group; a link leads to the others
ODD = 8  # of them, at most, with another label than most
AMONG = {"across": "both splits", "test": "test", "train": "train"}
AMONG_HELP = "Groups of all examples, or of one split alone. In both, pairs across the splits are linked too."


ORDER_HELP = (
    "By similarity: pairs at or above the threshold are linked. By twin score: the same with the score, "
    "which also counts how well the images match."
)


def rule(split_count: int) -> str:
    """Return what is kept, and in which order groups come. split_count: of those that have members."""
    ties = "the lower index"
    if split_count > 1:
        ties = (
            "a test example, then to the lower index: without a training example, the test set still "
            "measures what it did"
        )
    return (
        "The number is the mean similarity, or twin score, of the members. In a green frame: the example to "
        "keep, which has the largest mean similarity to the others; a pair that is not linked counts as the "
        f"threshold. Ties, as in every group of two, go to {ties}. Mixed labels come first, then larger "
        "groups, then nearer ones. Being in one group does not prove a duplicate; judge by eye."
    )


def choose_aligned(on_change: Callable[[], None]) -> float | None:
    """Show the controls of pixels that confirm a pair; return the least correlation, None if none counts."""
    confirmed = st.toggle(
        "Confirmed by aligned pixels",
        key="aligned",
        width=250,
        bind="query-params",
        on_change=on_change,
        help="Link only pairs whose pixels also correlate, where the two images fit best, shifted or "
        "mirrored.",
    )
    if not confirmed:
        return None
    return st.number_input(
        "Pixel correlation of at least", -1.0, 1.0, ALIKE, 0.01, key="pixels_at", bind="query-params",
        width=200, on_change=on_change,
    )  # fmt: skip


def cells(
    results: Results, found: Groups, shown: pd.DataFrame, chains: Collection[int], by: str
) -> list[Cell]:
    """Return one cell per group. shown: rows of the table of groups. chains: their numbers.

    by: the similarity that links pairs.
    """
    members = dict(iter(members_of(found, shown, results.class_names).groupby("group")))
    made: list[Cell] = []
    for _, row in shown.iterrows():
        of_group = members[row["group"]]
        head = grouped.head(row, of_group["label"], results.class_names, is_chain=row["group"] in chains)
        tiles = _tiles(results, of_group, by)
        cell: Cell = {"id": int(row["group"]), "head": head, "groups": [{"title": "", "tiles": tiles}]}
        if len(of_group) > DRAWN:
            examples = zip(of_group["split"], of_group["index"], strict=True)
            named = names.to_text(list(examples)[: names.MOST])
            cell["more"] = f"+{len(of_group) - DRAWN:,} more"
            cell["more_href"] = f"examples?{links.query(names=named)}"
        made.append(cell)
    Badges(results).on_groups(made, found.members[found.members["group"].isin(shown["group"])])
    return made


def _tiles(results: Results, members: pd.DataFrame, by: str) -> list[Tile]:
    """Return the tiles of up to `DRAWN` members, the example to keep first.

    Marked are those without the label that most have; of a group that is not drawn whole, some of them come
    next, as they may be why it is looked at.
    """
    counts = members["label"].value_counts()
    kept_label = members["label"].iloc[0]
    usual = kept_label if counts[kept_label] == counts.max() else counts.idxmax()
    differs = (members["label"] != usual).to_numpy()
    order = np.arange(len(members))
    if len(members) > DRAWN:
        first = np.flatnonzero(differs[1:])[:ODD] + 1
        order = np.concatenate([[0], first, np.setdiff1d(order[1:], first)])[:DRAWN]
    tiles = []
    drawn = members.iloc[order].to_dict("records")  # a row at a time takes ten times as long
    for place, member in zip(order, drawn, strict=True):
        note = f"{'keep ' if member['is_medoid'] else ''}{member['split']} {member['index']}"
        made = tile(results, member["split"], int(member["index"]), note=note)
        made["differs"], made["kept"] = bool(differs[place]), bool(member["is_medoid"])
        if made["differs"]:
            made["alt"] += ", not the label that most of its group have"
        made["tip"] = _pixels(results, by, drawn[0], member)
        tiles.append(made)
    return tiles


def _pixels(results: Results, by: str, kept: Mapping[Hashable, Any], member: Mapping[Hashable, Any]) -> str:
    """Return how well the pixels of a member match those of the one to keep; empty where it is not known."""
    if not results.has_images:
        return ""
    for one, other in ((member, kept), (kept, member)):
        pixels = paired.pixels_of(results, (one["split"], int(one["index"])), by, other["split"])
        if int(other["index"]) in pixels:
            return f"pixels aligned with the one to keep: {pixels[int(other['index'])]:.2f}"
    return ""
