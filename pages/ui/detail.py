"""One example in a dialog: its image large, what the ensemble says, its nearest examples by each similarity."""

from __future__ import annotations

import streamlit as st

from kernel_core.records import SIMILARITIES, Results
from pages.ui.gallery import Cell, gallery, tile

PARAMETER = "example"
NEAREST = 5


def open_on_pick(results: Results, picked: int | None) -> None:
    """Show the example just picked, or the one that the address names; closing takes it out of the address."""
    if picked is not None:
        st.query_params[PARAMETER] = f"test:{picked}"
    index = _index(st.query_params.get(PARAMETER), len(results.examples["test"]))
    if index is not None:
        _show(results, index)


def _index(text: str | None, count: int) -> int | None:
    if text is None:
        return None
    split, _, number = text.partition(":")
    if split == "test" and number.isdecimal() and int(number) < count:
        return int(number)
    st.warning(
        f"No test example is called {text!r}; expected test:0 … test:{count - 1}.", icon=":material/warning:"
    )
    return None


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
        nearest = zip(neighbors.indices[index, :NEAREST], neighbors.values[index, :NEAREST], strict=True)
        tiles = [tile(results, "train", int(i), beside=label, note=f"{v:.3f} · {i}") for i, v in nearest]
        rows.append(
            {
                "id": index,
                "head": "",
                "groups": [{"title": f"nearest by {SIMILARITIES[name]}", "tiles": tiles}],
            }
        )
    gallery(results, rows, layout="columns", key="detail_rows", label="nearest training examples")
    st.caption(
        "Below each neighbor: its similarity (Euclidean: minus the distance), and its index in the training set."
    )
