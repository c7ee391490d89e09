"""The controls of the page of all examples: filters and order, all of them in the address."""

from __future__ import annotations

from typing import Any

import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.all_examples import OUTCOMES
from kernel_core.results.results import Results
from kernel_core.spec import NEIGHBORS_KEPT
from pages.ui import names
from pages.ui.all_examples import BY_INDEX, SORTS, default_threshold
from pages.ui.controls import choose_similarity, stop_unless_built
from pages.ui.wording import ANY_CLASS, minus_distance

BOTH, EVERY = "both", "all"
AS_LISTED = "as listed"
EMPTY = {
    "split": BOTH, "label": ANY_CLASS, "predicted": ANY_CLASS, "outcome": EVERY, "confidence": (0, 100),
    "index": "", "nearest_from": None, "nearest_to": None, "near": 0, "near_at": None,
}  # fmt: skip
"""Key of a control → its value where it filters nothing."""
MORE = ("confidence", "index", "nearest_from", "nearest_to", "near")


def start_over() -> None:
    """Show the first part of the list, after a change of what it holds."""
    st.session_state["page"] = 1


def clear() -> None:
    """Have every filter let everything pass; the order stays."""
    for key, value in EMPTY.items():
        if key in st.session_state:
            st.session_state[key] = value
    st.query_params.pop("names", None)
    st.query_params.pop("lasso", None)
    start_over()


def choose_examples(results: Results) -> dict[str, str]:
    """Show the controls; return what is asked for, in the words of `all_examples`.

    A list of names and a lasso of the map have no control: they are in the address alone.
    """
    words = {each: st.query_params[each] for each in ("names", "lasso") if st.query_params.get(each)}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _choose_what(results, words)
        orders = [AS_LISTED if "names" in words else BY_INDEX, *list(SORTS)[1:]]
        sort = st.selectbox("Sort", orders, key="sort", bind="query-params", width=220, on_change=start_over)
    if sort != orders[0]:
        words["sort"] = sort
    was_open = st.session_state.get("_more_filters", False)
    is_open = st.session_state["_more_filters"] = was_open or any(key in st.query_params for key in MORE)
    with st.expander("More filters: confidence, index, nearest neighbors", expanded=is_open):
        _choose_confidence(words)
        _choose_neighbors(results, words)
    return words


def _choose_what(results: Results, words: dict[str, str]) -> None:
    """Show the filters by split, label and prediction, and put what they say into `words`."""
    shared: dict[str, Any] = {"bind": "query-params", "on_change": start_over}
    classes = [ANY_CLASS, *results.class_names]
    if len(results.examples) > 1:
        options = [BOTH, *sorted(results.examples)]
        split = st.segmented_control("Split", options, default=BOTH, required=True, key="split", **shared)
        words |= {"split": split} if split != BOTH else {}
    label = st.selectbox("Label", classes, key="label", width=160, **shared)
    predicted = st.selectbox("Prediction", classes, key="predicted", width=160, **shared)
    outcome = st.segmented_control(
        "Prediction is", [EVERY, *OUTCOMES], default=EVERY, required=True, key="outcome", **shared
    )
    words |= {"label": label} if label != ANY_CLASS else {}
    words |= {"predicted": predicted} if predicted != ANY_CLASS else {}
    words |= {"outcome": outcome} if outcome != EVERY else {}


def _choose_confidence(words: dict[str, str]) -> None:
    """Show the filters by confidence and index, and put what they say into `words`."""
    shared: dict[str, Any] = {"bind": "query-params", "on_change": start_over}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        least, largest = st.slider(
            "Confidence (%)", 0, 100, (0, 100), key="confidence", width=260, **shared,
            help="Mean probability of the predicted class.",
        )  # fmt: skip
        index = st.text_input("Index", key="index", placeholder="45 or 100-199", width=180, **shared)
    if (least, largest) != (0, 100):
        words["confidence"] = f"{least or ''}..{largest if largest < 100 else ''}"
    if index.strip():
        try:
            names.indices_of(index, 1)
        except RequestError as error:
            st.warning(str(error), icon=":material/warning:")
        else:
            words["index"] = index.strip()


def _choose_neighbors(results: Results, words: dict[str, str]) -> None:
    """Show the similarity and the filters by nearest neighbors, and put what they say into `words`."""
    shared: dict[str, Any] = {"bind": "query-params", "on_change": start_over, "format": "%.3f", "step": 0.01}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        by = choose_similarity(results, "Similarity", "by")
        stop_unless_built(results, by)
        default = default_threshold(results, by)
        least = st.number_input("Nearest at least", value=None, key="nearest_from", width=150, **shared)
        largest = st.number_input("Nearest at most", value=None, key="nearest_to", width=150, **shared)
        near = st.number_input(
            "Near neighbors, at least", 0, NEIGHBORS_KEPT, 0, key="near", width=180,
            bind="query-params", on_change=start_over,
            help=f"How many of the {NEIGHBORS_KEPT} nearest {results.spec.database_example}s are near: at or "
            "above the value beside it.",
        )  # fmt: skip
        at = st.number_input(
            "Near means at least", value=None, key="near_at", placeholder=f"{default:.3f}", width=170,
            **shared, help="Left empty: the value at which the near-duplicates page begins.",
        )  # fmt: skip
    if distances := minus_distance(results, by):
        st.caption(distances)
    words |= {"by": by} if by != next(iter(results.neighbors)) else {}
    if least is not None or largest is not None:
        words["nearest"] = "..".join("" if limit is None else f"{limit:g}" for limit in (least, largest))
    words |= {"near": str(near)} if near else {}
    words |= {"near_at": f"{at:g}"} if at is not None else {}
