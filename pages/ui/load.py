"""The process cache: what pages read, opened once and shared, never changed."""

from __future__ import annotations

import base64
import functools
import gc
import io
import os

import pandas as pd
import streamlit as st
from PIL import Image

from kernel_core import duplicates
from kernel_core.errors import KernelExplorerError, NotBuilt
from kernel_core.projection import Map
from kernel_core.records import Split
from kernel_core.results import Results, open_map, open_results
from kernel_core.sources import SourceRequest
from pages.ui import jobs


def request() -> SourceRequest:
    """The source that this server serves, from its environment; `kernel-explorer serve` sets it."""
    precision = os.environ.get("KERNEL_EXPLORER_PRECISION", "auto")
    numbers = {key: os.environ.get(f"KERNEL_EXPLORER_{key.upper()}") for key in ("runs", "files")}
    name = os.environ.get("KERNEL_EXPLORER_SOURCE", "digits")
    given = {key: int(number) for key, number in numbers.items() if number}
    return SourceRequest(name, **given, precision=precision)


@st.cache_resource(max_entries=2, show_spinner="Opening the results")
def _open(name: str, runs: int | None, files: int | None, precision: str) -> Results:
    results = open_results(SourceRequest(name, runs, files, precision=precision))
    gc.collect()
    gc.freeze()  # Streamlit collects garbage after every rerun; frozen objects cost it nothing (40 → 10 ms)
    return results


by_id: dict[str, Results] = {}  # what `tile` may name by its id


def results() -> Results:
    """What this server shows. Where it is not built yet, or cannot be, the page says so and stops here."""
    try:
        wanted = request()
        found = _open(wanted.name, wanted.runs, wanted.files, wanted.precision)
    except NotBuilt as missing:
        jobs.offer_build(request(), str(missing))
        st.stop()
    except (KernelExplorerError, ValueError) as error:
        st.error(str(error), icon=":material/error:")
        st.stop()
    by_id[found.id] = found
    return found


@st.cache_resource(max_entries=8)
def ranking(results_id: str, similarity: str) -> pd.DataFrame:
    """The near-duplicate ranking by one similarity, shared: do not change it."""
    found = by_id[results_id]
    return duplicates.nearest_pairs(found.neighbors_by(similarity), *found.labels)


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
