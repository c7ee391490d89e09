"""Rows by what was judged of them, from verbs and door, with verdicts planted on the digits."""

import io
import json
import warnings

import pandas as pd
import pytest

import kernel_core
from kernel_core.errors import DataError, RequestError
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.review.verdicts import Item, Shown, Verdict
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke
from tests.support.verdicts import Plant


@pytest.fixture
def plant(own_digits_cache, tmp_path):
    results = open_results(SourceRequest("digits"), Store(own_digits_cache))
    return Plant(results, tmp_path / "v.jsonl")


@pytest.fixture
def table(plant):
    """Runs a verb with the planted verdicts; returns its rows, and what it said on stderr."""

    def run(verb, *options):
        done = invoke(verb, "digits", *options, "--verdicts", plant.path, "--csv", "-")
        assert done.exit_code == 0, done.output
        return pd.read_csv(io.StringIO(done.stdout), keep_default_na=False), done.stderr

    return run


def named(row, side):
    return row[f"{side}_split"], int(row[f"{side}_index"])


def test_pairs_by_verdict_and_reviewer_with_their_columns(plant, table):
    everything, said = table("pairs", "--ranks", "1-500")
    assert "verdict" not in everything
    assert "verdict" not in said
    pairs = [(named(row, "query"), named(row, "database")) for _, row in everything.head(3).iterrows()]
    plant(*pairs[0], "exact")
    plant(*pairs[1][::-1], "exact")
    plant(*pairs[1], "different", "Bob")
    plant(*pairs[2], "different", "Bob")
    judged, _ = table("pairs", "--judged", "judged")
    columns = ["rank", "verdict", "reviewers", "votes"]
    assert judged[columns].to_numpy().tolist() == [
        [1, "exact", "Ann", 1], [2, "disputed", "Ann, Bob", 2], [3, "different", "Bob", 1],
    ]  # fmt: skip
    assert list(judged)[-3:] == columns[1:]
    kept = {
        ("--judged", "exact"): [1],
        ("--judged", "exact", "--reviewer", "Ann"): [1, 2],
        ("--reviewer", "Bob"): [2, 3],
        ("--judged", "disputed", "--reviewer", "Bob"): [2],
        ("--judged", "unjudged", "--ranks", "1-2"): [4, 5],
        ("--judged", "unjudged", "--reviewer", "Bob", "--ranks", "1-2"): [1, 4],
        ("--judged", "unsure"): [],
    }
    explorer = kernel_core.open("digits", verdicts=plant.path)
    for options, ranks in kept.items():
        rows, _ = table("pairs", *options)
        assert rows["rank"].tolist() == ranks, options
        asked = dict(zip((name.strip("-") for name in options[::2]), options[1::2], strict=True))
        last = 2 if asked.pop("ranks", "") else None
        assert explorer.pairs(1, last, **asked)["rank"].tolist() == ranks, options
    assert explorer.pairs(1, 2)["verdict"].tolist() == ["exact", "disputed"]


def test_labels_failures_and_groups_by_verdict(plant, table):
    first = table("labels")[0].iloc[0]
    plant(named(first, "query"), verdict="guessed", proposed_label="1")
    explorer = kernel_core.open("digits", verdicts=plant.path)
    for verb, rows, more in (
        ("labels", explorer.labels, {}),
        ("failures", explorer.failures, {"order": "label to check"}),
    ):
        options = [word for name, value in more.items() for word in (f"--{name}", value)]
        listed, _ = table(verb, "--judged", "guessed", *options)
        assert set(listed["query_index"]) == {int(first["query_index"])}
        assert set(listed["verdict"]) == {"guessed"}
        assert rows(judged="guessed", **more)["query"].tolist() == [f"test:{first['query_index']}"]
    printed = invoke("labels", "digits", "--top", 1, "--verdicts", plant.path).stdout
    assert printed.splitlines()[2].split()[-3:] == ["guessed", "Ann", "1"]
    members = table("groups")[0]
    assert "judged_pairs" not in members
    second = members[members["group"] == 2]
    a, b = zip(second["split"].head(2), second["index"].head(2), strict=True)
    plant(b, a, "exact")
    for options, groups in ((["judged"], {2}), (["exact", "--reviewer", "Ann"], {2}), (["different"], set())):
        assert set(table("groups", "--judged", *options)[0]["group"]) == groups
    judged = "groups", "digits", "--judged", "judged", "--verdicts", plant.path
    (group,) = json.loads(invoke(*judged, "--json").stdout)["groups"]
    assert (group["judged_pairs"], group["verdicts"], len(group["members"])) == (1, "exact 1", len(second))
    assert "exact 1" in invoke(*judged).stdout
    unjudged = table("groups", "--judged", "unjudged")[0]
    assert set(unjudged["group"]) == set(members["group"]) - {2}
    marked = explorer.groups(judged="exact", build=True)
    assert marked[["judged_pairs", "verdicts"]].drop_duplicates().to_numpy().tolist() == [[1, "exact 1"]]


def test_verdicts_on_other_examples_are_counted_and_listed(plant, table):
    plant(("test", 0), ("train", 1))
    foreign = Verdict(
        "label", Item("test", 7, "0" * 64), None, "given", "Ann", shown=Shown(source="another\x1bset")
    )
    with plant.path.open("a") as file:
        file.write(json.dumps(foreign.to_json()) + "\nnonsense\n")
    _, said = table("pairs")
    assert "1 of 2 verdicts are on examples that digits does not have." in said
    assert "line 3 is no verdict" in said
    explorer = kernel_core.open("digits", verdicts=plant.path)
    assert explorer.verdicts()[["a", "b", "reviewer"]].to_numpy().tolist() == [["test:0", "train:1", "Ann"]]
    assert explorer.verdicts("label").empty
    assert explorer.verdicts("label", unmatched=True)["a"].tolist() == ["test:7"]
    assert explorer.verdicts("pair", unmatched=True).empty
    plant.path.write_text(json.dumps(foreign.to_json()) + "\n")
    _, said = table("labels")
    assert "0 of 1 verdicts are on examples of digits; the file names the source another\\x1bset." in said


def test_unreadable_file_is_a_warning_unless_rows_are_chosen_by_it(plant, digits_cache):
    plant.path.mkdir()
    options = "pairs", "digits", "--ranks", "1-1"
    environment = dict(digits_cache, KERNEL_EXPLORER_VERDICTS=str(plant.path))
    done = invoke(*options, env=environment)
    assert done.exit_code == 0, done.output
    assert "warning: " in done.stderr
    done = invoke(*options, "--judged", "judged", env=environment)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    explorer = kernel_core.open("digits", verdicts=plant.path)
    with pytest.warns(UserWarning, match=r"v\.jsonl"):
        assert len(explorer.pairs(1, 3)) == 3
    with pytest.raises(DataError):
        explorer.pairs(judged="judged")


def test_no_verdicts_are_said_only_where_rows_are_chosen_by_them(plant, table):
    rows, said = table("pairs", "--judged", "judged")
    assert rows.empty
    assert "There are no verdicts yet" in said
    assert "verdicts" not in table("pairs")[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel_core.open("digits", verdicts=plant.path).verdicts().empty
    with pytest.raises(RequestError, match="expected one of judged, unjudged, disputed, exact"):
        kernel_core.open("digits").pairs(judged="given")
