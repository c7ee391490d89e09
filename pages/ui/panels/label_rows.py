"""Labels to check, row by row: an example, what is proposed for it, and the nearest of both classes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from kernel_core.printable import printable
from kernel_core.results.label_check import BASES, TRAINED, judging
from kernel_core.results.results import Results
from kernel_core.spec import NEIGHBORS_KEPT
from pages.ui import label_checks, lists, load
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, Group, gallery, tile
from pages.ui.label_checks import Asked
from pages.ui.wording import value_words

MINUTES = "in less than a minute for the digits, about 4 for CIFAR-10's 60,000 images on two cores"


def label_rows(opened: Results, results: Results, asked: Asked, rows: pd.DataFrame) -> None:
    """Draw rows of `labels_to_check`. results: in the direction of `opened`'s that judges the labels."""
    names = results.class_names
    cells: list[Cell] = []
    badges = Badges(results)
    for row in rows.itertuples():
        query = int(row.query_index)
        own = tile(results, results.query, query, note=f"{results.query} {query}")
        badges.on_label(own, (results.query, query))
        groups: list[Group] = [{"title": "label as given", "tiles": [own], "large": True}]
        for label in (int(row.query_label), int(row.proposed)):
            what = "proposed" if label == row.proposed else "as given"
            by, found = label_checks.evidence(opened.id, results, asked.by, query, label)
            tiles = [
                tile(results, results.database, i, beside=row.query_label, note=value_words(value))
                for i, value in found
            ]
            more = f" by {results.title_of(by)}" if by != asked.by else ""
            more += "" if tiles else f": none among the {NEIGHBORS_KEPT} nearest"
            groups.append({"title": f"nearest {names[label]} ({what}){more}", "tiles": tiles})
        cells.append({"id": query, "head": f"#{row.rank}  ·  {_said(results, row)}", "groups": groups})
    carried = lists.carried(results, "labels", *asked.arguments, wanted=asked.wanted)
    gallery(results, cells, layout="rows", key="labels_to_check", label="labels to check", carried=carried)


def _said(results: Results, row: Any) -> str:
    """Return what ensemble and neighbors say of a row's label, with their numbers."""
    names, label = results.class_names, row.query_label
    ensemble = f"ensemble: {names[row.likeliest]} {row.likeliest_probability:.0%}"
    neighbors = f"neighbors: {names[row.voted]} {row.voted_share:.0%}"
    if row.likeliest != label:
        ensemble += f", {names[label]} {row.probability:.0%}"
    if row.voted != label:
        neighbors += f", {names[label]} {row.share:.0%}"
    words = [f"labeled {names[label]}", ensemble, neighbors]
    words += [f"both say {names[row.voted]}"] if row.both_against else []
    return "  ·  ".join([*words, "flagged"] if row.flagged else words)


def say_basis(results: Results) -> None:
    """Say where training labels are ranked weakly, why, and what would help."""
    basis = judging(results)[0]
    if basis != TRAINED:
        return
    st.warning(
        f"{BASES[basis]} The neighbors' vote leaves out an example's own label, but the runs behind it were "
        f"trained on that label. To get predictions that count, train runs on random halves of the training "
        f"set, {MINUTES}, and serve that folder:",
        icon=":material/warning:",
    )
    source = printable(load.request().name)
    st.code(f"kernel-explorer train heads {source} --subset 0.5 --out my-ensemble", language="bash")
