"""Examples under the votes of two similarities' neighbors, with these neighbors."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from kernel_core.results.results import Results
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, Group, Tile, gallery, nearest_tiles, tile


def vote_rows(results: Results, by: tuple[str, str], rows: pd.DataFrame, k: int, carried: str) -> None:
    """Draw rows of `disagreement.compare_votes`, each with the k nearest by both similarities.

    by: the names of the two. carried: as for the gallery.
    """
    cells: list[Cell] = []
    for row in rows.itertuples():
        query = int(row.query_index)
        nearest = [set(results.neighbors_by(name).indices[query, :k].tolist()) for name in by]
        both = nearest[0] & nearest[1]
        own: Group = {
            "title": results.query,
            "tiles": [tile(results, results.query, query, note=f"{results.query} {query}")],
        }
        votes = [
            (row.first_vote, row.first_share, row.first_right),
            (row.second_vote, row.second_share, row.second_right),
        ]
        groups = []
        for name, (vote, share, is_right) in zip(by, votes, strict=True):
            said = f"{'✓' if is_right else '✗'} {results.class_names[vote]}, {share:.0%} of the vote"
            tiles = _nearest(results, name, query, k, both)
            groups.append(Group(title=f"{results.title_of(name)}: {said}", tiles=tiles))
        head = f"label {results.class_names[row.query_label]}  ·  {len(both)} of {k} neighbors in both lists"
        cells.append({"id": query, "head": head, "groups": [own, *groups]})
    if cells:
        label = f"{results.spec.query_example}s with two lists of neighbors"
        gallery(results, cells, layout="columns", key="disagreement", label=label, carried=carried)
    else:
        st.success("There is no such example.", icon=":material/check:")


def _nearest(results: Results, by: str, query: int, k: int, both: set[int]) -> list[Tile]:
    """Return the tiles of the nearest; those that are in both lists say so."""
    neighbors = results.neighbors_by(by)
    tiles = nearest_tiles(results, neighbors, query, k)
    Badges(results).on_neighbors(tiles, (results.query, query))
    for neighbor, index in zip(tiles, neighbors.indices[query, :k].tolist(), strict=True):
        if index in both:
            neighbor["note"] += " · both"
    return tiles
