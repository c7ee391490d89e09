"""Where does the nearest training example have another label?"""

import pandas as pd
import streamlit as st

from kernel_core.findings.pairs import confusion, of_labels
from kernel_core.spec import SIMILARITIES
from pages.ui import lists, load, shell
from pages.ui.controls import choose_similarity
from pages.ui.gallery import Cell, gallery, nearest_tiles, tile
from pages.ui.panels.confusion import confusion_matrix, pair_names

shell.guard()
results = load.results()

ROWS, NEAREST = 8, 9

neighbor = results.spec.database_example
st.header(f"Failure modes: the nearest {neighbor} has another label")
by = choose_similarity(results, "Similar by", "by")
neighbors = results.neighbors_by(by)
everywhere = load.mismatches(results.id, by)
if not len(everywhere):
    st.success(f"By {SIMILARITIES[by]}, every test example's nearest {neighbor} has its label.")
    st.stop()

every = "every pair of labels"
pair_of = {every: None} | pair_names(confusion(everywhere), results.class_names)
name_of = {pair: name for name, pair in pair_of.items()}


def named(name: str) -> pd.DataFrame:
    """The mismatches of a pair of labels, called as in the control."""
    pair = pair_of[name]
    return of_labels(everywhere, *pair) if pair else everywhere


def choose(pair: tuple[int, int] | None) -> None:
    st.session_state["labels_differ"] = name_of.get(pair, every)  # a cell without failures shows all
    start_over()


def start_over() -> None:
    """As many rows as at first, of what is now chosen."""
    st.session_state["rows"] = min(ROWS, len(named(st.session_state["labels_differ"])))


def more() -> None:
    st.session_state["rows"] = min(len(mismatches), rows + ROWS)


with st.container(horizontal=True, gap="large"):
    matrix = st.container(width="content")
    beside = st.container(width=420, vertical_alignment="bottom")
chosen = beside.selectbox(
    "Test label ≠ neighbor's label", list(pair_of), key="labels_differ", bind="query-params", on_change=start_over,
    help="The most frequent first. A click on the matrix chooses here, a double click there shows all again.",
)  # fmt: skip
with matrix:
    confusion_matrix(results, by, pair_of[chosen], choose)
mismatches = named(chosen)
start = min(ROWS, len(mismatches))
if st.session_state.get("rows", start) > len(mismatches):
    st.session_state["rows"] = len(mismatches)
controls = beside.container(horizontal=True, vertical_alignment="bottom", gap="small")
rows = controls.number_input("Rows", 1, len(mismatches), start, key="rows", bind="query-params", width=130)
controls.button(
    f"{ROWS} more", on_click=more, disabled=rows >= len(mismatches), key="more", icon=":material/add:"
)
differ = (
    f"**{len(mismatches):,} pairs** of a test example and its nearest differ in label"
    if results.spec.excludes_self
    else f"**{len(mismatches):,} of {len(results.labels[0]):,} test examples** have a nearest {neighbor} of another label"
)
beside.markdown(
    f"{differ}; {'all are shown' if rows >= len(mismatches) else f'the nearest {rows:,} are shown'}, the most similar first."
)


def row(pair: object) -> Cell:
    """The test example, what the ensemble says of it, and its nearest."""
    query, label = pair.query_index, pair.query_label
    predicted, confidence = results.predictions.predicted[query], results.predictions.confidence[query]
    said = f"{results.class_names[predicted]} with probability {confidence:.0%}"
    if predicted != label:
        said += ", against the label"
    found = nearest_tiles(results, neighbors, query, NEAREST)
    return {
        "id": query,
        "head": f"#{pair.rank}  ·  the ensemble says {said}",
        "groups": [
            {
                "title": results.query,
                "tiles": [tile(results, results.query, query, note=f"{results.query} {query}")],
            },
            {"title": f"nearest {neighbor}s, in order", "tiles": found},
        ],
    }


cells = [row(pair) for pair in mismatches.head(rows).itertuples()]
gallery(
    results,
    cells,
    layout="rows",
    key="failures",
    label="label mismatches",
    carried=lists.carried("failure_modes", by, "" if chosen == every else chosen),
)
st.caption(
    f"The number after # is the rank among all test examples by the similarity to the nearest {neighbor} ({SIMILARITIES[by]}). "
    "The ensemble's prediction is the largest of its averaged logits; the percentage is that class's probability "
    "averaged over the runs. ≠ and a dashed frame mark a label that differs from the test example's."
)
