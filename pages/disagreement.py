"""Where do two similarities pick different neighbors, and which of them is right?"""

import pandas as pd
import streamlit as st

from kernel_core.findings import disagreement
from kernel_core.findings.disagreement import ORDERS, RULES
from kernel_core.spec import example_name
from pages.ui import drawn, lists, load, shell
from pages.ui.controls import choose_direction, choose_similarity, control_row, stop_unless_built
from pages.ui.panels.list_tools import Listed, list_tools, python
from pages.ui.panels.vote_rows import vote_rows
from pages.ui.wording import ANY_CLASS, DIFFERENT_LABEL, escape, minus_distance

shell.guard()
opened = load.results()

ROWS, MOST = 10, 20  # examples per page; neighbors per list, at most

results = choose_direction(opened)
own_noun, neighbor = results.spec.query_example, results.spec.database_example
shell.heading(results, "Disagreement", "Where two similarities pick different neighbors, and which is right.")
controls = control_row(horizontal=False)
first_column, second_column, vote_column, class_column = controls.columns([13, 11, 7, 4], gap="small")
with first_column:
    first = choose_similarity(results, "First similarity", "by")
with second_column:
    second = choose_similarity(results, "Second similarity", "other", without=first)
stop_unless_built(results, first, second)
both_lists = [results.neighbors_by(name) for name in (first, second)]
weighable = all(disagreement.allows_weighted_vote(neighbors) for neighbors in both_lists)
rule_names = [name for name, rule in RULES.items() if weighable or not rule.weighted]
rule_name = vote_column.segmented_control(
    f"Vote of the nearest {neighbor}s",
    rule_names,
    default=rule_names[0],
    required=True,
    key="vote",
    bind="query-params",
    wrap=True,
    help="**majority of 3**: the most frequent label of the 3 nearest; ties go to the smallest label.  \n"
    "**weighted 20**: the label with the largest sum of value⁴ among the 20 nearest; a negative value has no "
    "weight. Not offered with distances, whose values are negative.",
)
class_name = class_column.selectbox(
    "Label", [ANY_CLASS, *results.class_names], key="class", bind="query-params"
)
order_column, count_column = controls.columns([9, 5], gap="small")
order = order_column.segmented_control(
    "Show",
    ORDERS,
    default=ORDERS[0],
    required=True,
    key="order",
    bind="query-params",
    wrap=True,
    help="**lowest overlap**: all examples, starting with those whose lists share the fewest neighbors.  \n"
    "The other two: examples on which only that vote is right.",
)
most = min(MOST, *(neighbors.k for neighbors in both_lists))
k = count_column.number_input("Neighbors (k)", 1, most, min(5, most), key="k", bind="query-params", width=150)

table = load.votes(results.id, first, second, rule_name, k)
of_class = "" if class_name == ANY_CLASS else class_name
number = results.class_names.index(of_class) if of_class else None
those = f"{own_noun}s" + (f" of class {escape(of_class)}" if of_class else "")
table = table if number is None else table[table["query_label"] == number]
first_title, second_title = results.title_of(first), results.title_of(second)
counts = disagreement.count_agreement(table)
if not counts.total:
    st.info(f"There are no {those}.", icon=":material/info:")
    st.stop()

left, right = st.columns([2, 3], gap="large")
with left:
    st.header("Which vote is right?")
    votes = pd.DataFrame(
        [[counts.both, counts.only_first], [counts.only_second, counts.neither]],
        index=[f"{first_title} right", f"{first_title} wrong"],
        columns=[f"{second_title} right", f"{second_title} wrong"],
    ).map(lambda count: f"{count:,} ({count / counts.total:.1%})")
    st.table(votes.reset_index(names="Vote"), hide_index=True)
    st.markdown(disagreement.describe_agreement(counts, first_title, second_title))
with right:
    st.header("How often is the vote right, by number of neighbors?")
    st.caption(f"Of all {counts.total:,} {those}.")
    chart = drawn.accuracy_chart(results.id, first, second, number)
    st.vega_lite_chart(chart, height=500, alt="Accuracy by number of neighbors; the table below has it too")
with st.expander("All similarities as a table"):
    st.dataframe(
        drawn.accuracy_table(results.id, tuple(dict.fromkeys([*results.neighbors, first, second])), number),
        hide_index=True,
    )
    st.caption(
        f"Each cell: the share of the {counts.total:,} {those} on which the vote is the label, with its 95% "
        "interval (Wilson). The interval covers the choice of examples, not the choice of runs. Weighted: by "
        "value⁴; a negative value has no weight, so distances have no weighted vote. Ensemble: the "
        "class of the largest averaged logit."
    )

ranking = disagreement.select_examples(table, order)
page_count = max(1, -(-len(ranking) // ROWS))
order_titles = {
    ORDERS[0]: "the lists that share the fewest neighbors first",
    ORDERS[1]: f"{first_title} is right, {second_title} is wrong",
    ORDERS[2]: f"{second_title} is right, {first_title} is wrong",
}
shell.said().header(f"{len(ranking):,} {those}: {order_titles[order]}")
page = st.pagination(page_count, key="page", bind="query-params") if page_count > 1 else 1
carried = lists.carried(results, "disagreement", first, second, rule_name, k, order, of_class)
vote_rows(results, (first, second), ranking.iloc[(page - 1) * ROWS : page * ROWS], k, carried)
st.caption(
    "Ties are ordered by how decisive the votes are (the sum of both shares, largest first), then by index. "
    "✓ and ✗: whether the vote is the example's label. Below each neighbor: its similarity, and “both” "
    f"if it is in both lists. {minus_distance(results, first, second)} {DIFFERENT_LABEL} The vote counts as "
    f"many neighbors as its name says; the lists show {k}."
)


def rows() -> pd.DataFrame:
    """Return the rows of the list as the door for notebooks gives them."""
    listed = ranking.reset_index(drop=True)
    names = [example_name(results.query, index) for index in listed.pop("query_index")]
    listed.insert(0, "query", names)
    listed.insert(2, "query_class", [results.class_names[label] for label in listed["query_label"]])
    return listed


line = python(results, "disagreement", first, second, k=k, vote=rule_name, order=order)
if of_class:
    line += f'.loc[lambda table: table["query_class"] == {of_class!r}]'
list_tools(results, "disagreement", Listed(len(ranking), "example", rows, "", line))
