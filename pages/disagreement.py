"""Where do two similarities pick different neighbors, and which of them is right?"""

import pandas as pd
import streamlit as st

from kernel_core.findings import disagreement
from kernel_core.findings.disagreement import ORDERS, RULES
from pages.ui import drawn, lists, load, shell
from pages.ui.components.gallery import Cell, Group, gallery, nearest_tiles, tile
from pages.ui.controls import choose_similarity, stop_unless_built
from pages.ui.wording import DIFFERENT_LABEL, escape, minus_distance

shell.guard()
results = load.results()

ROWS, MOST = 10, 20  # examples per page; neighbors per list, at most
ANY_CLASS = "any class"

shell.heading(results, "Disagreement", "Where two similarities pick different neighbors, and which is right.")
first_column, second_column, vote_column, class_column = st.columns([13, 11, 7, 4], gap="small")
with first_column:
    first = choose_similarity(results, "First similarity", "by")
with second_column:
    second = choose_similarity(results, "Second similarity", "other", without=first)
stop_unless_built(results, first, second)
both_lists = [results.neighbors_by(name) for name in (first, second)]
weighable = all(disagreement.allows_weighted_vote(neighbors) for neighbors in both_lists)
rule_names = [name for name, rule in RULES.items() if weighable or not rule.weighted]
rule_name = vote_column.segmented_control(
    f"Vote of the nearest {results.spec.database_example}s",
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
    "Test label", [ANY_CLASS, *results.class_names], key="class", bind="query-params"
)
order_column, count_column = st.columns([9, 5], gap="small")
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
if of_class:
    table = table[table["query_label"] == results.class_names.index(of_class)]
first_title, second_title = results.title_of(first), results.title_of(second)
counts = disagreement.count_agreement(table)
if not counts.total:
    st.info(f"No test example has the label {escape(of_class)}.", icon=":material/info:")
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
    chart = drawn.accuracy_chart(results.id, first, second)
    st.vega_lite_chart(chart, height=500, alt="Accuracy by number of neighbors; the table below has it too")
with st.expander("All similarities as a table"):
    st.dataframe(
        drawn.accuracy_table(results.id, tuple(dict.fromkeys([*results.neighbors, first, second]))),
        hide_index=True,
    )
    st.caption(
        "Each cell: the share of test examples on which the vote is the label, with its 95% interval "
        "(Wilson). The interval covers the choice of test examples, not the choice of runs. Weighted: by "
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
shell.said().header(f"{len(ranking):,} test examples: {order_titles[order]}")
page = st.pagination(page_count, key="page", bind="query-params") if page_count > 1 else 1


def voters(similarity: str, query: int, *, vote: int, share: float, is_right: bool, both: set[int]) -> Group:
    """Return one similarity's neighbors under their vote; those in both lists say so."""
    neighbors = results.neighbors_by(similarity)
    tiles = nearest_tiles(results, neighbors, query, k)
    for neighbor, index in zip(tiles, neighbors.indices[query, :k].tolist(), strict=True):
        if index in both:
            neighbor["note"] += " · both"
    mark = "✓" if is_right else "✗"
    title = f"{results.title_of(similarity)}: {mark} {results.class_names[vote]}, {share:.0%} of the vote"
    return {"title": title, "tiles": tiles}


cells: list[Cell] = []
for row in ranking.iloc[(page - 1) * ROWS : page * ROWS].itertuples():
    query = int(row.query_index)
    nearest = [set(neighbors.indices[query, :k].tolist()) for neighbors in both_lists]
    both = nearest[0] & nearest[1]
    own: Group = {
        "title": results.query,
        "tiles": [tile(results, results.query, query, note=f"{results.query} {query}")],
    }
    first_votes = voters(
        first, query, vote=row.first_vote, share=row.first_share, is_right=row.first_right, both=both
    )
    second_votes = voters(
        second, query, vote=row.second_vote, share=row.second_share, is_right=row.second_right, both=both
    )
    head = f"label {results.class_names[row.query_label]}  ·  {len(both)} of {k} neighbors in both lists"
    cells.append({"id": query, "head": head, "groups": [own, first_votes, second_votes]})
if cells:
    carried = lists.carried(results, "disagreement", first, second, rule_name, k, order, of_class)
    label = "test examples with two lists of neighbors"
    gallery(results, cells, layout="columns", key="disagreement", label=label, carried=carried)
else:
    st.success("There is no such example.", icon=":material/check:")
st.caption(
    "Ties are ordered by how decisive the votes are (the sum of both shares, largest first), then by index. "
    "✓ and ✗: whether the vote is the test example's label. Below each neighbor: its similarity, and “both” "
    f"if it is in both lists. {minus_distance(results, first, second)} {DIFFERENT_LABEL} The vote counts as "
    f"many neighbors as its name says; the lists show {k}."
)
