"""How sure the neighbors of an example are: intervals over resampled runs, and lists from fewer runs."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from kernel_core.errors import NotBuilt
from kernel_core.explain import bootstrap
from kernel_core.explain.bootstrap import NeighborList, NeighborStability
from kernel_core.explain.traces import Traces
from kernel_core.results.results import Results
from kernel_core.spec import ADJECTIVES, Split
from pages.ui import load
from pages.ui.charts import GREY, ORANGE, TEXT
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.links import Example
from pages.ui.panels import missing_outputs
from pages.ui.panels.why import runs_in_words
from pages.ui.wording import plural

SMALL = 64  # pixels a tile of a list aims at
SURE = 0.95  # of the resamples
# Numbers kept of a database: to look at more takes half a core-second, and the nearest alone are looked at.
VAST = 500_000_000


@st.cache_resource(max_entries=256, show_spinner=False)
def _final(results_id: str, example: Example, database: Split, k: int) -> list[NeighborStability]:
    """Return a list that holds the final answer once `_answers` has found it."""
    return []


def _answers(results: Results, example: Example, database: Split, k: int) -> Iterator[NeighborStability]:
    """Yield a first answer and then the final one, or the final one alone if it was found before.

    Raises `NotBuilt` if there are no outputs to find it from.
    """
    final = _final(results.id, example, database, k)
    if final:
        yield final[0]
        return
    answer = None
    for answer in _found(results, example, database, k):
        yield answer
    final += [answer] if answer else []


def _found(results: Results, example: Example, database: Split, k: int) -> Iterator[NeighborStability]:
    split, index = example
    outputs = load.nearby(results.id).outputs
    kept = results.traces.get(database)
    looks_at_few = outputs.is_exact or (kept is not None and kept.values.size > VAST)
    nearest = load.nearby(results.id).kept_nearest(example, "kernel", database) if looks_at_few else None
    if nearest is not None:
        indices = nearest[0]
        traces = Traces(database, outputs.several(database, indices))
        yield bootstrap.stability_among(outputs.raw(example), traces, indices, min(k, most_shown(indices)))
        return
    if not results.traces:
        outputs.refuse_none()
        raise _NoDirection
    exclude = index if split == database else None
    others = len(results.traces[database]) - (0 if exclude is None else 1)
    yield from bootstrap.stabilities(
        results.traces[split].raw(index), results.traces[database], min(k, others), exclude=exclude
    )


class _NoDirection(Exception):
    """Neighbors of the example are neither built nor can be found on demand."""


def most_shown(nearest: npt.NDArray[np.integer]) -> int:
    """Return of how many of the nearest it is said how sure they are, where no others are looked at.

    Half: the others are those that could take their places.
    """
    return max(1, len(nearest) // 2)


@st.fragment
def show_how_sure(results: Results, example: Example, k: int, *, database: Split | None = None) -> None:
    """Show how sure each of the k nearest of an example is, and its list from 10, 20, 50, … runs.

    That is the interval of its kernel value, and how often it stays among the k nearest when the runs are
    resampled. database: the split of the neighbors, by default that of these results.
    """
    database = database or results.database
    place = st.empty()  # a first answer is drawn here, then the final one over it
    try:
        for stability in _answers(results, example, database, k):
            with place.container():
                _show_intervals(results, stability, database)
    except NotBuilt as reason:
        missing_outputs.offer(results, "how_sure", reason)
        return
    except _NoDirection:
        missing_outputs.offer_direction(example[0], database, "how_sure")
        return
    st.markdown("**The list from fewer runs**")
    cells = [_row(results, listed, stability, example, database) for listed in stability.lists]
    gallery(results, cells, layout="rows", key="lists_by_runs", label="nearest by number of runs", px=SMALL)
    among = ""
    if len(stability.nearest.indices) < k and stability.shortlisted:
        among = (
            f" Of the {k} nearest, half of those that are looked at are shown: the rest could replace them."
        )
    if stability.shortlisted:
        among += (
            f" Of {results.example_counts[database]:,} {ADJECTIVES[database]} examples, these lists and "
            f"resamples look at the {stability.shortlisted:,} nearest by all runs; an example that only the "
            "first runs find near can be missing from a list by fewer."
        )
    st.caption(
        "Each row: the nearest by the first runs alone. ✓ marks neighbors that also appear in the list from "
        "all runs; where a row is all ✓, that many runs were enough. The last row shows how often each "
        f"neighbor stays.{among}"
    )


def _show_intervals(results: Results, stability: NeighborStability, database: Split) -> None:
    """Show how many of the nearest stay, and the interval of each."""
    k = len(stability.nearest.indices)
    sure = int((stability.stay_shares >= SURE).sum())
    runs = runs_in_words(stability.nearest.run_count, results.run_count)
    st.markdown(
        f"By {runs}, **{sure} of the {k} nearest** stay among the {k} nearest in at least "
        f"{SURE:.0%} of the resamples; on average **{stability.stay_shares.mean() * k:.1f} of {k}** stay."
    )
    _intervals(results, stability, database)
    adjective, size = ADJECTIVES[database], stability.pool_size
    if stability.shortlisted == size:
        pool = f"its {size:,} nearest {adjective} examples by all runs"
        more = " Others are not looked at, so it may stay less often than is said."
    else:
        pool, more = f"{size:,} {adjective} examples", ""
    st.caption(
        f"Dot: the kernel value. Line: its {bootstrap.LEVEL}% bootstrap interval, from "
        f"{stability.resample_count} resamples of the runs with replacement. Beside it: how often the "
        f"example stays among the {k} nearest, and the {bootstrap.LEVEL}% interval of its rank among {pool}. "
        f"A resample lacks about a third of the runs, so it is less sure than all runs together.{more}"
    )


def _intervals(results: Results, stability: NeighborStability, database: Split) -> None:
    """Draw each neighbor's value with its interval; beside it, how often the neighbor stays and its ranks."""
    nearest = stability.nearest
    labels = results.examples[database].labels[nearest.indices]
    table = pd.DataFrame({"value": nearest.values, "low": stability.low, "high": stability.high})
    table["neighbor"] = [
        f"{rank} · {database} {i} · {results.class_names[label]}"
        for rank, (i, label) in enumerate(zip(nearest.indices, labels, strict=True), 1)
    ]
    table["stays"] = [f"{share:.0%}" for share in stability.stay_shares]
    ranks = zip(stability.rank_low, stability.rank_high, strict=True)
    table["ranks"] = [f"{low:,}–{high:,}" if high > low else f"{low:,}" for low, high in ranks]
    table["text"] = table["stays"] + " · rank " + table["ranks"]
    table["sure"] = stability.stay_shares >= SURE
    st.altair_chart(
        _interval_chart(table),
        alt="Interval of each neighbor's value, how often it stays among the nearest, and its rank",
    )


def _interval_chart(table: pd.DataFrame) -> alt.LayerChart:
    low, high = table["low"].min(), table["high"].max()
    domain = [low - 0.03 * (high - low), high + 0.45 * (high - low)]  # with room for the text on the right
    names = alt.Axis(labelLimit=200, labelBound=False, labelFlush=False, ticks=False, domain=False)
    base = alt.Chart(table, height=alt.Step(26)).encode(
        y=alt.Y("neighbor:N", sort=None, title=None, axis=names),
        color=alt.Color("sure:N", legend=None, scale=alt.Scale(domain=[True, False], range=[ORANGE, GREY])),
        tooltip=[
            alt.Tooltip("neighbor:N"),
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
            alt.Tooltip("stays:N"),
            alt.Tooltip("ranks:N", title="rank"),
        ],
    )
    x = alt.X(
        "low:Q",
        title="kernel value",
        axis=alt.Axis(tickCount=6),
        scale=alt.Scale(domain=domain, nice=False, zero=False),
    )
    lines = base.mark_rule(strokeWidth=3, opacity=0.75).encode(x=x, x2="high:Q")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x="value:Q")
    text = base.mark_text(align="left", dx=8).encode(x="high:Q", text="text:N", color=alt.value(TEXT))
    return alt.LayerChart(layer=[lines, dots, text])


def _row(
    results: Results, listed: NeighborList, stability: NeighborStability, example: Example, database: Split
) -> Cell:
    """Return the list from some of the runs as a row of tiles; ✓ marks what the list from all runs has."""
    split, index = example
    is_whole = listed is stability.nearest
    label = int(results.examples[split].labels[index])
    kept = set(stability.nearest.indices.tolist())
    tiles = []
    for j, (i, value) in enumerate(zip(listed.indices.tolist(), listed.values, strict=True)):
        if is_whole:
            note = f"{value:.2f} · {stability.stay_shares[j]:.0%}"
        else:
            note = f"✓ {value:.2f}" if i in kept else f"{value:.2f}"
        tiles.append(tile(results, database, i, beside=label, note=note))
    head = plural(listed.run_count, "run")
    if not is_whole:
        shared = listed.shared_count(stability.nearest)
        head += f": {shared} of {len(listed.indices)} as by all {stability.nearest.run_count:,}"
    return {"id": listed.run_count, "head": head, "groups": [{"title": "", "tiles": tiles}]}
