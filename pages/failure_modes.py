"""Where does the nearest training example have another label?"""

import streamlit as st

from kernel_core.failures import label_mismatches
from kernel_core.records import SIMILARITIES
from pages.ui import links, load, shell
from pages.ui.gallery import Cell, gallery, nearest_tiles, tile
from pages.ui.state import choose_similarity

shell.guard()
results = load.results()

ROWS, NEAREST = 8, 9

st.header("Failure modes: the nearest training example has another label")
test_labels, train_labels = results.labels
by = choose_similarity(results, "Similar by", "by")
neighbors = results.neighbors_by(by)
mismatches = label_mismatches(neighbors, test_labels, train_labels)
counts = (
    mismatches.groupby(["query_label", "database_label"]).size().sort_values(ascending=False, kind="stable")
)
pair_of = {f"{results.class_names[q]} ≠ {results.class_names[d]}": (q, d) for q, d in counts.index}
every = "every pair of labels"
controls = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
chosen = controls.selectbox(
    "Test label ≠ neighbor's label", [every, *pair_of], key="labels_differ", bind="query-params", width=300,
    help="The most frequent first.",
)  # fmt: skip
if chosen != every:
    query_label, database_label = pair_of[chosen]
    of_pair = (mismatches["query_label"] == query_label) & (mismatches["database_label"] == database_label)
    mismatches = mismatches[of_pair]

if not len(mismatches):
    st.success(f"By {SIMILARITIES[by]}, every test example's nearest training example has its label.")
    st.stop()


def more() -> None:
    st.session_state["rows"] = min(len(mismatches), rows + ROWS)


start = min(ROWS, len(mismatches))
if st.session_state.get("rows", start) > len(mismatches):
    st.session_state["rows"] = len(mismatches)
rows = controls.number_input("Rows", 1, len(mismatches), start, key="rows", bind="query-params", width=130)
controls.button(
    f"{ROWS} more", on_click=more, disabled=rows >= len(mismatches), key="more", icon=":material/add:"
)
st.markdown(
    f"**{len(mismatches):,} of {len(test_labels):,} test examples** have a nearest training example of another label; "
    f"{'all are shown' if rows >= len(mismatches) else f'the nearest {rows:,} are shown'}, the most similar first."
)


def row(pair: object) -> Cell:
    """The test example, what the ensemble says of it, and its nearest training examples."""
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
            {"title": "test", "tiles": [tile(results, "test", query, note=f"test {query}")]},
            {"title": "nearest training examples, in order", "tiles": found},
        ],
    }


cells = [row(pair) for pair in mismatches.head(rows).itertuples()]
gallery(
    results,
    cells,
    layout="rows",
    key="failures",
    label="label mismatches",
    carried=links.query(list=f"failure_modes:{by}"),
)
st.caption(
    f"The number after # is the rank among all test examples by the similarity to the nearest training example ({SIMILARITIES[by]}). "
    "The ensemble's prediction is the largest of its averaged logits; the percentage is that class's probability "
    "averaged over the runs. ≠ and a dashed frame mark a label that differs from the test example's."
)
