"""The examples nearest to one example: a list per similarity, side by side and linked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st

from kernel_core.errors import DataError, NotBuilt
from kernel_core.printable import printable
from kernel_core.results.results import Results
from kernel_core.spec import Split, example_name
from pages.ui import links, load, paired
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, Tile, gallery, tile
from pages.ui.links import Example
from pages.ui.panels import missing_outputs
from pages.ui.panels.why import runs_in_words
from pages.ui.wording import escape, value_words

THUMB = 64  # pixels a thumbnail aims at

Lists = dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]
"""Similarity → indices and similarities of the nearest, the nearest first."""
Missing = dict[str, str]
"""Similarity → why there is no list by it."""


def nearest_lists(
    results: Results, query: Example, names: list[str], among: Split, missing: Missing
) -> Lists:
    """Return the nearest examples of a split by each named similarity; `missing` gets what fails, and why."""
    lists: Lists = {}
    for name in names:
        try:
            lists[name] = load.nearest(results.id, *query, name, among)
        except (NotBuilt, DataError) as error:
            missing[name] = printable(error)
    return lists


def offer(results: Results, missing: Missing, direction: tuple[Split, Split]) -> None:
    """Say what is missing, and offer to build it where a build would help.

    direction: from the split of the query to that of the neighbors.
    """
    too_large = "kernel" in missing and not results.traces and bool(results.why_no_traces)
    for name, reason in missing.items():
        if name != "kernel" or not too_large:
            st.info(f"{escape(results.title_of(name))} is missing. {escape(reason)}", icon=":material/info:")
    if too_large and load.nearby(results.id).kept_nearest((direction[0], 0), "kernel", direction[1]) is None:
        missing_outputs.offer_direction(*direction, "neighbors")
    elif "kernel" in missing:
        missing_outputs.offer(results, "neighbors", missing["kernel"])


def say_if_no_features(results: Results) -> None:
    """Say so if the source has no features to hold the kernel against, and how to add some."""
    if any(similarity.kind == "features" for similarity in results.offered.values()):
        return
    command = f"kernel-explorer features {printable(load.request().name)}"
    ways = [f"`{command} --model MODULE:FUNCTION --weights FILE` computes them with a network of yours"]
    if len(results.examples) > 1:
        ways.append(f"`{command} --train RECIPE` trains one now")
    computed = f"{'; '.join(ways)}. Or name" if results.has_images else "Name"
    st.info(
        "This source has no penultimate features, so another similarity stands beside the kernel. "
        f"{computed} a file of your own under `[features]` in source.toml. Then open the source again.",
        icon=":material/info:",
    )


def fewer_runs_note(results: Results) -> str:
    """Return a sentence if the kernel on demand is from fewer runs than the build's, else an empty string."""
    kept = results.traces.get(results.database)
    if kept is None or kept.run_count == results.run_count:
        return ""
    runs = runs_in_words(kept.run_count, results.run_count)
    return f" Where no build keeps the kernel, it is computed on demand from {runs}."


def show_lists(results: Results, query: Example, among: Split, k: int, lists: Lists, carried: str) -> None:
    """Show a column per similarity: k neighbors with their similarity, and their ranks in the other lists.

    among: the split that the neighbors are from. carried: parameters that a step to a neighbor takes along.
    """
    split, index = query
    label = int(results.examples[split].labels[index])
    cells: list[Cell] = []
    badges = Badges(results)
    for name, (indices, values) in lists.items():
        tiles: list[Tile] = []
        pixels = paired.pixels_of(results, query, name, among)
        for position, (i, value) in enumerate(zip(indices[:k].tolist(), values[:k].tolist(), strict=True), 1):
            elsewhere = _elsewhere(results, lists, name, i, position)
            note = f"{value_words(value)} · {example_name(among, i)}\n{elsewhere}"
            neighbor = tile(results, among, i, beside=label, note=note)
            neighbor["tip"] = f"pixels aligned {pixels[i]:.2f}" if i in pixels else ""
            neighbor["rank"] = position
            neighbor["pair"] = links.pair_href(example_name(*query), neighbor["example"])
            tiles.append(neighbor)
        badges.on_neighbors(tiles, query)
        same_label = int((results.examples[among].labels[indices[:k]] == label).sum())
        head = _head(results, lists, name, k, same_label)
        cells.append({"id": len(cells), "head": head, "groups": [{"title": "", "tiles": tiles}]})
    gallery(
        results,
        cells,
        layout="lists",
        key="lists",
        label="nearest examples by each similarity",
        px=THUMB,
        carried=carried,
    )


def _head(results: Results, lists: Lists, name: str, k: int, same_label: int) -> str:
    """Return a list's head: its similarity, and how many neighbors share the label or are the kernel's."""
    shown = lists[name][0][:k]
    head = f"{results.title_of(name)}\n{same_label} of {len(shown)} have its label"
    if name != "kernel" and "kernel" in lists:
        common = len(np.intersect1d(shown, lists["kernel"][0][:k]))
        head += f" · {common} of {len(shown)} also the kernel's"
    return head


def _elsewhere(results: Results, lists: Lists, name: str, index: int, position: int) -> str:
    """Return the ranks of one neighbor in the other lists, and how many places nearer or farther that is."""
    words = []
    for other, (indices, _) in lists.items():
        places = np.flatnonzero(indices == index)
        if other != name and places.size:
            moved = int(places[0]) + 1 - position
            arrow = "" if not moved else f" {'▲' if moved < 0 else '▼'}{abs(moved)}"
            words.append(f"{results.title_of(other)} #{int(places[0]) + 1}{arrow}")
    return " · ".join(words) or "in no other list"
