"""The verb `sample`: the draw, what verdicts say of the total, and what counts as a sample of what."""

import io
import json

import pandas as pd
import pytest

from kernel_core.results.opening import open_results
from kernel_core.results.pair_orders import ordered_pairs
from kernel_core.review.sampling import draw_sample
from kernel_core.review.verdicts import Shown
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke
from tests.support.verdicts import Plant

TRUE = 25  # ranks that the planted verdicts call duplicates


@pytest.fixture
def pairs(digits_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "v.jsonl"))
    return ordered_pairs(open_results(SourceRequest("digits")), "kernel")


@pytest.fixture
def judge(pairs, tmp_path):
    """A function that judges ranks truly: of a sample along a ranking, or of a list."""
    plant = Plant(open_results(SourceRequest("digits")), tmp_path / "v.jsonl")
    strata = draw_sample(len(pairs), len(pairs), 0).set_index("rank")["stratum"]

    def of(ranks, along=""):
        plant.shown = Shown("kernel", filter=f"sample:{along}:200:0" if along else "near_duplicates:kernel")
        for row in pairs.iloc[[rank - 1 for rank in ranks]].itertuples():
            drawn = {"design": "sample", "stratum": strata[row.rank], "inclusion_probability": 0.1}
            verdict = "near-duplicate" if row.rank <= TRUE else "different"
            a, b = ("test", row.query_index), ("train", row.database_index)
            plant(a, b, verdict, **(drawn if along else {}))

    return of


def answer(*options):
    done = invoke("sample", "digits", *options, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_table_is_the_draw_with_its_pairs_and_verdicts(pairs, judge):
    judge([1, 2, 60])
    done = invoke("sample", "digits", "--size", 40, "--seed", 5, "--csv", "-")
    table = pd.read_csv(io.StringIO(done.stdout), keep_default_na=False)
    drawn = draw_sample(len(pairs), 40, 5)
    assert table["rank"].tolist() == drawn["rank"].tolist()
    assert table["query_index"].tolist() == pairs.set_index("rank").loc[drawn["rank"]]["query_index"].tolist()
    assert set(table.loc[~table["rank"].isin([1, 2, 60]), "verdict"]) == {""}
    assert table["place"].tolist() == list(range(1, 41))


def test_estimate_is_of_sample_and_census(judge, pairs):
    drawn = draw_sample(len(pairs), 90, 0)["rank"].tolist()
    judge(range(1, 41))
    judge([rank for rank in drawn if rank > 40], along="kernel:kernel")
    found = answer()["estimate"]
    assert (found["judged"], found["found"], found["unknown"]) == (40 + found["drawn"], TRUE, 0)
    assert found["estimate"] == found["low"] == TRUE
    assert TRUE < found["high"] < 60
    text = invoke("sample", "digits").stdout
    assert f"Duplicates: about {TRUE} of {len(pairs):,}, 95% interval {TRUE} to" in text
    assert "/review?kind=pair&list=sample:kernel:kernel:200:0" in text


def test_what_was_drawn_along_another_ranking_is_census(judge, pairs):
    judge([1, 2], along="kernel:kernel")
    judge([3], along="kernel:twin")
    judge([4], along="pixels:kernel")
    judge([2], along="")
    rows = answer()["strata"]
    assert (rows[0]["drawn"], rows[0]["census"]) == (1, 3)
    twin = answer("--order", "twin")["strata"]
    assert sum(row["drawn"] for row in twin) <= 1
    assert sum(row["drawn"] + row["census"] for row in twin) == 4


def test_counted_verdicts_and_bad_options(judge):
    judge([1, 2, 60])
    assert answer("--leaked", "exact")["estimate"]["found"] == 0
    assert answer("--leaked", "exact, near-duplicate")["estimate"]["found"] == 2
    done = invoke("sample", "digits", "--leaked", "exact,same")
    assert done.exit_code == 2
    assert "Found 'same' in --leaked; expected one or more of exact, near-duplicate, " in done.stderr
    assert invoke("sample", "digits", "--size", 0).exit_code == 2
