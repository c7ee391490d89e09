"""Controls that pages share: directions and similarities. Their values are in the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kernel_core.errors import RequestError
from kernel_core.results.results import Results
from kernel_core.spec import ADJECTIVES, TRANSFORMS, KernelSpec
from pages.ui import jobs, load
from pages.ui.wording import escape

WITHIN = {"across": "test → train", "test": "within test", "train": "within train"}
"""Value of the parameter `within` → the direction that it stands for, as people see it; first the default."""
WITHIN_HELP = (
    "Test examples with training examples, or the examples of one split with each other. Within one split, "
    "each pair is listed once, and no example is its own neighbor."
)
IN_A_ROW = 5  # similarities that are offered as buttons; more become a list
LIST_WIDTH = 300  # pixels of that list
BUTTON, LETTER, VARY = 38, 5.7, 38  # pixels: a button without its text, a letter, the button beside them
LISTS = 4  # similarities side by side, at most
RAW = KernelSpec("kernel", transform="none").name
VALUES_HELP = (
    "What is standardized over the runs: log-probabilities, raw logits, logits minus their mean over the "
    "classes, or that mean alone. The last is an experiment: one number per run."
)
WHITENED_HELP = (
    "Weigh all directions in which training examples vary alike: those shared by many examples of a class "
    "then count less, and what is particular to a pair counts more."
)
VALUE = "threshold"
"""The parameter that is a value of the similarity chosen; it goes where another one is chosen."""


def control_row(*, horizontal: bool = True) -> DeltaGenerator:
    """Return the container of a page's controls, which a phone folds away behind a line to tap (page.css)."""
    st.html('<details class="fold"><summary>Filters and options</summary></details>')
    align: Literal["bottom", "top"] = "bottom" if horizontal else "top"
    return st.container(horizontal=horizontal, vertical_alignment=align, gap="small", key="controls")


def choose_direction(
    results: Results,
    label: str = "Compare",
    titles: Mapping[str, str] = WITHIN,
    about: str = WITHIN_HELP,
    *,
    keeps_value: bool = False,
) -> Results:
    """Show a control that picks test→train or one split; return the results in that direction.

    results: those that the server shows. label, titles, about: the control's words; titles have keys of
    `WITHIN`, "across" first. keeps_value: whether the threshold stays where another direction is chosen.
    Nothing is shown where the source has one split alone. What is not built in the direction is not in
    `names` of what comes back: the page calls `stop_unless_built`.
    """
    if len(results.examples) == 1:
        return results
    chosen = choose_one(label, "within", titles, about, keeps_value=keeps_value)
    return load.in_direction(results, "" if chosen == next(iter(titles)) else chosen)


def choose_one(
    label: str, key: str, titles: Mapping[str, str], about: str | None = None, *, keeps_value: bool = False
) -> str:
    """Show a control that picks a name by its title; return it. The address has it, but not the first.

    key: of the control, and of the parameter. about, keeps_value: as of `choose_direction`.
    """
    names = list(titles)
    chosen = st.query_params.get(key, names[0])
    if chosen not in names:
        chosen = names[0]
        del st.query_params[key]
    if st.session_state.get(key) != chosen:
        st.session_state[key] = chosen
    st.segmented_control(
        label,
        names,
        format_func=titles.__getitem__,
        required=True,
        key=key,
        on_change=_keep_in_address,
        args=(key, names, keeps_value),
        help=about,
        wrap=True,
    )
    return chosen


def choose_similarity(
    results: Results,
    label: str,
    key: str,
    *,
    default: str = "",
    without: str = "",
    more: Sequence[str] = (),
) -> str:
    """Show a control that picks a similarity of the source, or a variant of the kernel; return its name.

    key: of the control, and of the parameter in the address. default: by default the first. without: a name
    that is not offered; where it is the only one, the kernel of raw logits is. more: variants of the kernel
    that are offered even if they are not built; then, and where the address names one, or a similarity on
    request, the page calls `stop_unless_built`.
    """
    always = [name for name in results.fitting if not results.offered[name].on_request]
    offered = dict.fromkeys([*always, *results.names, *more])
    names = [name for name in offered if name != without] or [RAW]
    if default in names:
        names.remove(default)
        names.insert(0, default)
    chosen = _choice_of_address(results, key, names, without)
    names += [chosen] if chosen not in names else []
    if st.session_state.get(key) != chosen:
        st.session_state[key] = chosen
    room = _room([results.title_of(name) for name in names])
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xxsmall", width=room):
        _show_choice(results, label, key, names)
        _offer_variants(results, key)
    return chosen


def _room(titles: Sequence[str]) -> int:
    """Return the width of a choice of similarities in pixels, a little more than it takes.

    It is the same before and after the code and the font of the buttons are loaded, so that the row of
    controls does not break elsewhere then, and the page below does not jump.
    """
    if len(titles) > IN_A_ROW:
        return LIST_WIDTH + VARY
    return VARY + round(sum(BUTTON + LETTER * len(title) for title in titles))


def _show_choice(results: Results, label: str, key: str, names: list[str]) -> None:
    """Show some similarities as buttons, or as a list if there are many. key: of the widget."""
    known = [results.similarity(name) for name in names]
    shared: dict[str, Any] = {
        "format_func": {similarity.name: similarity.title for similarity in known}.__getitem__,
        "key": key,
        "on_change": _keep_in_address,
        "args": (key, names),
        "help": "  \n".join(f"**{escape(s.title)}**: {escape(s.meaning)}." for s in known),
    }
    if len(names) > IN_A_ROW:
        st.selectbox(label, names, width=LIST_WIDTH, **shared)
    else:
        st.segmented_control(label, names, required=True, wrap=True, **shared)


def _offer_variants(results: Results, key: str) -> None:
    """Offer to vary the kernel: the variant that is put together becomes the choice. key: of the choice."""
    with st.popover("", icon=":material/tune:", help="Vary the kernel", key=f"{key}_vary", type="tertiary"):
        st.caption("The kernel of other values, of some classes, or of the first runs alone.")
        transform = st.selectbox(
            "Values", list(TRANSFORMS), format_func=TRANSFORMS.__getitem__, key=f"{key}_values",
            help=VALUES_HELP,
        )  # fmt: skip
        whitened = st.toggle("Whitened", key=f"{key}_whitened", help=WHITENED_HELP)
        total = results.run_count
        runs = st.number_input("First runs", 2, total, total, key=f"{key}_runs") if total > 2 else total
        names = st.multiselect(
            "Classes (all if none)",
            results.class_names,
            key=f"{key}_classes",
            disabled=transform == "shift",  # one number per run, whatever the class
        )
        classes = () if transform == "shift" else sorted({results.class_names.index(name) for name in names})
        whole = KernelSpec("kernel", run_count=results.spec.run_count)
        spec = replace(
            whole, run_count=runs if runs < total else whole.run_count, transform=transform,
            classes=tuple(classes) or None, whitened=whitened,
        )  # fmt: skip

        built = spec.name in results.names
        state, label = ("Built", "Show it") if built else ("Not built yet", "Choose it")
        st.button(label, on_click=_choose, args=(key, spec.name), key=f"{key}_show", disabled=spec == whole)
        if spec != whole:
            st.caption(f"{state}: `{spec.name}`")
        _offer_more(results, key)


def _offer_more(results: Results, key: str) -> None:
    """Offer the similarities on request that are not built, which have no button yet."""
    for name in results.fitting:
        similarity = results.offered[name]
        if similarity.on_request and name not in results.names:
            st.divider()
            st.caption(f"{similarity.title}: {escape(similarity.meaning)}.")
            st.button(f"Choose {similarity.title}", on_click=_choose, args=(key, name), key=f"{key}_{name}")


def _choose(key: str, name: str) -> None:
    """Put a similarity into the address. key: of the choice."""
    st.query_params.pop(VALUE, None)
    st.query_params[key] = name


def stop_unless_built(results: Results, *names: str) -> None:
    """Where neighbors are not built yet, say so, offer to build them, and end the page."""
    for name in names:
        if name not in results.names:
            st.header(results.title_of(name))
            st.caption(f"Values: {escape(results.similarity(name).meaning)}.")
            where = f" within the {ADJECTIVES[results.query]} set" if results.within else ""
            jobs.offer(
                load.request_of(name, results.within),
                f"These neighbors{where} are not built yet. Images and logits are; only the search is left "
                "to do.",
                key=f"build_{name}",
            )
            st.stop()


# Streamlit's own binding would write the names that people see into the address. These keep identifiers
# there and, like the binding, leave out the default, which is the first name.
def _choice_of_address(results: Results, key: str, names: list[str], without: str) -> str:
    """Return the name that a parameter of the address holds; where it is not offered, the default."""
    asked_for = st.query_params.get(key, names[0])
    chosen = asked_for if asked_for in names else _variant_called(results, asked_for)
    if chosen and chosen != without:
        return chosen
    del st.query_params[key]
    return names[0]


def _variant_called(results: Results, name: str) -> str:
    """Return the full name of a variant or similarity that can be built; empty for another text."""
    try:
        spec = KernelSpec.named(name, KernelSpec("kernel", run_count=results.spec.run_count))
    except RequestError:
        return ""
    if spec.similarity != "kernel":
        is_offered = spec.name in results.fitting and results.offered[spec.name].on_request
        return spec.name if is_offered else ""
    fits = 2 <= (spec.run_count or 2) <= results.run_count
    return spec.name if fits and max(spec.classes or (0,)) < len(results.class_names) else ""


def _keep_in_address(key: str, names: list[str], keeps_value: bool = False) -> None:
    """Put the choice of a control into the parameter of its name."""
    chosen = st.session_state.get(key)
    if chosen is None:  # the page was left meanwhile
        return
    if not keeps_value:
        st.query_params.pop(VALUE, None)
    if chosen == names[0]:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = chosen


def choose_labels(on_change: Callable[[], None]) -> str:
    """Show the control of the labels of a pair or group; return all, same or different.

    on_change: what a change does beside naming it in the address.
    """
    return st.segmented_control(
        "Labels", ["all", "same", "different"], default="all", required=True, key="labels",
        bind="query-params", on_change=on_change,
    )  # fmt: skip


def choose_similarities(results: Results, label: str, key: str) -> list[str]:
    """Show a control that picks up to four similarities; return their names, at least one.

    By default, the first four, of which distances and inner products go last. In the address they are
    `key=kernel,pixels`.
    """
    start = sorted(results.neighbors, key=lambda name: results.similarity(name).by in ("euclidean", "dot"))
    default = [name for name in results.neighbors if name in start[:LISTS]]
    asked_for = st.query_params.get(key, "").split(",")
    chosen = [name for name in dict.fromkeys(asked_for) if name in results.names][:LISTS] or default
    if st.session_state.get(key) != chosen:
        st.session_state[key] = chosen

    def keep() -> None:
        names = st.session_state.get(key)  # none if the page was left meanwhile
        if names and names != default:
            st.query_params[key] = ",".join(names)
        else:
            st.query_params.pop(key, None)

    st.multiselect(
        label,
        list(results.names),
        format_func=results.title_of,
        max_selections=LISTS,
        key=key,
        on_change=keep,
        help=f"Up to {LISTS} lists side by side.",
    )
    return chosen
