"""The strips of the front page: a sentence with a number, the way to the whole list, and its first images."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from kernel_core.findings import disagreement
from kernel_core.findings.labels_to_check import DEFAULT
from kernel_core.findings.pairs import WINDOW, border, matching_pairs
from kernel_core.results.results import Results
from kernel_core.similarities import PENULTIMATE
from pages.ui import label_checks, lists, load, paired
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, Group, gallery, nearest_tiles, tile
from pages.ui.panels import pair_cells, twin_words
from pages.ui.panels.verdict_counts import count_verdicts
from pages.ui.panels.verdict_filter import Query, review_query
from pages.ui.wording import escape

SHOWN = 12  # cells per strip
TILE = 80  # pixels
DECIMALS = 2  # of the border in the sentence
RULE, NEAREST, FEW = "majority of 3", 5, 2  # of the disagreements; neighbors drawn per list


def show_strips(results: Results) -> None:
    """Show what is surprising: the nearest pairs, the labels to check, and the largest disagreements."""
    nearest_pairs(results)
    labels_to_check(results)
    largest_disagreements(results)
    count_verdicts(results)


def nearest_pairs(results: Results) -> None:
    """Show the likeliest twins, or else the nearest pairs, and how many there are."""
    if paired.has_twins(results, "kernel"):
        asked = paired.Asked("kernel", paired.TWIN)
        pairs = paired.find(results, asked).pairs
        review = review_query(results, "pair", *asked.to_list())
        _head(twin_words.count_twins(results, pairs), "near_duplicates", {"order": paired.TWIN}, review)
    else:
        asked = paired.Asked("kernel")
        pairs = paired.find(results, asked).pairs
        _count_near(results, pairs, review_query(results, "pair", *asked.to_list()))
    cells = pair_cells.cells(results, pairs.head(SHOWN), "kernel", has_ranks=False)
    _draw(results, cells, "the nearest pairs", lists.carried(results, *asked.to_list()))


def _count_near(results: Results, pairs: pd.DataFrame, review: Query | None) -> None:
    """Show how many pairs lie at or above the border of look-alikes, and the way to them."""
    threshold = math.floor(border(pairs) * 10**DECIMALS) / 10**DECIMALS
    count = len(matching_pairs(pairs, threshold=threshold))
    among = "in the training set" if not results.spec.excludes_self else "among them"
    _head(
        f"**{count:,} of {len(pairs):,} test examples have a possible twin** {among}: a kernel value of "
        f"{threshold:.{DECIMALS}f} or more.",
        "near_duplicates",
        {"first": "1", "last": str(min(WINDOW, len(pairs)))},
        review,
    )


def labels_to_check(results: Results) -> None:
    """Show the first labels to check, and on how many ensemble and neighbors agree on another."""
    if len(results.class_names) < 2:
        return
    table = label_checks.table(results.id, "kernel", DEFAULT)
    _head(
        f"**{int(table['both_against'].sum()):,} of {len(table):,} {results.query} labels have both against "
        "them:** the ensemble and the kernel's neighbors agree on another class.",
        "labels",
        {},
        review_query(results, "label", "labels", "kernel"),
    )
    neighbors, names = results.neighbors_by("kernel"), results.class_names
    cells: list[Cell] = []
    badges = Badges(results)
    for row in table.head(SHOWN).itertuples():
        query = int(row.query_index)
        shown = tile(results, results.query, query)
        badges.on_label(shown, (results.query, query))
        own: Group = {"title": f"labeled {names[row.query_label]}", "tiles": [shown]}
        nearest = nearest_tiles(results, neighbors, query, FEW)
        badges.on_neighbors(nearest, (results.query, query))
        groups: list[Group] = [own, {"title": f"nearest {results.database}", "tiles": nearest}]
        head = f"{names[row.query_label]}? The ensemble says {names[row.likeliest]}"
        cells.append({"id": query, "head": head, "groups": groups})
    _draw(results, cells, "labels to check", lists.carried(results, "labels", "kernel"))


def largest_disagreements(results: Results) -> None:
    """Show where kernel and features, or else pixels, pick the most different neighbors."""
    others = [name for name in results.neighbors if name != "kernel"]
    if not others or "kernel" not in results.neighbors:
        return
    other = PENULTIMATE if PENULTIMATE in others else others[0]
    both = [results.neighbors_by(name) for name in ("kernel", other)]
    k = min(NEAREST, *(neighbors.k for neighbors in both))
    table = load.votes(results.id, "kernel", other, RULE, k)
    counts = disagreement.count_agreement(table)
    titles = [escape(results.title_of(name)) for name in ("kernel", other)]
    differ = counts.only_first + counts.only_second
    order = disagreement.ORDERS[1]
    _head(
        f"**On {differ:,} of {counts.total:,} test examples exactly one is right:** the vote of the 3 "
        f"nearest by {titles[0]} ({counts.only_first:,}), or that by {titles[1]} ({counts.only_second:,}).",
        "disagreement",
        {"other": other, "order": order},
    )
    cells: list[Cell] = []
    for row in disagreement.select_examples(table, order).head(SHOWN).itertuples():
        query = int(row.query_index)
        groups: list[Group] = [{"title": results.query, "tiles": [tile(results, results.query, query)]}]
        for name, neighbors in zip(("kernel", other), both, strict=True):
            tiles = nearest_tiles(results, neighbors, query, FEW)
            groups.append({"title": results.title_of(name), "tiles": tiles})
        cells.append({"id": query, "head": "", "groups": groups})
    carried = lists.carried(results, "disagreement", "kernel", other, RULE, k, order)
    _draw(results, cells, "the largest disagreements", carried)


def _head(sentence: str, page: str, query: Query, review: Query | None = None) -> None:
    """Show a strip's sentence, and beside it the links to the whole list and to judging it, if it can be."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(sentence, width="content")
        st.page_link(f"pages/{page}.py", label="See all →", query_params=query)
        if review:
            st.page_link("pages/review.py", label="Review →", query_params=review)


def _draw(results: Results, cells: list[Cell], label: str, carried: str) -> None:
    key = label.replace(" ", "_")
    gallery(results, cells, layout="strip", key=key, label=label, px=TILE, carried=carried)
