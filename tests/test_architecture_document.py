"""docs/architecture.md agrees with the folders and with the rule of imports; the README with the menu."""

import re

from pages.ui.shell import PAGES
from tests.support.command import ROOT
from tests.test_architecture import GROUND, MAY_IMPORT, TORCH
from tests.test_docs import inline_code, section

NO_MODULES = {"source.toml", "kernel-explorer", ".py", ".js", ".css", ".*.js"}  # code in a room's purpose
DOCUMENT = (ROOT / "docs/architecture.md").read_text()


def table(heading):
    """The code in each row of the table below a heading: first cell → all others."""
    rows = [line for line in section(DOCUMENT, heading).splitlines() if line.startswith("| `")]
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    return {inline_code(first)[0]: inline_code(" ".join(others)) for first, *others in cells}


ROOMS = table("The rooms")


def test_rooms_are_the_folders_with_their_modules():
    documented = {folder: set(words) - NO_MODULES for folder, words in ROOMS.items()}
    folders = [
        folder for top in ("kernel_core", "pages") for folder in (ROOT / top, *(ROOT / top).rglob("*/"))
    ]
    modules = {
        folder: {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"} for folder in folders
    }
    assert documented == {
        f"{f.relative_to(ROOT).as_posix()}/": names for f, names in modules.items() if names
    }


def test_import_table_is_the_rule():
    documented = {room: set(allowed) - {"machine"} for room, allowed in table("Who may import whom").items()}
    assert documented == MAY_IMPORT


def test_ground_is_listed_in_its_order():
    modules = [name for name in ROOMS["kernel_core/"] if name in GROUND]
    assert modules == list(GROUND)


def test_rooms_that_load_torch_are_named():
    (sentence,) = re.findall(r"^Only (.*?) load torch", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert set(inline_code(sentence)) == TORCH


def test_what_a_change_touches_is_there():
    """As in "`READERS` in `kernel_core/sources/images.py`": the file has the name."""
    touched = re.findall(r"((?:`\w+`(?: and )?)+) in\s+`([\w/]+\.(?:py|js))`", DOCUMENT)
    assert len(touched) >= 12
    for names, file in touched:
        for name in inline_code(names):
            assert re.search(rf"\b{name}\b", (ROOT / file).read_text()), f"{name} in {file}"


def test_readme_has_every_page_of_the_menu():
    titles = [title for group in PAGES.values() for title, _icon in group.values()]
    (rows,) = re.findall(r"\| page \| question \|\n(.*?)\n\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert sorted(re.findall(r"^\| \*\*(.*?)\*\*", rows, re.MULTILINE)) == sorted(titles)
