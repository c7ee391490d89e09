"""Badges: what was judged of a pair or of a label, on the tiles and pairs of every page.

They are read anew at each run of a page, so that a verdict shows at the next one.
"""

from __future__ import annotations

from collections import defaultdict

import pandas as pd

from kernel_core.printable import printable
from kernel_core.results.judged_rows import DISPUTED, By, judged_pairs_of, standing_on, verdict_of
from kernel_core.results.results import Results
from kernel_core.review.consensus import agreed
from kernel_core.review.judged import Judged, pair_of
from kernel_core.spec import example_name, parse_example
from pages.ui import verdicts
from pages.ui.components.gallery import Cell, Tile
from pages.ui.links import Example
from pages.ui.wording import escape, plural

NAMED = 4  # reviewers that a tooltip names per verdict, and pairs that it names of a group
NAME = 30  # characters of a reviewer's name


class Badges:
    """What was judged, put on tiles and cells. results: whose examples they show."""

    def __init__(self, results: Results) -> None:
        self.judged: Judged = verdicts.standing(results)

    def on_pair(self, cell: Cell, a: Example, b: Example) -> None:
        """Put what was judged of a pair on its cell, which has a head."""
        if by := standing_on(self.judged, pair_of(a, b)):
            cell["judged"], said = short(by), in_words(by)
            cell["tip"] = "\n".join(filter(None, [cell.get("tip", ""), said]))
            for tile in (tile for group in cell["groups"] for tile in group["tiles"]):
                tile["tip"] = "\n".join(filter(None, [tile.get("tip", ""), f"the pair: {said}"]))

    def on_neighbors(self, tiles: list[Tile], query: Example) -> None:
        """Put what was judged of a query and its neighbors on the neighbors' tiles."""
        for tile in tiles if self.judged.pairs else ():
            if by := standing_on(self.judged, pair_of(query, parse_example(tile["example"]))):
                _mark(tile, by, "the pair: ")

    def on_label(self, tile: Tile, example: Example) -> None:
        """Put what was judged of an example's label on its tile."""
        if by := standing_on(self.judged, (example,)):
            _mark(tile, by, "the label: ")

    def said(self, *key: Example) -> str:
        """Return what was judged of a pair, or of one example's label, in Markdown; often empty."""
        item = pair_of(*key) if len(key) == 2 else key
        by = standing_on(self.judged, item)
        return f"{_mark_of(verdict_of(by))} {escape(in_words(by))}" if by else ""

    def on_groups(self, cells: list[Cell], members: pd.DataFrame) -> None:
        """Put on the cells of groups how many pairs in them were judged, and how. members: of all of them."""
        of_groups = judged_pairs_of(members, self.judged)
        for cell in cells:
            if pairs := of_groups.get(cell["id"]):
                said = {verdict_of(by) for by in pairs.values()}
                what = next(iter(said)) if len(said) == 1 else "judged"
                cell["judged"] = f"{_mark_of(what)} {what} · {plural(len(pairs), 'pair')}"
                lines = [
                    f"{example_name(*key[0])} and {example_name(*key[1])}: {in_words(by)}"
                    for key, by in list(pairs.items())[:NAMED]
                ]
                more = [f"and {len(pairs) - NAMED:,} more"] if len(pairs) > NAMED else []
                cell["tip"] = "\n".join([*lines, *more])


def _mark(tile: Tile, by: By, what: str) -> None:
    tile["judged"] = short(by)
    tile["alt"] += f"; {what}{in_words(by)}"


def _mark_of(said: str) -> str:
    return "?" if said == DISPUTED else "✓"


def short(by: By) -> str:
    """Return the verdicts on an item in as few words as possible: what, and by how many if several."""
    said, proposed = agreed(by) or (DISPUTED, "")
    words = f"{_mark_of(said)} {said}" + (f": {printable(proposed, NAME)}" if proposed else "")
    return f"{words} · {len(by)}" if len(by) > 1 else words


def in_words(by: By) -> str:
    """Return the verdicts on an item with who gave them, as in “judged exact by Ann, Bob”."""
    reviewers: dict[str, list[str]] = defaultdict(list)
    for name, verdict in sorted(by.items()):
        reviewers[verdict.verdict].append(printable(name, NAME))
    given = []
    for word, names in reviewers.items():
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        given.append(f"{word} by {', '.join(names[:NAMED])}{more}")
    if len(given) == 1:
        return f"judged {given[0]}"
    said = verdict_of(by)
    return f"{said if said == DISPUTED else f'decided {said}'}: {'; '.join(given)}"
