"""Which training examples change the probability of another example's label most?"""

from typing import Any

import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.influence import CANDIDATES, ORDERS
from kernel_core.findings.pairs import with_class_names
from kernel_core.spec import ADJECTIVES
from pages.ui import lists, load, shell, unseen
from pages.ui.badges import Badges
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.controls import (
    choose_direction,
    choose_labels,
    choose_similarity,
    control_row,
    stop_unless_built,
)
from pages.ui.panels import ranks
from pages.ui.panels.list_tools import Listed, command, list_tools, option, python
from pages.ui.wording import ANY_CLASS, DIFFERENT_LABEL, escape, minus_distance, plural

shell.guard()
opened = load.results()

SHOWN = 48  # pairs per page
ON = {"across": "test examples", "train": "training examples"}


def start_over() -> None:
    """Show the first page of the list, after a change of what it holds."""
    st.session_state["page"] = 1


shell.heading(
    opened,
    "Influence",
    "Training examples that change the probability of another example's label: runs that trained on them "
    "against runs that never saw them.",
)
unseen.stop_without_masks(opened, "what an example in training changes")
with control_row():
    results = choose_direction(opened, "Influence on", ON, "Whose label's probability is changed.")
    by = choose_similarity(results, "Candidates by", "by")
    order = st.segmented_control(
        "Order", list(ORDERS), default=ORDERS[0], required=True, key="order", bind="query-params",
        on_change=start_over,
        help="  \n".join(f"**{name}**: the training example {word}, first." for name, word in
                         unseen.ORDER_WORDS.items()),
    )  # fmt: skip
    kind = choose_labels(start_over)
    class_name = st.selectbox(
        "Class of either example", [ANY_CLASS, *results.class_names], key="class", bind="query-params",
        on_change=start_over, width=180,
    )  # fmt: skip
stop_unless_built(results, by)
labels, of_class = "" if kind == "all" else kind, "" if class_name == ANY_CLASS else class_name
try:
    passing = unseen.influential(results, by, order, labels, of_class)
except RequestError as error:
    unseen.say_why_not(error)
own, table = results.spec.query_example, passing.head(unseen.LISTED)
if not len(table):
    shell.say("There are no such pairs.")
    st.stop()
first = table.iloc[0]
shell.say(
    f"**{len(table):,} of {plural(len(passing), 'pair')}** are listed. The first: with train "
    f"{first['database_index']} in training, the label's probability on {own} {first['query_index']} is "
    f"{first['probability_with']:.2f}, without it {first['probability_without']:.2f}."
)
page = ranks.choose_page(len(table), SHOWN, has_steps=True)
place = (page - 1) * SHOWN, page * SHOWN

cells: list[Cell] = []
badges = Badges(results)
for pair in unseen.with_their_intervals(results.id, by, order, labels, of_class, *place).itertuples():
    query, database = int(pair.query_index), int(pair.database_index)
    note = f"{results.query} {query}\n{pair.probability_without:.0%} → {pair.probability_with:.0%}"
    about = f"train {database}\n{pair.low:.2f} to {pair.high:.2f}"
    trained = tile(results, "train", database, beside=pair.query_label, note=about)
    head = f"#{pair.rank}  ·  {pair.influence:+.2f}"
    tiles = [tile(results, results.query, query, note=note), trained]
    cells.append({"id": int(pair.rank), "head": head, "groups": [{"title": "", "tiles": tiles}]})
    badges.on_pair(cells[-1], (results.query, query), ("train", database))
gallery(
    results,
    cells,
    layout="pairs",
    key="influence",
    label="pairs by influence",
    carried=lists.carried(results, "influence", by, order, labels, of_class),
)
halves = " Of a training example, only runs that did not train on it count." if results.within else ""
st.caption(
    f"Left: a {own}, and the mean probability of its label over the runs, without → with the training "
    f"example on the right. #: the rank by influence, the difference; right: its 95% bootstrap interval over "
    f"the runs (Feldman and Zhang 2020).{halves} Candidates: the {CANDIDATES} nearest training examples of "
    f"each {ADJECTIVES[results.query]} example by {escape(results.title_of(by))}. "
    f"{minus_distance(results, by)} An interval is for one pair: of many thousands of pairs, some are large "
    f"by chance. {DIFFERENT_LABEL}"
)
filters = [*option("--order", "" if order == ORDERS[0] else order), *option("--labels", labels)]
filters += [*option("--class", of_class), "--top", len(table)]
call: dict[str, Any] = {"by": by, "order": "" if order == ORDERS[0] else order, "top": len(table)}
list_tools(
    results,
    "influence",
    Listed(
        len(table),
        "pair",
        lambda: with_class_names(
            unseen.with_their_intervals(results.id, by, order, labels, of_class, 0, len(table)),
            results.class_names,
        ),
        command(results, "influence", by, *filters),
        python(results, "influence", **call, labels=labels, of_class=of_class),
    ),
)
