"""The page "How many runs?": a button while something is missing, then the table and the sentence."""

import pytest

from tests.support.app import open_page, text_of
from tests.support.command import invoke


@pytest.fixture
def planted_app(source_folder, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    assert invoke("build", source_folder).exit_code == 0
    return source_folder


def test_one_button_builds_all_that_is_missing(planted_app):
    app = open_page("run_counts")
    assert "the first 10, 20 runs" in text_of(app)
    assert [button.label for button in app.button if button.key == "build_all"] == ["Build all"]
    assert not app.dataframe
    done = invoke("runs", planted_app)  # what the button starts, in a process of its own
    app = open_page("run_counts")
    assert not [button for button in app.button if button.key == "build_all"]
    assert done.stdout.splitlines()[-1] in text_of(app)
    table = app.dataframe[0].value
    assert table["Runs"].tolist() == ["10", "20", "24"]
    assert table["Same nearest"].iloc[-1] == "100%"


def test_too_few_runs_are_said(planted_app, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_RUNS", "8")
    assert invoke("build", planted_app, "--runs", 8).exit_code == 0
    assert "There are only 8 runs" in text_of(open_page("run_counts"))
