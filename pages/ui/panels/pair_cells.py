"""The cells of pairs: two tiles, with their rank and what speaks for a duplicate."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kernel_core.findings.twins import CANDIDATES
from kernel_core.results.results import Results
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, tile
from pages.ui.paired import TWIN, Asked, has_twins, why_no_twins
from pages.ui.panels import twin_words
from pages.ui.wording import DIFFERENT_LABEL, escape, value_words

SHORT = {"kernel": "kernel", "pixels": "pixels", "features": "features", "nngp": "NNGP", "given": "given"}
"""Kind of similarity → its short name."""


def cells(results: Results, pairs: pd.DataFrame, by: str, *, has_ranks: bool = True) -> list[Cell]:
    """Return one cell per pair. pairs: rows of `paired.ranking`. has_ranks: whether ranks are shown."""
    made: list[Cell] = []
    badges = Badges(results)
    for pair in pairs.itertuples():
        query, database = int(pair.query_index), int(pair.database_index)
        names = (f"{results.query} {query}", f"{results.database} {database}") if has_ranks else ("", "")
        own = tile(results, results.query, query, note=names[0])
        other = tile(results, results.database, database, beside=pair.query_label, note=names[1])
        words = [f"#{pair.rank}"] if has_ranks else []
        cell: Cell = {"id": query, "head": "", "groups": [{"title": "", "tiles": [own, other]}]}
        if "twin" in pairs:
            _add_pixels(results, cell, pair, by)
        else:
            words.append(value_words(pair.similarity))
        cell["head"] = "  ·  ".join(words)
        badges.on_pair(cell, (results.query, query), (results.database, database))
        made.append(cell)
    return made


def _add_pixels(results: Results, cell: Cell, pair: Any, by: str) -> None:
    """Add to a pair's cell its similarity and aligned pixels, its band, and the parts of the twin score."""
    similarity = results.similarity(by)
    if pair.band:
        cell["badge"], cell["tone"] = pair.band, twin_words.TONES[pair.band]
    cell["values"] = [
        (SHORT[similarity.kind], "", f"{pair.similarity:.3f}"),
        ("pixels", " aligned", f"{pair.aligned:.2f}"),
    ]
    cell["tip"] = twin_words.score(similarity.title, pair)


def caption(results: Results, asked: Asked) -> str:
    """Return what the pairs of the page are, how they are ranked, and what the numbers mean."""
    title, spec = escape(results.title_of(asked.by)), results.spec
    by_twin = asked.order == TWIN
    which = f"its nearest {spec.database_example} by {title}"
    ranked = "that similarity, the nearest first"
    if by_twin:
        nearest = f"{CANDIDATES} nearest {spec.database_example}s by {title}"
        which = f"of its {nearest}, that with the largest twin score"
        ranked = "the twin score, the largest first"
    words = [
        f"Left: a {spec.query_example}. Right: {which}.",
        f"Pairs are ranked by {ranked}; with a filter, they keep their ranks.",
        twin_words.about(title, asked.order) if has_twins(results, asked.by) else "",
        why_no_twins(results, asked.by),
        DIFFERENT_LABEL,
        "A high rank does not prove a duplicate; judge by eye.",
    ]
    return " ".join(filter(None, words))
