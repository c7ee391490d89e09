"""Where does the nearest training example have a different label?"""

import pandas as pd
import streamlit as st

from kernel_core.findings.pairs import count_label_pairs, with_label_pair
from pages.ui import lists, load, shell
from pages.ui.charts import Labels
from pages.ui.components.gallery import Cell, gallery, nearest_tiles, tile
from pages.ui.controls import choose_similarity, stop_unless_built
from pages.ui.panels.confusion import confusion_matrix, pair_names
from pages.ui.wording import DIFFERENT_LABEL, escape

shell.guard()
results = load.results()

ROWS, NEAREST = 8, 9
EVERY_PAIR = "every pair of labels"

neighbor = results.spec.database_example
shell.heading(results, "Label conflicts", f"The nearest {neighbor} has a different label.")
by = choose_similarity(results, "Similarity", "by")
stop_unless_built(results, by)
neighbors = results.neighbors_by(by)
all_conflicts = load.mismatches(results.id, by)
if not len(all_conflicts):
    st.success(
        f"By {escape(results.title_of(by))}, every test example has the same label as its nearest {neighbor}."
    )
    st.stop()

pair_of: dict[str, Labels | None] = {EVERY_PAIR: None}
pair_of |= pair_names(count_label_pairs(all_conflicts), results.class_names)
name_of = {pair: name for name, pair in pair_of.items()}


def conflicts_of(name: str) -> pd.DataFrame:
    """Return the conflicts of a pair of labels, by its name in the control."""
    pair = pair_of[name]
    return with_label_pair(all_conflicts, *pair) if pair else all_conflicts


def choose(pair: Labels | None) -> None:
    """Choose a pair of labels; None, or one without conflicts, shows every pair."""
    st.session_state["labels_differ"] = name_of.get(pair, EVERY_PAIR)
    start_over()


def start_over() -> None:
    """Show as many rows as at first, of the conflicts chosen now."""
    st.session_state["rows"] = min(ROWS, len(conflicts_of(st.session_state["labels_differ"])))


def show_more() -> None:
    st.session_state["rows"] = min(len(conflicts), row_count + ROWS)


with st.container(horizontal=True, gap="large"):
    matrix = st.container(width="content")
    beside = st.container(width=420, vertical_alignment="bottom")
chosen = beside.selectbox(
    "Label pair (test ≠ nearest)",
    list(pair_of),
    key="labels_differ",
    bind="query-params",
    on_change=start_over,
    help="Most frequent first. A click on the matrix chooses a pair; a double click shows every pair again.",
)
with matrix:
    confusion_matrix(results, by, pair_of[chosen], choose)
conflicts = conflicts_of(chosen)
start = min(ROWS, len(conflicts))
if st.session_state.get("rows", start) > len(conflicts):
    st.session_state["rows"] = len(conflicts)
controls = beside.container(horizontal=True, vertical_alignment="bottom", gap="small")
row_count = controls.number_input(
    "Rows", 1, len(conflicts), start, key="rows", bind="query-params", width=130
)
all_shown = row_count >= len(conflicts)
controls.button(f"{ROWS} more", on_click=show_more, disabled=all_shown, key="more", icon=":material/add:")

pair = pair_of[chosen]
if pair:
    test_label, nearest_label = (escape(results.class_names[label]) for label in pair)
    count = (
        f"**{len(conflicts):,}** test examples labeled {test_label}, whose nearest {neighbor} is labeled "
        f"{nearest_label}"
    )
elif results.spec.excludes_self:
    count = f"**{len(conflicts):,} pairs** of a test example and its nearest have different labels"
else:
    count = (
        f"**{len(conflicts):,} of {len(results.labels[0]):,} test examples** have a nearest {neighbor} with "
        "a different label"
    )
shown = "All are shown" if all_shown else f"The nearest {row_count:,} are shown"
beside.markdown(f"{count}. {shown}, most similar first.")

cells: list[Cell] = []
for conflict in conflicts.head(row_count).itertuples():
    query = int(conflict.query_index)
    predicted = results.predictions.predicted[query]
    head = (
        f"#{conflict.rank}  ·  the ensemble predicts {results.class_names[predicted]} with probability "
        f"{results.predictions.confidence[query]:.0%}"
    )
    if predicted != conflict.query_label:
        head += ", against the label"
    own = tile(results, results.query, query, note=f"{results.query} {query}")
    nearest = nearest_tiles(results, neighbors, query, NEAREST)
    cells.append(
        {
            "id": query,
            "head": head,
            "groups": [
                {"title": results.query, "tiles": [own]},
                {"title": f"nearest {neighbor}s, in order", "tiles": nearest},
            ],
        }
    )
gallery(
    results,
    cells,
    layout="rows",
    key="failures",
    label="label conflicts",
    carried=lists.carried(results, "failure_modes", by, "" if chosen == EVERY_PAIR else chosen),
)
st.caption(
    f"#: the rank among all test examples, by the similarity to the nearest {neighbor}. Prediction: the "
    "class of the ensemble's largest averaged logit; its probability is averaged over the runs. "
    f"{DIFFERENT_LABEL}"
)
