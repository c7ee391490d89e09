"""The process cache: what pages read, opened once and shared. Nobody changes what these functions return."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from kernel_core.block_array import LARGE
from kernel_core.errors import KernelExplorerError, NotBuilt
from kernel_core.explain import image_alignment
from kernel_core.explain.image_alignment import Alignment
from kernel_core.findings import disagreement, label_orders
from kernel_core.findings.exact_copies import exact_copies
from kernel_core.findings.map_layout import Map
from kernel_core.findings.pairs import nearest_pairs, rank_window
from kernel_core.printable import printable
from kernel_core.report import pair_quality
from kernel_core.results import directions
from kernel_core.results.changes import States, changed_files, file_states
from kernel_core.results.nearby import Nearby
from kernel_core.results.opening import open_map, open_results
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.results.variants import with_variants
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import NEIGHBORS_KEPT, Split
from pages.ui import jobs, shell, small_map
from pages.ui.wording import escape


def request() -> SourceRequest:
    """Return the source that this server shows, from its environment, which `kernel-explorer serve` sets."""
    name = os.environ.get("KERNEL_EXPLORER_SOURCE", "digits")
    precision = os.environ.get("KERNEL_EXPLORER_PRECISION", "auto")
    run_count, files = _environment_number("RUNS"), _environment_number("FILES")
    return SourceRequest(name, run_count, files, precision=precision)


def _environment_number(name: str) -> int | None:
    text = os.environ.get(f"KERNEL_EXPLORER_{name}")
    return int(text) if text else None


def request_of(similarity: str, within: str = "") -> SourceRequest:
    """Return the request for one similarity, or variant of the kernel, of this server's source.

    within: the split that is searched for the neighbors of its own examples; empty for test→train, or what
    the source has.
    """
    asked = replace(request(), similarities=(similarity,))
    return replace(asked, query=cast(Split, within), database=cast(Split, within)) if within else asked


def base(results: Results) -> Results:
    """Return what this server opened, of which these results are one direction."""
    return _opened_by[results.id].results


def in_direction(results: Results, within: str) -> Results:
    """Return what this server shows in another direction. within: as in `request_of`.

    What is not built there is not in `names`. Raises `RequestError` if the source lacks the split.
    """
    return _within(results.id, within) if within else results


@st.cache_resource(max_entries=8, show_spinner=False)
def _within(results_id: str, split: str) -> Results:
    opened = _opened_by[results_id]
    asked, store, own = opened.request, opened.store, cast(Split, split)
    shown = directions.in_direction(opened.results, asked, store, own, own)
    by_id[shown.id], _opened_by[shown.id] = shown, opened
    return shown


@dataclass(frozen=True)
class _Opened:
    """Results, what opened them, and the states of the source's files just before."""

    results: Results
    request: SourceRequest
    store: Store
    files: States


@st.cache_resource(max_entries=2, show_spinner="Opening the results")
def _open(name: bytes, run_count: int | None, files: int | None, precision: str) -> _Opened:
    wanted, store = SourceRequest(os.fsdecode(name), run_count, files, precision=precision), Store()
    states = file_states(wanted)
    opened = _Opened(with_variants(open_results(wanted, store), wanted, store), wanted, store, states)
    gc.collect()
    gc.freeze()  # results stay; a collection of garbage need not look at them (40 → 10 ms)
    return opened


by_id: dict[str, Results] = {}
"""The id of results → the results, so that cached functions can take the id, which is quick to hash."""
_opened_by: dict[str, _Opened] = {}


def results() -> Results:
    """Return what this server shows. Where it is not built yet, or cannot be, say so and end the page."""
    try:
        wanted = request()
        opened = _open(os.fsencode(wanted.name), wanted.run_count, wanted.files, wanted.precision)
    except NotBuilt as missing:
        shell.default_heading()
        jobs.offer_build(request(), printable(missing))
        st.stop()
    except (KernelExplorerError, ValueError) as error:
        shell.default_heading()
        st.error(printable(error), icon=":material/error:")
        st.stop()
    shown = opened.results
    by_id[shown.id], _opened_by[shown.id] = shown, opened
    _prepare_soon(shown.id)
    _say_what_changed(shown.id)
    return shown


def _say_what_changed(results_id: str) -> None:
    """Say so if the source's files changed since these results were opened, and offer to build them again."""
    if not (changed := _changed(results_id)):
        return
    more = f" and {len(changed) - 3:,} more" if changed[3:] else ""
    why = f"Built from other files: {escape(', '.join(changed[:3]))}{more} changed since."
    if jobs.offer_part(request(), why, "build_again", label="Build again"):
        _changed.clear()
        open_anew()


@st.cache_data(ttl="5s", max_entries=2, show_spinner=False)
def _changed(results_id: str) -> list[str]:
    """Return the names of the source's files that changed; looked up every few seconds (1 ms)."""
    opened = _opened_by[results_id]
    return changed_files(opened.files, file_states(opened.request))


@st.cache_resource(max_entries=2, show_spinner=False)
def _prepare_soon(results_id: str) -> threading.Timer:
    """Read what neighbors on demand need a second after the first page, not at the first click: 0.4 s."""
    shown, found = by_id[results_id], nearby(results_id)
    left_out = {"given"}  # kinds; of pixels, gigabytes are read when somebody asks
    if sum(of_split.images.nbytes for of_split in shown.examples.values()) > LARGE:
        left_out.add("pixels")
    similarities = [name for name in shown.neighbors if shown.similarity(name).kind not in left_out]
    mapped, builds = request_of(next(iter(shown.neighbors))), jobs.jobs()

    def prepare() -> None:
        for similarity in similarities:
            with contextlib.suppress(KernelExplorerError):  # the page that needs it says what is missing
                found.vectors(similarity)
        small_map.build(shown, mapped, builds)

    timer = threading.Timer(1, prepare)
    timer.daemon = True
    timer.start()
    return timer


def open_anew() -> None:
    """Open the results once more, with what was built meanwhile, and start the page over."""
    _open.clear()
    nearby.clear()
    st.rerun()


@st.cache_resource(max_entries=8)
def ranking(results_id: str, similarity: str) -> pd.DataFrame:
    """Return the nearest pairs by a similarity, with the columns of `nearest_pairs`."""
    shown = by_id[results_id]
    return nearest_pairs(shown.neighbors_by(similarity), *shown.labels)


@st.cache_resource(max_entries=16)
def votes(results_id: str, first: str, second: str, rule: str, k: int) -> pd.DataFrame:
    """Return the votes of two similarities' neighbors, with the columns of `disagreement.compare_votes`.

    rule: its name in `disagreement.RULES`. k: neighbors per list that the overlap is of.
    """
    shown = by_id[results_id]
    neighbors = shown.neighbors_by(first), shown.neighbors_by(second)
    return disagreement.compare_votes(*neighbors, shown.labels, rule=disagreement.RULES[rule], k=k)


@st.cache_resource(max_entries=30, show_spinner="Counting right votes")
def scoreboard(results_id: str, names: tuple[str, ...], of_class: int | None) -> pd.DataFrame:
    """Return the accuracies by number of neighbors, with the columns of `disagreement.scoreboard`.

    names: of the similarities. of_class: of the examples that count; None for all.
    """
    shown = by_id[results_id]
    rights = {name: _right_votes(results_id, name) for name in names}
    return disagreement.scoreboard_of(rights, shown.predictions, shown.labels, of_class)


@st.cache_resource(max_entries=8, show_spinner=False)
def _right_votes(results_id: str, similarity: str) -> list[tuple[disagreement.Rule, npt.NDArray[np.bool_]]]:
    shown = by_id[results_id]
    return list(disagreement.right_votes(shown.neighbors_by(similarity), shown.labels))


@st.cache_resource(max_entries=8)
def in_doubt(results_id: str, similarity: str, order: str) -> pd.DataFrame:
    """Return the examples whose labels are in doubt, as `label_orders.labels_in_doubt` does.

    order: a key of `label_orders.ORDERS`.
    """
    shown = by_id[results_id]
    neighbors = shown.neighbors_by(similarity)
    return label_orders.labels_in_doubt(neighbors, shown.labels, shown.predictions, order)


@st.cache_resource(max_entries=2, show_spinner="Comparing all images byte by byte")
def copies(results_id: str) -> pd.DataFrame:
    """Return the images that are there more than once, with the columns of `exact_copies`."""
    return exact_copies(by_id[results_id].examples)


@st.cache_data(max_entries=200)
def pair_numbers(results_id: str, similarity: str, first: int, last: int) -> dict[str, float | int]:
    """Return the numbers of `pair_quality.describe_pairs` for a window of ranks."""
    return pair_quality.describe_pairs(
        by_id[results_id], rank_window(ranking(results_id, similarity), first, last)
    )


@st.cache_data(max_entries=20)
def random_numbers(results_id: str, count: int) -> dict[str, float | int]:
    """Return the numbers of `pair_quality.describe_pairs` for random confident pairs."""
    shown = by_id[results_id]
    return pair_quality.describe_pairs(shown, pair_quality.random_confident_pairs(shown, count))


@st.cache_resource(max_entries=2, show_spinner=False)
def map_of(results_id: str, similarity: str) -> Map:
    """Return the map of what this server shows, by a similarity. Raises `NotBuilt`, or `RequestError`.

    results_id: tells the map of one source from that of another.
    """
    return open_map(request_of(similarity))


@st.cache_resource(max_entries=2, show_spinner=False)
def nearby(results_id: str) -> Nearby:
    """Return what finds neighbors of single examples, from the cache that the results came from."""
    # Not from the environment: the thread of `_prepare_soon` asks a second later, when it may name another.
    opened = _opened_by[results_id]
    return Nearby(opened.request, by_id[results_id], opened.store)


@st.cache_data(max_entries=5_000, show_spinner=False)
def nearest(
    results_id: str, split: Split, index: int, similarity: str, among: Split
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the `NEIGHBORS_KEPT` examples of a split nearest to one example: indices and values.

    Raises `NotBuilt` or `DataError` as `Nearby` does.
    """
    return nearby(results_id).nearest((split, index), NEIGHBORS_KEPT, similarity, among)


@st.cache_data(max_entries=1_000, show_spinner=False)
def alignments(
    results_id: str, a: tuple[Split, int], b: tuple[Split, int], reach: int
) -> tuple[Alignment, Alignment]:
    """Return how alike two images are as they are, and with b aligned to a by up to `reach` pixels."""
    first, second = (by_id[results_id].examples[split].images[index] for split, index in (a, b))
    return image_alignment.compare_unaligned(first, second), image_alignment.align(first, second, reach)
