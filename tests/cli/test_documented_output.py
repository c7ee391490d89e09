"""The CSV columns and JSON keys that docs/command_line.md lists are those that the verbs write."""

import json

import pandas as pd
import pytest

from kernel_core.cli import sources
from kernel_core.errors import DownloadError
from kernel_core.sources.catalog import BUILT_IN
from kernel_core.sources.hub import Listing
from tests.support.command import ROOT, invoke
from tests.support.planted import CLASS_NAMES, write_source
from tests.test_docs import inline_code, section

DOCUMENT = (ROOT / "docs/command_line.md").read_text()


@pytest.fixture(scope="module")
def place(planted, tmp_path_factory):
    """The planted source, and the environment that names its cache."""
    folder = tmp_path_factory.mktemp("documented")
    source = write_source(folder / "source", planted)
    return source, {"KERNEL_EXPLORER_CACHE": str(folder / "cache")}


@pytest.fixture
def run(place):
    """A verb run on the planted source; returns its stdout."""
    source, environment = place

    def run(verb, *arguments):
        done = invoke(verb, source / "source.toml", *arguments, env=environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def documented(verb, title):
    """The names in the first column of each table of a verb's section that has this title, table by table."""
    tables = section(DOCUMENT, verb).split(f"| {title} | meaning |\n|---|---|\n")[1:]
    rows = [[row for row in table.split("\n\n")[0].splitlines() if row.startswith("|")] for table in tables]
    return [[name for row in table for name in inline_code(row.split("|")[1])] for table in rows]


def csv_columns(file):
    return list(pd.read_csv(file).columns)


def test_evaluate(run):
    assert sorted(json.loads(run("evaluate", "--json"))) == sorted(*documented("evaluate", "JSON key"))


def test_pairs_and_failures(run, tmp_path):
    run("pairs", "--csv", tmp_path / "pairs.csv")
    run("pairs", "--order", "twin", "--csv", tmp_path / "twins.csv")
    run("failures", "--top", 1, "--csv", tmp_path / "failures.csv")
    (pairs, of_twins), (more,) = (documented(verb, "CSV column") for verb in ("pairs", "failures"))
    assert csv_columns(tmp_path / "pairs.csv")[: len(pairs)] == pairs  # more where pixels are compared
    assert csv_columns(tmp_path / "twins.csv") == [*pairs, *of_twins]
    assert csv_columns(tmp_path / "failures.csv") == [*pairs[:-2], "position", *pairs[-2:]]
    run("failures", "--order", "label to check", "--top", 1, "--csv", tmp_path / "check.csv")
    assert csv_columns(tmp_path / "check.csv")[:-4] == [*pairs[:-2], *more]


def test_pairs_and_failures_as_json(run, tmp_path):
    """The objects have the keys of the document, and their rows are those of the CSV files, to the digit."""
    (keys,) = documented("pairs", "JSON key")
    for verb, rows in (("pairs", "pairs"), ("failures", "failures")):
        answer = json.loads(run(verb, "--csv", tmp_path / "table.csv", "--json"))
        expected = [key if key != "pairs" else rows for key in keys if verb == "pairs" or key != "order"]
        assert list(answer) == expected
        assert answer[rows] == pd.read_csv(tmp_path / "table.csv").to_dict("records")
    assert answer["failures"][0]["query_class"] in CLASS_NAMES


def test_labels(run, tmp_path):
    answer = json.loads(run("labels", "--csv", tmp_path / "labels.csv", "--json"))
    (columns,), (keys,) = (documented("labels", title) for title in ("CSV column", "JSON key"))
    assert csv_columns(tmp_path / "labels.csv") == columns
    assert list(answer) == keys
    assert answer["labels"] == pd.read_csv(tmp_path / "labels.csv").to_dict("records")


def test_sources(monkeypatch):
    listing = Listing("main", ("logs_a/x/log.pt", "logs_a/y/log.pt", "README.md"), local=True)
    monkeypatch.setattr(sources, "list_files", lambda _repo: listing)
    answer = json.loads(invoke("sources", "--json").stdout)
    (keys,) = documented("sources", "JSON key")
    rows = [row for row in section(DOCUMENT, "sources").splitlines() if row.startswith("| `")]
    assert list(answer) == keys
    for key, row in zip(keys[:2], rows, strict=False):
        assert list(answer[key][0]) == inline_code(row.split("|")[2])
    assert answer["configurations"] == [{"name": "cifar10-multirun/logs_a", "files": 2, "downloaded": True}]
    assert answer["problem"] is None


def test_sources_without_a_connection_lists_what_is_built_in(monkeypatch):
    def refuse(_repo):
        raise DownloadError("No connection.")

    monkeypatch.setattr(sources, "list_files", refuse)
    answer = json.loads(invoke("sources", "--json").stdout)
    assert (answer["configurations"], answer["problem"]) == ([], "No connection.")
    assert [source["name"] for source in answer["sources"]] == list(BUILT_IN)


def test_cache_list(run, place):
    run("build")
    answer = json.loads(invoke("cache", "list", "--json", env=place[1]).stdout)
    (keys,) = documented("cache", "JSON key")
    assert list(answer) == keys
    (last,) = [row for row in section(DOCUMENT, "cache").splitlines() if row.startswith("| `entries`")]
    assert list(answer["entries"][0]) == inline_code(last.split("|")[2])
    assert answer["bytes"] == sum(entry["bytes"] for entry in answer["entries"])


def test_neighbors(run):
    answer = json.loads(run("neighbors", "--query", "test:0", "--json"))
    (keys,) = documented("neighbors", "JSON key")
    assert sorted(answer) == sorted(keys)
    (last,) = [row for row in section(DOCUMENT, "neighbors").splitlines() if row.startswith("| `neighbors`")]
    assert sorted(answer["neighbors"][0]) == sorted(inline_code(last.split("|")[2]))


def test_report(run, tmp_path):
    report = json.loads(run("report", "--runs", "all", "--out", tmp_path, "--json"))
    (columns,), (keys, of_pairs) = documented("report", "CSV column"), documented("report", "JSON key")
    assert csv_columns(tmp_path / "report.csv") == columns
    assert sorted(report) == sorted(keys)
    assert list(report["by_runs"][0]) == columns[:-3]
    assert list(report["fixed"]) == columns[-3:]
    assert sorted(report["pairs"][0]) == sorted(of_pairs)


def test_map(run, tmp_path, no_umap):
    run("map", "--csv", tmp_path / "map.csv")
    assert csv_columns(tmp_path / "map.csv") == documented("map", "CSV column")[0]
    answer = json.loads(run("map", "--json"))
    assert sorted(answer) == sorted(*documented("map", "JSON key"))
    assert list(answer["positions"][0]) == csv_columns(tmp_path / "map.csv")


def test_runs(run, tmp_path):
    answer = json.loads(run("runs", "--csv", tmp_path / "runs.csv", "--json"))
    assert csv_columns(tmp_path / "runs.csv") == documented("runs", "CSV column")[0]
    assert list(answer) == documented("runs", "JSON key")[0]
