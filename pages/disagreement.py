"""Where do two measures disagree, and which of them is right?"""

import pandas as pd
import streamlit as st

from kernel_core.findings import disagreement
from kernel_core.findings.disagreement import ORDERS, RULES
from kernel_core.records import Neighbors
from kernel_core.spec import SIMILARITIES
from pages.ui import lists, load, shell
from pages.ui.controls import choose_similarity
from pages.ui.gallery import Cell, Group, gallery, nearest_tiles, tile

shell.guard()
results = load.results()

ROWS = 10  # examples a page
MOST = 20  # neighbors a list, at most


st.header("Disagreement: where two measures name other neighbors, and which is right")
one, two, three, four = st.columns([5, 4, 3, 2], gap="small")
with one:
    first = choose_similarity(results, "First measure", "one")
with two:
    second = choose_similarity(results, "Second measure", "other", without=first)
weighable = disagreement.can_weigh(first) and disagreement.can_weigh(second)
names = [name for name, rule in RULES.items() if weighable or not rule.weighted]
rule_name = three.segmented_control(
    f"Vote of the nearest {results.spec.database_example}s", names, default=names[0], required=True, key="vote", bind="query-params", wrap=True,
    help="**majority of 3**: the label most of the 3 nearest have, ties to the smallest label.  \n**weighted 20**: the "
    "label with the largest sum of value⁴ among the 20 nearest; a negative value weighs nothing, so it is not offered "
    "beside minus a distance.",
)  # fmt: skip
everything = "any class"
of_class = four.selectbox(
    "Test label", [everything, *results.class_names], key="of_class", bind="query-params"
)
one, two = st.columns([9, 5], gap="small")
order = one.segmented_control(
    "Show", ORDERS, default=ORDERS[0], required=True, key="order", bind="query-params", wrap=True,
    help="**lowest overlap**: all examples, those whose lists share the fewest neighbors first.  \nThe other two: "
    "examples on which only that vote is the label.",
)  # fmt: skip
most = min(MOST, results.neighbors_by(first).k)
k = two.number_input("Neighbors each (k)", 1, most, min(5, most), key="among", bind="query-params", width=150)

table = load.votes(results.id, first, second, rule_name, k)
named = "" if of_class == everything else of_class
if named:
    table = table[table["query_label"] == results.class_names.index(named)]
title = {"first": SIMILARITIES[first], "second": SIMILARITIES[second]}
counts = disagreement.agreement(table)
if not counts.total:
    st.info(f"No test example has the label {of_class}.", icon=":material/info:")
    st.stop()

left, right = st.columns([2, 3], gap="large")
with left:
    st.subheader("Which vote is right?")
    st.table(
        pd.DataFrame(
            [[counts.both, counts.only_first], [counts.only_second, counts.neither]],
            index=[f"{title['first']} {how}" for how in ("right", "wrong")],
            columns=[f"{title['second']} {how}" for how in ("right", "wrong")],
        ).map(lambda count: f"{count:,} ({count / counts.total:.1%})")
    )
    st.markdown(disagreement.in_words(counts, *title.values()))
with right:
    st.subheader("How often is the vote right, by the number of neighbors?")
    st.vega_lite_chart(
        load.accuracy_chart(results.id, first, second),
        alt="Accuracy by number of neighbors, also as a table below",
    )
with st.expander("Every measure, as a table"):
    st.dataframe(load.accuracy_table(results.id), hide_index=True)
    st.caption(
        "In each cell: the share of test examples on which the vote is the label, and its 95 % interval (Wilson). The "
        "interval says what the number of test examples leaves open, not what other runs would change. Weighted: by "
        "value⁴, a negative value weighing nothing, so there is none by minus a distance. The ensemble: the class of "
        "the largest averaged logit."
    )

ranking = disagreement.ranked(table, order)
pages = max(1, -(-len(ranking) // ROWS))
said = {
    ORDERS[0]: "the lists that share the fewest neighbors first",
    ORDERS[1]: f"the vote by {title['first']} is the label, the one by {title['second']} is not",
    ORDERS[2]: f"the vote by {title['second']} is the label, the one by {title['first']} is not",
}
st.subheader(f"{len(ranking):,} test examples: {said[order]}")
page = st.pagination(pages, key="sheet", bind="query-params") if pages > 1 else 1
shown = {"first": results.neighbors_by(first), "second": results.neighbors_by(second)}


def group(which: str, row: object, common: set[int]) -> Group:
    """One measure's neighbors, those that the other measure names too marked, under what their vote said."""
    neighbors: Neighbors = shown[which]
    voted, share, is_right = (getattr(row, f"{which}_{part}") for part in ("vote", "share", "right"))
    tiles = nearest_tiles(results, neighbors, row.query_index, k)
    for each, index in zip(tiles, neighbors.indices[row.query_index, :k].tolist(), strict=True):
        each["note"] += " · both" * (index in common)
    mark = "✓" if is_right else "✗"
    vote = f"{mark} {results.class_names[voted]}, {share:.0%} of the vote"
    return {"title": f"{title[which]}: {vote}", "tiles": tiles}


cells: list[Cell] = []
for row in ranking.iloc[(page - 1) * ROWS : page * ROWS].itertuples():
    nearest = [set(neighbors.indices[row.query_index, :k].tolist()) for neighbors in shown.values()]
    common = nearest[0] & nearest[1]
    own: Group = {
        "title": results.query,
        "tiles": [tile(results, results.query, row.query_index, note=f"{results.query} {row.query_index}")],
    }
    head = f"label {results.class_names[row.query_label]}  ·  {len(common)} of {k} neighbors in both lists"
    cells.append(
        {"id": row.query_index, "head": head, "groups": [own, *(group(w, row, common) for w in shown)]}
    )
if cells:
    gallery(
        results,
        cells,
        layout="columns",
        key="disagreement",
        label="test examples with two lists of neighbors",
        carried=lists.carried("disagreement", first, second, rule_name, k, order, named),
    )
else:
    st.success("There is no such example.", icon=":material/check:")
st.caption(
    "Equal ones stand in the order of how clear the votes were (the sum of the two votes' shares, the clearest first), "
    "then by index. ✓ and ✗: whether the vote is the test example's label. Below each neighbor stands its similarity "
    "(Euclidean: minus the distance), and “both” where the other list has it too; ≠ and a dashed frame mark a label "
    f"that differs. The vote counts as many neighbors as its name says, the lists show {k}."
)
