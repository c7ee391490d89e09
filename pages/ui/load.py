"""The process cache: what pages read, opened once and shared, never changed."""

from __future__ import annotations

import base64
import contextlib
import functools
import gc
import io
import os
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st
from PIL import Image

from kernel_core.errors import KernelExplorerError, NotBuilt
from kernel_core.explain import image_alignment, on_demand
from kernel_core.explain.image_alignment import Alignment
from kernel_core.explain.on_demand import Vectors, vectors_of
from kernel_core.findings import disagreement
from kernel_core.findings.map_layout import Map
from kernel_core.findings.pairs import confusion, label_mismatches, nearest_pairs, rank_window
from kernel_core.report import pair_quality
from kernel_core.results.results import Results, open_kernel_neighbors, open_map, open_results, read_vectors
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import NEIGHBORS_KEPT, Split
from pages.ui import charts, jobs


def request() -> SourceRequest:
    """The source that this server serves, from its environment; `kernel-explorer serve` sets it."""
    precision = os.environ.get("KERNEL_EXPLORER_PRECISION", "auto")
    name = os.environ.get("KERNEL_EXPLORER_SOURCE", "digits")
    run_count, files = (os.environ.get(f"KERNEL_EXPLORER_{what}") for what in ("RUNS", "FILES"))
    return SourceRequest(
        name, int(run_count) if run_count else None, int(files) if files else None, precision=precision
    )


@st.cache_resource(max_entries=2, show_spinner="Opening the results")
def _open(name: str, runs: int | None, files: int | None, precision: str) -> Results:
    results = open_results(SourceRequest(name, runs, files, precision=precision))
    gc.collect()
    gc.freeze()  # Streamlit collects garbage after every rerun; frozen objects cost it nothing (40 → 10 ms)
    return results


by_id: dict[str, Results] = {}  # what `tile` may name by its id
_opened_by: dict[str, tuple[SourceRequest, Store]] = {}


def results() -> Results:
    """What this server shows. Where it is not built yet, or cannot be, the page says so and stops here."""
    try:
        wanted = request()
        found = _open(wanted.name, wanted.run_count, wanted.files, wanted.precision)
    except NotBuilt as missing:
        jobs.offer_build(request(), str(missing))
        st.stop()
    except (KernelExplorerError, ValueError) as error:
        st.error(str(error), icon=":material/error:")
        st.stop()
    by_id[found.id], _opened_by[found.id] = found, (wanted, Store())
    _prepare_soon(found.id)
    return found


@st.cache_resource(max_entries=2, show_spinner=False)
def _prepare_soon(results_id: str) -> threading.Timer:
    """Prepare what neighbors on demand are computed from once the first page is drawn, not at the first click: 0.4 s."""
    names = list(by_id[results_id].neighbors)

    def prepare() -> None:
        for name in names:
            with contextlib.suppress(KernelExplorerError):  # the page that needs it says why it cannot be had
                vectors(results_id, name)

    timer = threading.Timer(1, prepare)
    timer.daemon = True
    timer.start()
    return timer


def offer_rows(place: str) -> None:
    """Say that what explains a value was not kept with these results, and offer to; then they are opened again.

    place: tells this offer from others of the page.
    """
    why = (
        "This needs what every run says of every example, which these results do not hold: they are of an older "
        "version, or the disk was full. Preparing it reads the logits once; nothing else is computed again."
    )
    if jobs.offer_part(request(), why, f"prepare_for_{place}"):
        _open.clear()
        st.rerun()


@st.cache_resource(max_entries=8)
def ranking(results_id: str, similarity: str) -> pd.DataFrame:
    """The near-duplicate ranking by one similarity, shared: do not change it."""
    found = by_id[results_id]
    return nearest_pairs(found.neighbors_by(similarity), *found.labels)


def of_runs(runs: int) -> SourceRequest:
    """What this server serves, by the kernel of its first so many runs alone."""
    return replace(request(), run_count=runs, similarities=("kernel",))


@st.cache_resource(max_entries=8)
def ranking_by_runs(results_id: str, runs: int) -> pd.DataFrame:
    """The near-duplicate ranking by the kernel of the first so many runs; raises `NotBuilt`. Do not change it."""
    return nearest_pairs(open_kernel_neighbors(of_runs(runs)), *by_id[results_id].labels)


@st.cache_resource(max_entries=16)
def votes(results_id: str, first: str, second: str, rule: str, k: int) -> pd.DataFrame:
    """What two similarities' neighbors vote for, as `disagreement.compare_votes` says; shared: do not change it."""
    found = by_id[results_id]
    neighbors = found.neighbors_by(first), found.neighbors_by(second)
    return disagreement.compare_votes(*neighbors, found.labels, rule=disagreement.RULES[rule], k=k)


@st.cache_resource(max_entries=2, show_spinner="Counting right votes")
def scoreboard(results_id: str) -> pd.DataFrame:
    """Accuracies by number of neighbors, as `disagreement.scoreboard` says; shared: do not change it."""
    found = by_id[results_id]
    return disagreement.scoreboard(found.neighbors, found.predictions, found.labels)


@st.cache_resource(max_entries=8)
def mismatches(results_id: str, similarity: str) -> pd.DataFrame:
    """The label mismatches by one similarity, shared: do not change them."""
    found = by_id[results_id]
    return label_mismatches(found.neighbors_by(similarity), *found.labels)


@st.cache_data(max_entries=50)
def confusion_chart(
    results_id: str, similarity: str, start: charts.Labels | None, dark: bool
) -> dict[str, Any]:
    """The matrix of these mismatches as a specification."""
    counts = confusion(mismatches(results_id, similarity))
    return charts.confusion(counts, by_id[results_id].class_names, start, dark=dark).to_dict()


@st.cache_data(max_entries=20)
def accuracy_chart(results_id: str, first: str, second: str) -> dict[str, Any]:
    """The chart of two measures' accuracies as a specification: Altair takes 0.1 s to make one."""
    return charts.accuracy_by_k(scoreboard(results_id), [first, second]).to_dict()


@st.cache_data(max_entries=2)
def accuracy_table(results_id: str) -> pd.DataFrame:
    """The scoreboard as `charts.accuracy_table` shows it."""
    return charts.accuracy_table(scoreboard(results_id))


@st.cache_data(max_entries=200)
def pair_numbers(
    results_id: str, similarity: str, runs: int, first: int, last: int
) -> dict[str, float | int]:
    """What `likeness.numbers_of` says of a window of ranks; runs: the kernel's, all of them for other similarities."""
    found = by_id[results_id]
    is_whole = runs == len(found.predictions.single)
    pairs = ranking(results_id, similarity) if is_whole else ranking_by_runs(results_id, runs)
    return pair_quality.numbers_of(found, rank_window(pairs, first, last))


@st.cache_data(max_entries=20)
def random_numbers(results_id: str, count: int) -> dict[str, float | int]:
    """The same of random confident pairs."""
    found = by_id[results_id]
    return pair_quality.numbers_of(found, pair_quality.random_confident_pairs(found, count))


@st.cache_resource(max_entries=2, show_spinner=False)
def map_of(results_id: str) -> Map:
    """The map of what this server shows, whose id is given to tell one source from another; raises `NotBuilt`."""
    return open_map(request())


@functools.lru_cache(maxsize=20_000)  # 2 to 3 kB each
def tile(results_id: str, split: Split, index: int) -> str:
    """One image as a PNG data URI at its own size; the browser magnifies it."""
    buffer = io.BytesIO()
    Image.fromarray(by_id[results_id].examples[split].images[index]).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@st.cache_resource(max_entries=8, show_spinner=False)
def vectors(results_id: str, similarity: str) -> dict[Split, Vectors]:
    """What a similarity compares, of every split, for neighbors on demand. Raises `NotBuilt` where the cache lacks it."""
    # From the cache that the results came from: the thread of `_prepare_soon` asks a second later, when the
    # environment may name another one.
    opened_by, store = _opened_by[results_id]
    found = read_vectors(opened_by, by_id[results_id], similarity, store)
    return {split: vectors_of(similarity, of_split) for split, of_split in found.items()}


@st.cache_data(max_entries=5_000, show_spinner=False)
def nearest(
    results_id: str, split: Split, index: int, similarity: str, among: Split
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The nearest `NEIGHBORS_KEPT` examples of one split to any example: from the build's neighbors, or computed on demand.

    Raises `NotBuilt` where the cache lacks what they are computed from.
    """
    found = by_id[results_id]
    if (split, among) == (found.query, found.database):
        kept = found.neighbors_by(similarity)
        return kept.indices[index], kept.values[index]
    of = vectors(results_id, similarity)
    return on_demand.nearest(of[split], index, of[among], NEIGHBORS_KEPT, excludes_self=split == among)


@st.cache_data(max_entries=5_000, show_spinner=False)
def rank(
    results_id: str, split: Split, index: int, similarity: str, other: tuple[Split, int]
) -> tuple[int, float]:
    """The rank of another example among all of its split by the similarity to this one, and that similarity."""
    found = by_id[results_id]
    if (split, other[0]) == (found.query, found.database):
        kept = found.neighbors_by(similarity)
        at = np.flatnonzero(kept.indices[index] == other[1])
        if at.size:  # as the lists say
            return int(at[0]) + 1, float(kept.values[index, at[0]])
    of = vectors(results_id, similarity)
    return on_demand.rank_of(of[split], index, of[other[0]], other[1], excludes_self=split == other[0])


@st.cache_data(max_entries=1_000, show_spinner=False)
def alignments(
    results_id: str, a: tuple[Split, int], b: tuple[Split, int], reach: int
) -> tuple[Alignment, Alignment]:
    """How alike two images are as they are, and with the second laid over the first at its best."""
    first, second = (by_id[results_id].examples[split].images[index] for split, index in (a, b))
    return image_alignment.as_they_are(first, second), image_alignment.align(first, second, reach)
