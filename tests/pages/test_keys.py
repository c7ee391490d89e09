"""Keys of controls, which are the parameters of addresses: one thing, one name, and the address says it all.

A session keeps the values of its controls by key; the shell forgets them where another page is opened.
"""

import ast
import re
from collections import defaultdict

import pytest

from pages.ui.addresses import KNOWN, RENAMED
from pages.ui.components import map as map_
from pages.ui.panels import why
from pages.ui.shell import PAGES
from tests.support.app import open_page, text_of
from tests.support.command import ROOT

LABELS_OF_OWN = {"choose_similarity": 1, "choose_similarities": 1, "choose_one": 0, "example_of_address": 0}
"""Functions of ours that draw a bound control, or read a parameter → what stands before the key."""
OWN = {*LABELS_OF_OWN, "walk.example_of_address", "controls.choose_one"}
MODULES = sorted((ROOT / "pages").rglob("*.py"))
NO_CONTROLS = {"gallery"}
"""Functions of ours that take the key of an element without a value."""


def uses_of_keys(path):
    """Every key written in a module → its uses: the kind of control and its label, or "address".

    "address": the code reads or writes the parameter of that name itself.
    """
    uses = defaultdict(set)
    for node in ast.walk(ast.parse(path.read_text())):
        for key, use in [*uses_in_call(node, path.name), *uses_of_parameter(node)]:
            uses[key].add(use)
    return uses


def parameters():
    """The parameters of addresses that the code of the pages names."""
    named = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            named |= {key for key, _ in uses_of_parameter(node)}
            if isinstance(node, ast.Call) and (is_bound(node) or ast.unparse(node.func) in OWN):
                named |= {key for key, _ in uses_in_call(node, path.name)}
    return named


def is_bound(call):
    return any(keyword.arg in ("bind", None) for keyword in call.keywords)


def uses_in_call(node, file):
    """The key of a control that a call draws, with the control's kind and label."""
    if not isinstance(node, ast.Call):
        return
    kind = ast.unparse(node.func).split(".")[-1]
    key = next((keyword.value for keyword in node.keywords if keyword.arg == "key"), None)
    label = node.args[0] if node.args else None
    if kind in NO_CONTROLS:
        return
    if kind in LABELS_OF_OWN:
        label, key = node.args[LABELS_OF_OWN[kind] :][:2]
    elif any(keyword.arg == "bind" for keyword in node.keywords) and file != "controls.py":
        assert isinstance(key, ast.Constant), f"{file}:{node.lineno}: a bound control has a literal key"
    if isinstance(key, ast.Constant):
        yield key.value, f"{kind} {ast.unparse(label) if label else ''}"


def uses_of_parameter(node):
    """The parameter that an expression such as `st.query_params["list"]` or `.get("list")` names."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "st.query_params":
        names = [node.slice]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[0] == "st.query_params":
        names = node.args[:1]
    else:
        return
    yield from ((name.value, "address") for name in names if isinstance(name, ast.Constant))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_key_is_of_one_control_in_a_module(path):
    assert {key: kinds for key, kinds in uses_of_keys(path).items() if len(kinds) > 1} == {}


def test_every_parameter_is_known_by_a_page_and_documented():
    known = {(name, page) for page, names in KNOWN.items() for name in names}
    assert parameters() == {name for name, _ in known}, "pages/ui/addresses.py has them all"
    assert set(KNOWN) == {page for group in PAGES.values() for page in group}
    now, old = (ROOT / "docs/addresses.md").read_text().split("Old addresses")
    rows = [[re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:4]] for line in now.splitlines()]
    documented = {(name, page) for row in rows if len(row) == 3 for name in row[0] for page in row[1]}
    assert documented == known
    rows = [[re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:4]] for line in old.splitlines()]
    changed = {
        (row[0][0], *pair) for row in rows if len(row) == 3 and row[0] for pair in zip(*row[1:], strict=True)
    }
    assert changed == {(page, *pair) for page, names in RENAMED.items() for pair in names.items()}


OLD = {"k": 5, "by": "kernel", "class": "8", "page": 2, "other": "pixels", "whole": "true"}


@pytest.mark.parametrize("page", RENAMED)
def test_an_old_address_means_what_it_meant(digits, page):
    for old, new in RENAMED[page].items():
        app = open_page(
            page, **{old: OLD[new], "example": "test:3"} if page == "example" else {old: OLD[new]}
        )
        assert app.get_by_key(new).value in (OLD[new], [OLD[new]], True)
        assert "ignored" not in text_of(app)


def test_choices_stay_on_their_page(digits):
    """A link opens what its address says, whatever was chosen on another page before."""
    app = open_page("near_duplicates", **{"class": "3", "labels": "different"})
    app.query_params.clear()
    app.switch_page("pages/disagreement.py").run()
    assert app.get_by_key("class").value == "any class"
    app.get_by_key("k").set_value(17).run()
    app.switch_page("pages/random_examples.py").run()
    assert app.get_by_key("k").value == 2
    app.switch_page("pages/near_duplicates.py").run()
    assert (app.get_by_key("class").value, app.get_by_key("labels").value) == ("any class", "all")


def test_what_an_address_has_in_vain_is_said(digits):
    app = open_page("near_duplicates", nonsense=1, labels="same", first="x")
    assert "The address has “nonsense”, which this page does not know; it was ignored." in text_of(app)
    assert "The address has “first=x”, which this page cannot use; it was ignored." in text_of(app)
    assert "ignored" not in text_of(open_page("near_duplicates", labels="all", first=31, by="kernel"))
    many = open_page("map", **{f"a{i}": 1 for i in range(5)})
    assert "“a0”, “a1”, “a2” and 2 more, which this page does not know; they were" in text_of(many)


def test_word_of_a_chart_whose_page_was_left_changes_nothing(monkeypatch):
    """A class chosen on the map just before another page is opened: its session has no map any more."""
    monkeypatch.setattr(map_.st, "session_state", {})
    assert map_._keep_choice(None) is None
    monkeypatch.setattr(why.st, "session_state", {})
    why._choose_bar()
    assert why.st.session_state == {}
