"""Keys of controls: over all pages, one key is one control, and its parameter in the address is its own.

A session keeps the values of its controls by key when it goes from page to page. If two pages gave one key to
two kinds of controls, the second would start with a value of the first.
"""

import ast
from collections import defaultdict

from pages.ui.components import map as map_
from pages.ui.panels import why
from pages.ui.shell import RENAMED
from tests.support.app import open_page
from tests.support.command import ROOT

LABELS_OF_OWN = {"choose_similarity": 1}
"""Functions of ours that draw a bound control → where their label stands; the key follows it."""
NO_CONTROLS = {"gallery"}
"""Functions of ours that take the key of an element without a value."""


def uses_of_keys():
    """Every key written in a page → its uses: the kind of control and its label, or "address".

    "address": the code reads or writes the parameter of that name itself.
    """
    uses = defaultdict(set)
    for path in sorted((ROOT / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            for key, use in [*uses_in_call(node, path.name), *uses_of_parameter(node)]:
                uses[key].add(use)
    return uses


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


def test_a_key_is_of_one_control_over_all_pages():
    uses = uses_of_keys()
    assert {key: kinds for key, kinds in uses.items() if len(kinds) > 1} == {}
    assert {"among", "nearest", "by", "first", "last", "list"} <= set(uses)


def test_an_old_address_means_what_it_meant(digits):
    for page, names in RENAMED.items():
        for old, new in names.items():
            value = 3 if new == "nearest" else "pixels"
            app = open_page(page, **{old: value, "sheet": 2})
            assert app.get_by_key(new).value == value
            assert dict(app.query_params) == {new: str(value), "sheet": "2"}


def test_word_of_a_chart_whose_page_was_left_changes_nothing(monkeypatch):
    """A class chosen on the map just before another page is opened: its session has no map any more."""
    monkeypatch.setattr(map_.st, "session_state", {})
    assert map_._keep_choice(None) is None
    monkeypatch.setattr(why.st, "session_state", {})
    why._choose_bar()
    assert why.st.session_state == {}
