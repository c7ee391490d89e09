"""Labels in doubt, row by row: an example, what is said of its label, and its nearest."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kernel_core.findings.label_orders import TO_CHECK
from kernel_core.results.judged_rows import Wanted
from kernel_core.results.results import Results
from pages.ui import lists
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, gallery, nearest_tiles, tile
from pages.ui.wording import escape, plural

NEAREST = 9  # neighbors per row


def list_name(order: str) -> str:
    """Return the name, in addresses, of the list of labels in doubt in an order."""
    return "labels_to_check" if order == TO_CHECK else "failure_modes"


def conflict_rows(
    results: Results, by: str, order: str, rows: pd.DataFrame, pair: str, *, wanted: Wanted
) -> None:
    """Draw rows of `label_orders.labels_in_doubt`.

    pair: the name of the pair of labels chosen, or empty. wanted: by what was judged of the labels.
    """
    neighbors = results.neighbors_by(by)
    cells: list[Cell] = []
    badges = Badges(results)
    for row in rows.itertuples():
        query = int(row.query_index)
        own = tile(results, results.query, query, note=f"{results.query} {query}")
        badges.on_label(own, (results.query, query))
        nearest = nearest_tiles(results, neighbors, query, NEAREST)
        badges.on_neighbors(nearest, (results.query, query))
        cells.append(
            {
                "id": query,
                "head": f"#{row.rank}  ·  {_said(results, order, row)}",
                "groups": [
                    {"title": results.query, "tiles": [own]},
                    {"title": f"nearest {results.spec.database_example}s, in order", "tiles": nearest},
                ],
            }
        )
    carried = lists.carried(results, list_name(order), by, pair, wanted=wanted)
    gallery(results, cells, layout="rows", key="failures", label="labels in doubt", carried=carried)


def _said(results: Results, order: str, row: Any) -> str:
    """Return what ensemble and neighbors say of a row's label."""
    names, label = results.class_names, row.query_label
    predicted = results.predictions.predicted[row.query_index]
    confidence = results.predictions.confidence[row.query_index]
    ensemble = f"the ensemble predicts {names[predicted]} with probability {confidence:.0%}"
    if order != TO_CHECK:
        return ensemble + (", against the label" if predicted != label else "")
    vote = f"the neighbors vote for {names[row.voted]}"
    support = f"support for {names[label]}: {row.probability:.0%} + {row.share:.0%}"
    return f"{support}  ·  {ensemble}, {vote}"


def count_sentence(results: Results, order: str, rows: pd.DataFrame, pair: tuple[str, str] | None) -> str:
    """Return how many examples an order lists, in Markdown, and what they are.

    rows: all of them. pair: the names of the two labels chosen.
    """
    own, neighbor, count = results.spec.query_example, results.spec.database_example, len(rows)
    if order == TO_CHECK:
        if not pair:
            return f"**{plural(count, own)}**"
        label, voted = map(escape, pair)
        return f"**{plural(count, own)}** labeled {label}, whose neighbors vote for {voted}"
    if pair:
        label, other = map(escape, pair)
        return f"**{plural(count, own)}** labeled {label}, whose nearest {neighbor} is labeled {other}"
    if results.spec.excludes_self:
        return f"**{plural(count, 'pair')}** of a {own} and its nearest have different labels"
    total = len(results.labels[0])
    return f"**{count:,} of {total:,} {own}s** have a nearest {neighbor} with a different label"
