"""Under each list: its rows as CSV, and the command and the line of Python that give the same rows."""

import io
import shlex

import pandas as pd
import pytest

import kernel_core
from pages.ui.panels import list_tools
from tests.support.app import open_page
from tests.support.command import invoke

# A page as its address sets it; its list has rows.
SHOWN = [
    ("near_duplicates", {}),
    ("near_duplicates", {"first": 1, "last": 500, "class": "3", "by": "pixels"}),
    ("near_duplicates", {"threshold": 0.8, "labels": "same"}),
    ("near_duplicates", {"order": "twin", "first": 3, "last": 30, "class": "3"}),
    ("near_duplicates", {"pixels_at": 0.8, "band": "likely"}),
    ("failure_modes", {"by": "penultimate"}),
    ("failure_modes", {"order": "label to check", "labels_differ": "8 ≠ 1"}),
    ("labels", {"order": "twins", "by": "pixels", "proposed": "1"}),
    ("labels", {"order": "agreement", "both": "true"}),
    ("similarities", {"by": "pixels"}),
    ("feature_pairs", {"first": 3, "last": 9, "other": "pixels"}),
    ("disagreement", {"by": "pixels", "class": "8", "k": 7}),
]


def listed_by(page, query, monkeypatch):
    """Open a page; return what it lists, as it tells the tools, and the driver."""
    told = []
    draw = list_tools.list_tools
    monkeypatch.setattr(
        list_tools,
        "list_tools",
        lambda results, name, *lists: (told.extend(lists), draw(results, name, *lists)),
    )
    return open_page(page, **query), told


@pytest.mark.parametrize(("page", "query"), SHOWN)
def test_csv_command_and_python_give_the_lists_rows(page, query, digits, digits_cache, monkeypatch):
    _app, told = listed_by(page, query, monkeypatch)
    for listed in told:
        table = pd.read_csv(io.StringIO(listed.table().to_csv(index=False)))
        assert len(table) == listed.count > 0
        if listed.command:
            done = invoke(*shlex.split(listed.command)[1:], "--csv", "-", env=digits_cache)
            assert done.exit_code == 0, done.stderr
            pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(done.stdout)), table)
        rows = eval(listed.python, {"kernel_core": kernel_core})  # what a person would paste
        assert len(rows) == len(table)
        for column in rows.columns.intersection(table.columns):
            assert rows[column].astype(str).tolist() == table[column].astype(str).tolist(), column
        if "query_index" in table:
            names = table["query_split"] + ":" + table["query_index"].astype(str)
            assert rows["query"].tolist() == names.tolist()


def test_command_and_python_are_on_the_page(digits, monkeypatch):
    app, (listed, _all) = listed_by("near_duplicates", {"first": 1, "last": 9}, monkeypatch)
    assert app.code[0].value == listed.command
    assert app.code[1].value == f"import kernel_core\n\n{listed.python}"
    assert app.get("download_button")[0].label == "Download CSV: 9 pairs"


def test_command_is_of_the_servers_own_source(source_folder, cache, monkeypatch):
    from kernel_core.pipeline import build
    from kernel_core.sources.source import SourceRequest

    elsewhere = source_folder.with_name("a source's folder")
    source_folder.rename(elsewhere)
    build(SourceRequest(str(elsewhere), 10, precision="exact"))
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(elsewhere))
    monkeypatch.setenv("KERNEL_EXPLORER_RUNS", "10")
    monkeypatch.setenv("KERNEL_EXPLORER_PRECISION", "exact")
    _app, (listed, _all) = listed_by("near_duplicates", {"first": 1, "last": 5}, monkeypatch)
    words = shlex.split(listed.command)
    assert words[:8] == [
        "kernel-explorer", "pairs", str(elsewhere), "--runs", "10", "--precision", "exact", "--similarity"
    ]  # fmt: skip
    done = invoke(*words[1:], "--csv", "-")
    assert done.stdout == listed.table().to_csv(index=False)
    assert len(eval(listed.python, {"kernel_core": kernel_core})) == 5
