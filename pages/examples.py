"""Which examples are there? All of them, filtered and sorted; several can be chosen."""

import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.spec import ADJECTIVES
from pages.ui import all_examples, jobs, lists, load, names, shell
from pages.ui.components.gallery import Cell, gallery, tile
from pages.ui.panels import example_filters, list_tools
from pages.ui.panels.list_tools import Listed
from pages.ui.wording import escape

shell.guard()
results = load.results()

SHOWN = 120  # examples per part of the list

shell.heading(results, "All examples", "Filter them, sort them, and select several.")
asked = example_filters.choose_examples(results)
try:
    found = all_examples.find(results, asked)
except (LookupError, RequestError, ValueError) as error:
    st.warning(str(error), icon=":material/warning:")
    st.button("Show all examples", on_click=example_filters.clear, key="show_all_examples")
    st.stop()

by = asked.get("by") or next(iter(results.neighbors))
for split in found.lacking:
    of = all_examples.directions(results)[split]
    if by not in of.fitting:
        st.info(f"There are no neighbors of {ADJECTIVES[split]} examples by {escape(results.title_of(by))}.")
        continue
    why = (
        f"The neighbors of {ADJECTIVES[split]} examples by {escape(results.title_of(by))} are not built: "
        f"no {ADJECTIVES[split]} example passes a filter by neighbors, and all come last in their order."
    )
    if jobs.offer_part(load.request_of(by, split), why, f"neighbors_of_{split}", label="Build them now"):
        st.rerun()

total, count = len(found.table), len(found.rows)
text = f"**{count:,} of {total:,} examples**" if found.words else f"**{total:,} examples**"
with st.container(horizontal=True, vertical_alignment="center"):
    shell.say(f"{text}{': ' if found.words else ''}{', '.join(found.words)}.")
    if set(asked) - {"by", "sort", "near_at"}:
        st.button("Clear filters", on_click=example_filters.clear, key="clear_filters", type="tertiary")

page_count = max(1, -(-count // SHOWN))
page = st.pagination(page_count, key="page", bind="query-params") if page_count > 1 else 1
with_neighbors = bool({"nearest", "near"} & set(asked)) or "near" in asked.get("sort", "")
cells: list[Cell] = []
for row in found.table.iloc[found.rows[(page - 1) * SHOWN : page * SHOWN]].to_dict("records"):
    outcome = "✓" if row["right"] else f"✗ {results.class_names[row['predicted']]}"
    note = f"{row['split']} {row['index']}\n{outcome} {row['confidence']:.0%}"
    if with_neighbors:
        note += f"\n{row['nearest']:.3f} · {row['near']} near" if row["near"] >= 0 else "\n–"
    own = tile(results, row["split"], row["index"], note=note)
    cells.append({"id": len(cells), "head": "", "groups": [{"title": "", "tiles": [own]}]})
listed = all_examples.to_list(asked)
if cells:
    gallery(
        results,
        cells,
        layout="grid",
        key="examples",
        label="examples",
        carried=lists.carried(results, *listed),
        choice={"list": ":".join(listed), "first": (page - 1) * SHOWN, "most": names.MOST},
    )
else:
    st.info("No example passes these filters.", icon=":material/info:")
if count:
    rows = Listed(count, "example", lambda: all_examples.listed_rows(results, found), "", "")
    list_tools.list_tools(results, "examples", rows)
line = (
    f" Last: the value of its nearest {results.spec.database_example} by {escape(results.title_of(by))}, and "
    "how many of its nearest are near."
)
st.caption(
    "Below each example: its label, its name, and the ensemble's prediction with its mean probability: ✓ "
    f"where it is the label, ✗ where not.{line if with_neighbors else ''}"
)
