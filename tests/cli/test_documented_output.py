"""The CSV columns and JSON keys that docs/command_line.md lists are those that the verbs write."""

import json

import pandas as pd
import pytest

from tests.support.command import ROOT, invoke
from tests.support.planted import write_source
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
    run("failures", "--top", 1, "--csv", tmp_path / "failures.csv")
    (pairs,), (more,) = (documented(verb, "CSV column") for verb in ("pairs", "failures"))
    assert csv_columns(tmp_path / "pairs.csv") == pairs
    assert csv_columns(tmp_path / "failures.csv") == [*pairs, *more]


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
