"""Judged items with their images, and who said what of them."""

from __future__ import annotations

import numpy as np

from kernel_core.results.judged_rows import standing_on
from kernel_core.results.results import Results
from kernel_core.review.judged import Key
from kernel_core.review.votes import Votes
from kernel_core.spec import example_name
from pages.ui.badges import Badges, in_words
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.wording import plural


def keys_of_cell(votes: Votes, two: tuple[str, str], cell: str) -> list[Key]:
    """Return the items on which two reviewers gave the two verdicts of a cell, as in "exact / different"."""
    first, _, second = cell.partition(" / ")
    said = [votes.verdicts.index(first), votes.verdicts.index(second)]
    return [votes.items[at] for at in np.flatnonzero((votes.of(two).codes == said).all(1))]


def show_items(results: Results, keys: list[Key], said: dict[Key, str], label: str) -> None:
    """Show items as tiles with what was said of them.

    said: of disputed ones, in words, by item. label: of the grid.
    """
    badges = Badges(results)
    is_pair = bool(keys) and len(keys[0]) == 2
    cells: list[Cell] = []
    for number, key in enumerate(keys):
        beside = int(results.examples[key[0][0]].labels[key[0][1]])
        tiles = [
            tile(results, split, index, note=example_name(split, index), beside=beside)
            for split, index in key
        ]
        by = standing_on(badges.judged, key)
        head = plural(len(by), "reviewer")
        cell: Cell = {
            "id": number,
            "head": head,
            "tip": in_words(by),
            "groups": [{"title": "", "tiles": tiles}],
        }
        if key in said:
            cell["judged"] = f"? {said[key]}"
        elif len(key) == 2:
            badges.on_pair(cell, key[0], key[1])
        else:
            badges.on_label(tiles[0], key[0])
        cells.append(cell)
    gallery(results, cells, layout="pairs" if is_pair else "columns", key="items", label=label)
