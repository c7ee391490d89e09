"""The verb `labels`: both splits, filters, files; training labels come with a warning."""

import io
import json

import pandas as pd
import pytest

from kernel_core.findings.labels_to_check import ORDERS
from tests.support.command import invoke


def table(*arguments, env=None):
    done = invoke("labels", *arguments, "--csv", "-", env=env)
    assert done.exit_code == 0, done.output
    return pd.read_csv(io.StringIO(done.stdout)), done.stderr


def test_every_order_of_test_labels_is_by_rising_score(digits_cache):
    for order in ORDERS:
        rows, said = table("digits", "--order", order, env=digits_cache)
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert rows["score"].is_monotonic_increasing or order == "confident learning"
        assert "warning" not in said
        assert f"by {order}: ensemble and neighbors (by Kernel) agree on another class for" in said


@pytest.mark.usefixtures("own_digits_cache")
def test_training_labels_that_every_run_has_seen_come_with_a_warning(tmp_path):
    parquet = tmp_path / "l.parquet"
    rows, said = table("digits", "--split", "train", "--parquet", parquet, "--top", 30)
    assert "warning: The runs were trained on these labels" in said
    assert set(rows["query_split"]) == set(rows["database_split"]) == {"train"}
    assert (rows["query_index"] != rows["database_index"]).all()
    assert pd.read_parquet(parquet)["query_index"].tolist() == rows["query_index"].tolist()
    assert len(rows) == 30


def test_filters_keep_ranks_and_people_see_names(digits_cache):
    rows, _ = table("digits", env=digits_cache)
    some, said = table("digits", "--class", "8", "--proposed", "1", env=digits_cache)
    kept = rows[(rows["query_label"] == 8) & (rows["proposed"] == 1)]
    assert some["rank"].tolist() == kept["rank"].tolist()
    assert f"{len(kept)} of these examples pass the filter." in said
    both, _ = table("digits", "--both", env=digits_cache)
    assert both["query_index"].tolist() == rows["query_index"][rows["both_against"]].tolist()
    done = invoke("labels", "digits", "--top", 2, env=digits_cache)
    first = rows.iloc[0]
    lines = done.stdout.splitlines()
    assert lines[2].split()[:4] == ["1", f"test:{first['query_index']}", "4", "0.03"]
    assert len(lines) == 4


def test_twin_score_is_refused_where_there_is_none(digits_cache):
    done = invoke(
        "labels", "digits", "--order", "twin score", "--similarity", "penultimate-euclidean", env=digits_cache
    )
    assert done.exit_code == 2
    assert "There is no twin score by penultimate-euclidean" in done.stderr


def test_two_answers_on_stdout_and_unknown_classes_are_refused(digits_cache):
    assert invoke("labels", "digits", "--csv", "-", "--parquet", "-", env=digits_cache).exit_code == 2
    done = invoke("labels", "digits", "--proposed", "cat", env=digits_cache)
    assert done.exit_code == 2
    assert "No class is called 'cat'" in done.stderr
    answer = json.loads(invoke("labels", "digits", "--top", 1, "--json", env=digits_cache).stdout)
    assert (answer["count"], len(answer["labels"]), answer["predictions"]) == (500, 1, "test")
