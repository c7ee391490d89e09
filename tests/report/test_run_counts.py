"""What fewer runs find, on the planted source, computed again the slow way."""

import json

import numpy as np
import pandas as pd
import pytest

from kernel_core.findings.pairs import WINDOW
from kernel_core.report.run_counts import SHARES, sentences
from tests.report.test_report import knn3
from tests.support.command import invoke
from tests.support.oracle import kernel

PAIRS = 40  # of the planted source: fewer than a window


@pytest.fixture
def answer(source_folder, cache):
    done = invoke("runs", source_folder, "--csv", cache.parent / "runs.csv", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_each_row_is_what_the_slow_way_gives(answer, planted):
    whole = kernel(planted.test, planted.train)
    assert [row["runs"] for row in answer["by_runs"]] == [10, 20, 24]
    for row in answer["by_runs"]:
        n = row["runs"]
        test, train = planted.test[:n].astype(np.float64), planted.train[:n].astype(np.float64)
        nearest = kernel(test, train).argmax(1)
        same = (nearest == whole.argmax(1)).mean()
        expected = {
            "single": (test.argmax(2) == planted.test_labels).mean(),
            "ensemble": (test.mean(0).argmax(1) == planted.test_labels).mean(),
            "kernel_knn3": knn3(kernel(test, train), planted),
            "agreement": same,
            "pairs_kept": same,  # all pairs are looked for: they are fewer than a window
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-12)
        assert row["pairs"] == min(PAIRS, WINDOW)
        for name in SHARES:
            assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(wilson(row[name]), abs=1e-9)


def wilson(share, trials=PAIRS, z=1.959963984540054):
    """Both ends of Wilson's interval by its formula, of a share rounded to whole trials."""
    share = round(share * trials) / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return middle - half, middle + half


def test_second_call_finds_all_in_the_cache(answer, source_folder, cache):
    again = invoke("runs", source_folder)
    assert again.exit_code == 0, again.output
    assert again.stderr == ""
    assert again.stdout.splitlines()[-1] == sentences(pd.DataFrame(answer["by_runs"]), "training example")
    table = pd.read_csv(cache.parent / "runs.csv")
    assert table.to_dict("records") == answer["by_runs"]
    listed = invoke("cache", "list").stdout
    assert listed.count("test predictions of 10 runs") == 1


def test_the_sentence_compares_the_middle_with_all():
    rows = [(10, 0.5, 0.6, 0.7, 0.7), (20, 0.806, 0.9, 0.79, 0.8), (59, 1, 1, 0.8, 0.81)]
    table = pd.DataFrame(rows, columns=["runs", "agreement", "pairs_kept", "ensemble", "kernel_knn3"])
    table = table.assign(pairs=500, kernel_knn3_low=table["kernel_knn3"] - 0.02)
    assert sentences(table, "training example") == (
        "With 20 of 59 runs, 81% of the nearest training examples are the same as with all, and 90% of the "
        "first 500 pairs; the ensemble is right on 79.0% (all: 80.0%). The kernel's 3 nearest vote as well "
        "as with all runs, within the 95% interval, from 20 runs on."
    )
