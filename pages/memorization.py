"""Which training examples are memorized: right only by runs that trained on them?"""

import streamlit as st

from kernel_core.findings.memorization import LEAST_RUNS
from kernel_core.findings.pairs import with_class_names
from pages.ui import lists, load, shell, unseen
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.controls import control_row
from pages.ui.panels import ranks
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import ANY_CLASS, plural

shell.guard()
results = load.results()

SHOWN = 96  # examples per page
CLEAR = 0.25  # memorization that is worth counting, as Feldman and Zhang count it


def start_over() -> None:
    """Show the first page of the list, after a change of what it holds."""
    st.session_state["page"] = 1


shell.heading(
    results,
    "Memorized examples",
    "Training examples that runs are right on if they trained on them, and wrong if they never saw them.",
)
unseen.stop_without_masks(results, "what is memorized")
with control_row():
    class_name = st.selectbox(
        "Label", [ANY_CLASS, *results.class_names], key="label", bind="query-params",
        on_change=start_over, width=180,
    )  # fmt: skip
label = "" if class_name == ANY_CLASS else class_name
table = unseen.memorized(results.id, label)
clear = int((table["memorization"] >= CLEAR).sum())
shell.say(
    f"**{clear:,} of {plural(len(table), 'training example')}** {'is' if clear == 1 else 'are'} memorized by "
    f"{CLEAR} or more."
)
if not len(table):
    st.info(f"No example has {LEAST_RUNS} runs with it and {LEAST_RUNS} without.", icon=":material/info:")
    st.stop()
page = ranks.choose_page(len(table), SHOWN, has_steps=True)

cells: list[Cell] = []
badges = Badges(results)
for row in table.iloc[(page - 1) * SHOWN : page * SHOWN].itertuples():
    index, predicted = int(row.query_index), results.class_names[row.predicted]
    note = f"train {index}\n{row.right_without:.0%} → {row.right_with:.0%}"
    note += f"\n✗ {predicted}" if row.predicted != row.query_label else ""
    own = tile(results, "train", index, note=note)
    badges.on_label(own, ("train", index))
    head = f"#{row.rank}  ·  {row.memorization:.2f}"
    cells.append({"id": index, "head": head, "groups": [{"title": "", "tiles": [own]}]})
gallery(
    results,
    cells,
    layout="pairs",
    key="memorized",
    label="memorized examples",
    carried=lists.carried(results, "memorization", label),
)
st.caption(
    "#: the rank by memorization, the share of right runs among those that trained on the example minus the "
    "share among those that did not (Feldman and Zhang 2020). Below each: its label and index; both shares, "
    "without → with; ✗: what the runs without it predict instead, by averaged logits. Rare examples, hard "
    f"ones and wrong labels come first. Of {results.run_count:,} runs, about "
    f"{int(table['runs_without'].median()):,} did not train on an example. The CSV has 95% intervals."
)
list_tools(
    results,
    "memorization",
    Listed(
        len(table),
        "example",
        lambda: with_class_names(table, results.class_names),
        command(results, "memorization", "", *option("--class", label), "--top", len(table)),
        python(results, "memorization", of_class=label),
    ),
)
