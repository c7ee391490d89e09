"""One example in a dialog: its image large, what the ensemble says, its nearest examples by each similarity."""

from __future__ import annotations

import streamlit as st

from kernel_core import comparison
from kernel_core.errors import RequestError
from kernel_core.records import SIMILARITIES
from kernel_core.results import Results
from pages.ui.gallery import Cell, gallery, nearest_tiles, tile

PARAMETER = "example"
NEAREST = 5


def open_on_pick(results: Results, picked: int | None) -> None:
    """Show the example just picked, or the one that the address names; closing takes it out of the address."""
    if picked is not None:
        st.query_params[PARAMETER] = f"test:{picked}"
    named = st.query_params.get(PARAMETER)
    if named is None:
        return
    try:
        index = comparison.query_index(named, results.neighbors_by("kernel"))
    except RequestError as error:
        st.warning(str(error), icon=":material/warning:")
    else:
        _show(results, index)


def _close() -> None:
    st.query_params.pop(PARAMETER, None)


@st.dialog("Test example", width="large", on_dismiss=_close)
def _show(results: Results, index: int) -> None:
    labels, predictions = results.labels[0], results.predictions
    label, predicted = int(labels[index]), int(predictions.predicted[index])
    left, right = st.columns([1, 2], vertical_alignment="center")
    with left:
        head: Cell = {
            "id": index,
            "head": "",
            "groups": [{"title": "", "tiles": [tile(results, "test", index)]}],
        }
        gallery(results, [head], layout="pairs", key="detail_head", label=f"test example {index}", px=192)
    with right:
        st.markdown(f"**test:{index}** · label **{results.class_names[label]}**")
        st.markdown(
            f"The ensemble of {len(predictions.single)} runs says **{results.class_names[predicted]}** with "
            f"probability {predictions.confidence[index]:.0%}{'' if predicted == label else ', against the label'}."
        )
    rows: list[Cell] = []
    for name, neighbors in results.neighbors.items():
        tiles = nearest_tiles(results, neighbors, index, NEAREST, note="{value:.3f} · {index}")
        title = f"nearest by {SIMILARITIES[name]}"
        rows.append({"id": index, "head": "", "groups": [{"title": title, "tiles": tiles}]})
    gallery(results, rows, layout="columns", key="detail_rows", label="nearest training examples")
    st.caption(
        "Below each neighbor: its similarity (Euclidean: minus the distance), and its index in the training set."
    )
