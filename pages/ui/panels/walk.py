"""Walking from example to example: the one that the address names, the trail to it, and the steps from it.

The address holds it all: `example=train:9&trail=test:3,train:7&list=near_duplicates:kernel`. The trail is the
examples visited before, the oldest first.
"""

from __future__ import annotations

import random

import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.results.results import Results
from kernel_core.spec import example_name, parse_example
from pages.ui import going, links, lists, shell
from pages.ui.components.gallery import Cell, Tile, gallery, tile
from pages.ui.links import Example

LONGEST = 12  # steps that a trail keeps
CRUMB = 40  # pixels
ICONS = {"previous": ":material/chevron_left:", "next": ":material/chevron_right:"}


def example_of_address(results: Results, parameter: str, default: str = "test:0") -> Example:
    """Return the example that a parameter of the address names; if it names none, say so and end the page."""
    try:
        return parse_example(st.query_params.get(parameter, default), results.example_counts)
    except RequestError as error:
        shell.default_heading(results)
        st.warning(f"In the address, {parameter}: {error}", icon=":material/warning:")
        st.button(f"Show {default}", on_click=_go, args=({parameter: default},), key=f"reset_{parameter}")
        st.stop()


def trail_of_address(results: Results, current: str) -> list[str]:
    """Return the names of the examples visited before `current`, oldest first; wrong names are left out."""
    trail = []
    for text in st.query_params.get("trail", "").split(",")[-LONGEST:]:
        try:
            name = example_name(*parse_example(text, results.example_counts))
        except RequestError:
            continue
        if name == current:  # back at an earlier step: the trail goes on from there
            break
        trail.append(name)
    return trail


def carried(trail: list[str], **more: str | int | None) -> str:
    """Return the parameters that a step takes along: the trail, the list, and `more`, the page's settings."""
    return links.query(trail=",".join(trail[-LONGEST:]), list=st.query_params.get("list"), **more)


def _go(parameters: dict[str, str]) -> None:
    """Put parameters into the address as one entry in the browser's history. An empty trail is removed."""
    if parameters.get("trail") == "":
        st.query_params.pop("trail", None)
    st.query_params.update({name: value for name, value in parameters.items() if value})


def _jump(results: Results, current: str, trail: list[str]) -> None:
    """Go to the example or class that was typed; a text that names none stays, with the reason below it."""
    typed = st.session_state.get("typed", "")  # none if the page was left meanwhile
    st.session_state["typed_wrong"] = ""
    if not typed.strip():
        return
    try:
        what, name = going.destination(results, typed)
    except RequestError as error:
        st.session_state["typed_wrong"] = str(error)
        return
    st.session_state["typed"] = ""
    if what == "class":
        st.session_state["_class_to_show"] = name
    elif name != current:
        _go({"example": name, "trail": ",".join([*trail, current][-LONGEST:])})


def _place_in_list(results: Results, example: Example) -> lists.Place:
    """Return the example's place in the address's list; say so if that names none."""
    text = st.query_params.get("list", "")
    if text and not lists.ranked(results.id, text):
        shell.say_ignored([f"list={text}"], "cannot use")
    return lists.place(results, *example, text)


def show_steps(results: Results, example: Example, trail: list[str]) -> None:
    """Show the steps: previous, next, random, an example to type; and the place of this one in its list."""
    if of_class := st.session_state.pop("_class_to_show", ""):
        st.switch_page("pages/examples.py", query_params={"label": of_class})
    current = example_name(*example)
    here = _place_in_list(results, example)
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    for key, name in (("previous", here.previous), ("next", here.next)):
        to = {"example": name or current, "trail": ""}
        row.button(
            key.capitalize(), key=key, icon=ICONS[key], on_click=_go, args=(to,), disabled=name is None
        )
    split = example[0]
    anywhere = example_name(split, random.randrange(len(results.examples[split])))
    to = {"example": anywhere, "trail": ""}
    row.button("Random", key="random_example", icon=":material/casino:", on_click=_go, args=(to,))
    row.text_input(
        "Go to",
        key="typed",
        placeholder="test:123 or a class",
        width=190,
        on_change=_jump,
        args=(results, current, trail),
        help=going.HELP,
    )
    row.caption(f"#{here.position:,} of {here.total:,} in {here.title}", width="content")
    if st.session_state.get("typed_wrong"):
        st.warning(st.session_state.pop("typed_wrong"), icon=":material/warning:")


def show_trail(results: Results, trail: list[str], current: str) -> None:
    """Show the trail as thumbnails, each a link back to its step."""
    if not trail:
        return
    tiles: list[Tile] = []
    for step, name in enumerate([*trail, current]):
        crumb = tile(results, *parse_example(name, results.example_counts), note=name)
        crumb["carried"] = carried(trail[:step])
        tiles.append(crumb)
    cell: Cell = {"id": 0, "head": "", "groups": [{"title": "", "tiles": tiles}]}
    gallery(results, [cell], layout="crumbs", key="trail", label="the trail to this example", px=CRUMB)


def partner(results: Results, a: Example) -> str:
    """Return the name of the example to show beside `a` by default: its nearest, if a build kept it."""
    split, index = a
    if split != results.query:
        return "test:0"
    neighbors = results.neighbors_by(next(iter(results.neighbors)))
    return example_name(results.database, int(neighbors.indices[index, 0]))


def show_pair_steps(results: Results, a: Example, b: Example) -> str:
    """Show a button that swaps the two; previous and next if the pair is in the list of the address.

    Returns the similarity that the list makes pairs by; the first that there is where the pair is in none.
    """
    here = _place_in_list(results, a)
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    before, own, after = here.partners
    if own == example_name(*b):
        for key, name, other in (("previous", here.previous, before), ("next", here.next, after)):
            to = {"a": name or "", "b": other}
            row.button(
                key.capitalize(), key=key, icon=ICONS[key], on_click=_go, args=(to,), disabled=not name
            )
        row.caption(f"#{here.position:,} of {here.total:,} in {here.title}", width="content")
    swapped = {"a": example_name(*b), "b": example_name(*a)}
    row.button("Swap", key="swap", icon=":material/swap_horiz:", on_click=_go, args=(swapped,))
    return here.by if own == example_name(*b) else next(iter(results.neighbors))
