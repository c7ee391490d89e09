"""How many runs: where planted curves pass, what is drawn anew, and what is checked with few runs."""

import numpy as np
import pytest

from kernel_core.lab import ask, runs
from kernel_core.lab.ask import Order
from kernel_core.lab.curves import passes_at
from kernel_core.lab.further import further
from kernel_core.lab.resampled import resampled_shares
from kernel_core.lab.run_sets import ladder
from kernel_core.lab.runs import _passing
from kernel_core.lab.setting import Point
from kernel_core.sources.source import SourceRequest


def planted_points(share_of, n=4_000, seed=17):
    """Points whose votes are right on planted shares of the examples. share_of: vote → share of runs."""
    random, by_count = np.random.default_rng(seed), {}
    hard = {vote: random.random(n) for vote in share_of}  # an example is right where a share exceeds this
    for count in (4, 8, 16, 32, 64):
        sets = 4 if count < 32 else 1
        by_count[count] = [
            Point(
                np.zeros(n, np.int32),
                {
                    vote: hard[vote] + random.normal(scale=0.02, size=n) < of(count)
                    for vote, of in share_of.items()
                },
            )
            for _ in range(sets)
        ]
    return by_count


def test_ladder_halves_every_second_step():
    for count in (4, 7, 59, 64, 1000):
        steps = ladder(count)
        assert steps[-1] == count
        assert min(steps) >= 4
        assert {step // 2 for step in steps if step >= 8} <= {*steps, *(step // 2 for step in steps[1::2])}
    assert ladder(64) == [4, 5, 8, 11, 16, 22, 32, 45, 64]


def test_vote_passes_where_it_is_planted_to(monkeypatch):
    monkeypatch.setattr(runs, "REPEATS", 200)
    by_count = planted_points(
        {
            "knn3": lambda n: 0.7 + 0.05 * np.log2(n / 16),
            "ensemble": lambda n: 0.725,
            "weighted20": lambda n: 0.5,
        }
    )
    place, resampled = _passing(by_count, "knn3", seed=0)  # at 16 · √2
    low, high = np.quantile(resampled, (0.025, 0.975))
    assert low < place < high < 40
    assert low < 16 * np.sqrt(2) < high
    never, _ = _passing(by_count, "weighted20", seed=0)
    assert never is None
    assert passes_at([4, 8, 16], [-1.0, 0.5, 2.0]) == pytest.approx(4 * 2 ** (2 / 3))


def test_resampled_shares_vary_as_a_mean_does():
    random = np.random.default_rng(3)
    right = [(random.random((sets, 500)) < 0.7).astype(float) for sets in (4, 1)]
    found = resampled_shares(right, 2_000, seed=1, with_sets=False)
    for n, of in enumerate(right):
        assert found[:, n].mean() == pytest.approx(of.mean(), abs=0.002)
        assert found[:, n].std() == pytest.approx(of.mean(0).std() / np.sqrt(500), rel=0.1)
    with_sets = resampled_shares(right, 2_000, seed=1)
    assert with_sets[:, 0].var() > found[:, 0].var()
    assert with_sets[:, 1].var() == pytest.approx(found[:, 1].var(), rel=0.1)  # of one set nothing is drawn
    assert (resampled_shares(right, 60, seed=1) == resampled_shares(right, 60, seed=1)).all()


def test_promise_of_planted_shares_is_kept():
    by_count = planted_points(
        {"knn3": lambda n: 0.8 - 0.2 / n, "weighted20": lambda n: 0.85 - 0.4 / n, "ensemble": lambda n: 0.8}
    )
    votes = {"knn3": "plain", "weighted20": "weighted", "ensemble": "ensemble"}
    panels, (table,), (checked, ahead) = further(by_count, votes, seed=0)
    assert "sets of up to 32 runs: for all 64" in checked
    assert "640 runs" in ahead
    assert [row[0] for row in table.rows] == ["plain", "weighted", "ensemble"]
    for curve, level in zip(panels[0].curves, (0.8, 0.85, 0.8), strict=True):
        assert curve.low[-1] < level < curve.high[-1]


def test_all_runs_are_checked_by_half_of_them(source_folder, cache):
    found = ask.ask("runs", SourceRequest(str(source_folder / "source.toml")), Order(), device="cpu")
    count = found.asked["runs"]
    (checked,) = (said for said in found.seen if said.startswith("To check"))
    assert f"sets of up to {count // 2:,} runs: for all {count:,}" in checked
    assert checked.count("measured") >= 3
