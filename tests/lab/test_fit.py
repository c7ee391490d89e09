"""Fitted curves on planted ones: how often the interval of a promise holds what is planted."""

import numpy as np
import pytest
from scipy.stats import norm

from kernel_core.lab.fit import RATES, draw_curves, spread_of

N = np.array([5, 7, 10, 14, 20, 29.0])
SETS = np.array([4, 4, 4, 4, 2, 2])
AHEAD = 118.0


def planted_sets(share, scale, random):
    """Shares of sets about a planted curve, whose errors fall as in real ensembles."""
    return [
        (share(n) + scale * n**-0.25 * random.normal(size=k)).tolist() for n, k in zip(N, SETS, strict=True)
    ]


def drawn(values, random, trials=2_000, **options):
    means = np.array([[np.mean(of) for of in values]])
    return draw_curves(N, means, SETS, spread_of(values, N, trials), random, each=1_000, **options)


@pytest.mark.parametrize(
    ("level", "drop", "rate", "normal"),
    [(0.82, 0.08, 0.5, False), (0.98, 0.2, 1.2, False), (0.81, 0.0, 1.0, False), (2.0, 3.0, 0.4, True)],
)
def test_interval_holds_a_planted_curve_about_as_often_as_it_says(level, drop, rate, normal):
    def share(n):
        value = level - drop * (n / 5) ** -rate
        return norm.cdf(value) if normal else value

    random, held, widths = np.random.default_rng(7), [], []
    for _ in range(60):
        values = planted_sets(share, 0.01, random)
        low, high = np.quantile(drawn(values, random, normal=normal).at(AHEAD), (0.025, 0.975))
        held.append(low <= share(AHEAD) <= high)
        widths.append(high - low)
    assert np.mean(held) >= 0.9
    assert np.mean(widths) < 0.25  # an interval that says anything would hold it too


def test_few_draws_are_those_of_a_brute_force_posterior():
    """The same means and errors, but level, drop and rate on a fine grid, weighted by their likelihood."""
    values = [[0.7, 0.72, 0.71, 0.69], [0.74] * 4, [0.77] * 4, [0.78, 0.8, 0.79, 0.79], [0.8] * 2, [0.82] * 2]
    spread = spread_of(values, N, 500)
    found = drawn(values, np.random.default_rng(0), trials=500).at(AHEAD)
    means = np.array([np.mean(of) for of in values])
    error = spread.of_one(N) / np.sqrt(SETS) * (N[-1] / N)
    level, drop = (
        axis.ravel() for axis in np.meshgrid(np.linspace(0.7, 1, 301), np.linspace(-0.5, 0.5, 401))
    )
    ahead, weight = [], []
    for rate in RATES:
        off = (level[:, None] - drop[:, None] * (N / N[0]) ** -rate - means) / error
        weight.append(np.exp(-(off**2).sum(1) / 2))
        ahead.append(level - drop * (AHEAD / N[0]) ** -rate)
    weight, ahead = np.concatenate(weight), np.concatenate(ahead)
    mean = (weight * ahead).sum() / weight.sum()
    width = np.sqrt((weight * (ahead - mean) ** 2).sum() / weight.sum())
    assert found.mean() == pytest.approx(mean, abs=0.15 * width)
    # The spread is taken as unknown as it is, of few differences, which makes the draws a little wider.
    assert 0.9 * width < found.std() < 1.5 * width


def test_curve_that_goes_on_is_not_said_to_be_known():
    random = np.random.default_rng(1)
    ended = drawn(planted_sets(lambda n: 0.9 - 0.4 * n**-1.5, 0.002, random), random)
    going_on = drawn(planted_sets(lambda n: 0.4 + 0.06 * np.log(n), 0.002, random), random)
    assert ended.known
    assert not going_on.known


def test_draws_stay_in_their_range():
    random = np.random.default_rng(2)
    found = drawn(planted_sets(lambda n: 0.999 - 0.3 * n**-0.5, 0.005, random), random)
    assert ((found.level >= 0) & (found.level <= 1)).all()
    assert np.isin(found.rate, RATES).all()
    lead = drawn(planted_sets(lambda n: -0.2 / n, 0.005, random), random, bounds=(-1, 0.1))
    assert ((lead.level >= -1) & (lead.level <= 0.1)).all()


def test_spread_of_equal_sets_is_that_of_rounding():
    spread = spread_of([[0.5] * 4] * 6, N, 100)
    assert spread.freedom == 18
    assert spread.of_one(N)[0] == pytest.approx(0.01 / np.sqrt(12))
