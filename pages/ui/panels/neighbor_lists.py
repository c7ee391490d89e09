"""The lists of what is near an example, by each similarity, side by side and linked."""

from __future__ import annotations

import numpy as np
import streamlit as st

from kernel_core.errors import DataError, NotBuilt
from kernel_core.results.results import Results
from kernel_core.spec import SIMILARITIES, Split, example_name
from pages.ui import links, load
from pages.ui.gallery import Cell, Tile, gallery, tile
from pages.ui.panels.why import runs_in_words

THUMB = 64  # pixels a thumbnail aims at

Found = dict[str, tuple[np.ndarray, np.ndarray]]  # similarity → indices and values, nearest first
Missing = dict[str, str]  # similarity → why nothing can be said by it


def found(results: Results, query: tuple[Split, int], among: Split, missing: Missing) -> Found:
    """The 50 nearest examples of a split by every similarity that can be had; the others become `missing`."""
    lists: Found = {}
    for name in results.neighbors:
        try:
            lists[name] = load.nearest(results.id, *query, name, among)
        except (NotBuilt, DataError) as error:
            missing[name] = str(error)
    return lists


def rank(
    results: Results, query: tuple[Split, int], other: tuple[Split, int], similarity: str, missing: Missing
) -> tuple[int, float] | None:
    """The rank of one example among the nearest to another, and their similarity; None where it cannot be had."""
    if query == other:
        return None
    try:
        return load.rank(results.id, *query, similarity, other)
    except (NotBuilt, DataError) as error:
        missing[similarity] = str(error)
        return None


def offer(missing: Missing) -> None:
    """Say what is missing, and offer to build it where a build would help."""
    for name, why in missing.items():
        st.info(f"No more can be said by {SIMILARITIES[name]}: {why}", icon=":material/info:")
    if "kernel" in missing:
        load.offer_rows("neighbors")


def say_no_features(results: Results, instead: str) -> None:
    """Say that the source has no penultimate features, what is shown `instead`, and how they are made."""
    make = f"kernel-explorer features {load.request().name}"
    trained = (
        f", or `{make} --train RECIPE` of one trained now from a recipe" if len(results.examples) > 1 else ""
    )
    st.info(
        f"This source has no penultimate features, so {instead}. `{make} --model MODULE:FUNCTION --weights FILE` makes "
        f"those of a network of yours{trained}. Or name a file of your own under `[features]` in the source.toml. Then open the "
        "source again.",
        icon=":material/info:",
    )


def of_fewer_runs(results: Results) -> str:
    """What to say where values on demand are of fewer runs than the build's; else nothing."""
    if not results.rows or results.rows[results.database].runs == len(results.predictions.single):
        return ""
    return f" The kernel between examples that no build compares is computed on demand, of {runs_in_words(results)}."


def show_lists(
    results: Results, query: tuple[Split, int], among: Split, k: int, lists: Found, carried: str
) -> None:
    """A column a similarity: each neighbor with its value, and its rank in the lists by the others."""
    label = int(results.examples[query[0]].labels[query[1]])
    labels = results.examples[among].labels
    cells: list[Cell] = []
    for number, (name, (indices, values)) in enumerate(lists.items()):
        shown = indices[:k]
        same = int((labels[shown] == label).sum())
        head = f"{SIMILARITIES[name]}\n{same} of {len(shown)} have its label"
        if name != "kernel" and "kernel" in lists:
            common = len(np.intersect1d(shown, lists["kernel"][0][:k]))
            head += f" · {common} of {len(shown)} also the kernel's"
        tiles = []
        for at, (i, value) in enumerate(zip(shown.tolist(), values[:k].tolist(), strict=True)):
            note = f"{value:.3f} · {example_name(among, i)}\n{_elsewhere(lists, name, i, at + 1)}"
            made = tile(results, among, i, beside=label, note=note)
            pair = links.pair_href(example_name(*query), made["example"])
            tiles.append(Tile(**made, rank=at + 1, pair=pair))  # type: ignore[typeddict-item]
        cells.append({"id": number, "head": head, "groups": [{"title": "", "tiles": tiles}]})
    gallery(
        results, cells, layout="lists", key="lists", label="nearest examples by each similarity", px=THUMB,
        carried=carried,
    )  # fmt: skip


SHORT = {
    "kernel": "kernel",
    "penultimate": "cosine",
    "penultimate-euclidean": "Euclidean",
    "pixels": "pixels",
}


def _elsewhere(lists: Found, name: str, index: int, rank: int) -> str:
    """The ranks of one neighbor in the other lists, and by how many places it stands nearer or farther there."""
    words = []
    for other, (indices, _) in lists.items():
        at = np.flatnonzero(indices == index)
        if other != name and at.size:
            moved = int(at[0]) + 1 - rank
            arrow = "" if not moved else f" {'▲' if moved < 0 else '▼'}{abs(moved)}"
            words.append(f"{SHORT[other]} #{int(at[0]) + 1}{arrow}")
    return " · ".join(words) or "in no other list"
