"""Walking from example to example: which one the address names, the way there, and the ways on.

The address holds it all: `example=train:9&trail=test:3,train:7&list=near_duplicates:kernel`. The trail are the examples
visited before, oldest first.
"""

from __future__ import annotations

import random

import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.results.results import Results
from kernel_core.spec import Split, example_name, parse_example
from pages.ui import links, lists
from pages.ui.gallery import Cell, gallery, tile

LONGEST = 12  # steps that a trail keeps
CRUMB = 40  # pixels


def named(results: Results, parameter: str, default: str = "test:0") -> tuple[Split, int]:
    """The example that a parameter of the address names. If it names none the page says so and stops here."""
    try:
        return parse_example(st.query_params.get(parameter, default), results.example_counts)
    except RequestError as error:
        st.warning(f"In the address, {parameter}: {error}", icon=":material/warning:")
        st.button(f"Show {default}", on_click=_go, args=({parameter: default},), key=f"reset_{parameter}")
        st.stop()


def trail(results: Results, current: str) -> list[str]:
    """The examples visited before, oldest first; what the address names that is none is left out."""
    known = []
    for text in st.query_params.get("trail", "").split(",")[-LONGEST:]:
        try:
            name = example_name(*parse_example(text, results.example_counts))
        except RequestError:
            continue
        if name == current:  # back where we were: the way goes on from there
            break
        known.append(name)
    return known


def carried(way: list[str], **more: str | int | None) -> str:
    """The parameters that a step takes along: the way, the list, and how the page is set."""
    return links.query(trail=",".join(way[-LONGEST:]), list=st.query_params.get("list"), **more)


def _go(parameters: dict[str, str]) -> None:
    """Another example in the address, at once with its trail: one entry in the browser's history."""
    if not parameters.get("trail", "x"):
        st.query_params.pop("trail", None)
    st.query_params.update({name: value for name, value in parameters.items() if value})


def _jump(results: Results, current: str, way: list[str]) -> None:
    """To the example that was typed; a text that names none stays, with the reason below it."""
    typed = st.session_state["typed"]
    st.session_state["typed_wrong"] = ""
    if not typed.strip():
        return
    try:
        name = example_name(*parse_example(typed, results.example_counts))
    except RequestError as error:
        st.session_state["typed_wrong"] = str(error)
        return
    st.session_state["typed"] = ""
    if name != current:
        _go({"example": name, "trail": ",".join([*way, current][-LONGEST:])})


def show_ways(results: Results, split: Split, index: int, way: list[str]) -> None:
    """The row of controls: previous, random, next, and an example to type; where the example stands."""
    current, here = (
        example_name(split, index),
        lists.place(results, split, index, st.query_params.get("list", "")),
    )
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    icons = {"previous": ":material/chevron_left:", "next": ":material/chevron_right:"}
    for key, to in (("previous", here.previous), ("next", here.next)):
        row.button(
            key.capitalize(), key=key, icon=icons[key], on_click=_go, disabled=to is None,
            args=({"example": to or current, "trail": ""},),
        )  # fmt: skip
    anywhere = example_name(split, random.randrange(len(results.examples[split])))
    row.button("Random", key="random_example", icon=":material/casino:", on_click=_go,
               args=({"example": anywhere, "trail": ""},))  # fmt: skip
    row.text_input(
        "Go to", key="typed", placeholder="test:123", width=150, on_change=_jump, args=(results, current, way),
        help="An example's split and index, as test:123; a number alone is one of the test split.",
    )  # fmt: skip
    row.caption(f"#{here.position:,} of {here.total:,} in {here.title}", width="content")
    if st.session_state.get("typed_wrong"):
        st.warning(st.session_state.pop("typed_wrong"), icon=":material/warning:")


def show_trail(results: Results, way: list[str], current: str) -> None:
    """The way as thumbnails, each a link back to where it was."""
    if not way:
        return
    tiles = []
    for at, name in enumerate([*way, current]):
        split, index = parse_example(name, results.example_counts)
        tiles.append({**tile(results, split, index, note=name), "carried": carried(way[:at])})
    cell: Cell = {"id": 0, "head": "", "groups": [{"title": "", "tiles": tiles}]}  # type: ignore[typeddict-item]
    gallery(results, [cell], layout="crumbs", key="trail", label="the way here", px=CRUMB)


def partner(results: Results, a: tuple[Split, int], by: str = "") -> str:
    """The name of what makes a pair with an example where the address names nothing: its nearest, if a build kept it."""
    if a[0] != results.query:
        return "test:0"
    neighbors = results.neighbors_by(by or next(iter(results.neighbors)))
    return example_name(results.database, int(neighbors.indices[a[1], 0]))


def show_pair_ways(results: Results, a: tuple[Split, int], b: tuple[Split, int]) -> None:
    """Previous and next pair of the list that the address names, each example with its nearest; and both swapped."""
    here = lists.place(results, *a, st.query_params.get("list", ""))
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    if here.by and example_name(*b) == partner(results, a, here.by):
        for key, to, icon in (("previous", here.previous, "left"), ("next", here.next, "right")):
            other = partner(results, parse_example(to, results.example_counts), here.by) if to else ""
            row.button(
                key.capitalize(), key=key, icon=f":material/chevron_{icon}:", on_click=_go, disabled=not to,
                args=({"a": to or "", "b": other},),
            )  # fmt: skip
        row.caption(f"#{here.position:,} of {here.total:,} in {here.title}", width="content")
    swapped = {"a": example_name(*b), "b": example_name(*a)}
    row.button("Swap", key="swap", icon=":material/swap_horiz:", on_click=_go, args=(swapped,))
