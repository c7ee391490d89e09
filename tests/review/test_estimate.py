"""The estimated total: the formula by hand, its limits, the census, coverage on planted positives."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom
from statsmodels.stats.proportion import proportion_confint

from kernel_core.review.along_ranking import precision_and_recall
from kernel_core.review.estimate import estimate_total, plan_more, wilson
from kernel_core.review.sampling import Stratum, default_strata
from tests.trials.estimate_coverage import SHAPES, judge, measure

TWO = (Stratum("top", 1, 20), Stratum("rest", 21, 100))


def verdicts(*rows):
    """(rank, positive, sampled) → the table of what is judged."""
    return pd.DataFrame(rows, columns=["rank", "positive", "sampled"])


def test_wilson_is_that_of_statsmodels():
    for found, total in ((0, 5), (5, 5), (3, 40), (325, 10_000)):
        assert wilson(found, total) == pytest.approx(proportion_confint(found, total, 0.05, "wilson"))
    assert wilson(0, 0) == (0, 1)


def test_total_and_variance_are_those_of_the_formula():
    top = [(rank, float(rank <= 6), True) for rank in range(1, 11)]
    rest = [(rank, float(rank == 21), True) for rank in range(21, 29)]
    total = estimate_total(100, verdicts(*top, *rest), TWO)
    assert total.estimate == pytest.approx(20 * 0.6 + 80 / 8)
    of_top = 20**2 * (1 - 10 / 20) * 0.6 * 0.4 / 9
    assert total.variance == pytest.approx(of_top + 80**2 * (1 - 8 / 80) * (1 / 8) * (7 / 8) / 7)
    assert (total.found, total.judged, total.unsure, total.unknown, total.drawn) == (7, 18, 0, 0, 18)


def test_limits_of_a_stratum_are_exact():
    some = verdicts(*[(rank, float(rank <= 3), True) for rank in range(1, 13)])
    total = estimate_total(100, some, (Stratum("all", 1, 100),))
    likely = [k for k in range(3, 92) if hypergeom.cdf(3, 100, k, 12) > 0.025
              and hypergeom.sf(2, 100, k, 12) > 0.025]  # fmt: skip
    assert (total.low, total.high) == pytest.approx((min(likely), max(likely)))
    none = verdicts(*[(rank, 0.0, True) for rank in range(1, 13)])
    assert estimate_total(100, none, (Stratum("all", 1, 100),)).high == 100 * (1 - 0.05 ** (1 / 12))


def test_census_has_no_variance_and_is_no_sample():
    queue = [(rank, float(rank <= 15), False) for rank in range(1, 21)]
    drawn = [(rank, float(rank <= 22), True) for rank in range(21, 41)]
    total = estimate_total(100, verdicts(*queue, *drawn), TWO)
    alone = estimate_total(80, verdicts(*[(r - 20, p, s) for r, p, s in drawn]), (Stratum("", 1, 80),))
    for name in ("estimate", "low", "high"):
        assert getattr(total, name) == pytest.approx(15 + getattr(alone, name))
    assert total.variance == alone.variance
    within = verdicts(*drawn, (41, 1.0, False), (42, 0.0, False))
    row = estimate_total(100, within, TWO).strata.loc[1]
    assert (row["census"], row["census_found"], row["rest"], row["drawn"]) == (2, 1, 78, 20)
    assert row["estimate"] == pytest.approx(1 + 78 * 2 / 20)


def test_what_nothing_is_known_of_is_all_in_the_upper_limit():
    nothing = estimate_total(100, verdicts())
    assert (nothing.estimate, nothing.low, nothing.high, nothing.unknown) == (0, 0, 100, 100)
    top = estimate_total(100, verdicts(*[(rank, 1.0, True) for rank in range(1, 21)]), TWO)
    assert (top.estimate, top.low, top.high, top.unknown) == (20, 20, 100, 80)
    one = estimate_total(100, verdicts((30, 1.0, True)), TWO)
    assert (one.low, one.estimate, one.high, one.unknown) == (pytest.approx(2, abs=1), 80, 100, 20)
    assert one.variance == 80**2 * (1 - 1 / 80) / 4
    assert estimate_total(0, verdicts()).high == 0


def test_unsure_is_no_in_the_lower_limit_and_yes_in_the_upper():
    rows = [(rank, float(rank <= 25), True) for rank in range(21, 61)]
    unsure = [(rank, np.nan if rank > 55 else positive, sampled) for rank, positive, sampled in rows]
    yes = [(rank, 1.0 if rank > 55 else positive, sampled) for rank, positive, sampled in rows]
    as_no, as_yes, open_ = (estimate_total(100, verdicts(*part), TWO[1:]) for part in (rows, yes, unsure))
    assert (open_.estimate, open_.low, open_.high) == (as_no.estimate, as_no.low, as_yes.high)
    assert (open_.unsure, open_.judged) == (5, 40)


@pytest.mark.parametrize("shape", SHAPES)
def test_interval_holds_planted_totals(shape):
    row = measure(shape, 2_000, 120, first=20, seeds=60)
    assert float(row["interval holds it"].rstrip("%")) >= 91
    assert float(row["mean estimate"]) == pytest.approx(row["total"], rel=0.15, abs=5)


def test_variance_is_that_of_the_estimates():
    positive = np.arange(1, 501) % 5 == 0
    totals = [estimate_total(500, judge(positive, 120, seed)) for seed in range(100)]
    estimates = [total.estimate for total in totals]
    assert np.mean(estimates) == pytest.approx(100, abs=3 * np.std(estimates) / 100**0.5)
    assert np.mean([total.variance for total in totals]) == pytest.approx(np.var(estimates), rel=0.4)


def test_plan_is_what_more_verdicts_give():
    positive = np.arange(1, 2_001) <= 50
    now = estimate_total(2_000, judge(positive, 60, seed=1))
    plan = plan_more(now, (40, 140, 5_000))
    assert plan["more"].tolist() == [40, 140, 1_940]
    assert plan["width"].is_monotonic_decreasing
    assert plan["width"].iloc[0] < now.high - now.low
    for more, width in zip(plan["more"][:2], plan["width"], strict=False):
        then = [estimate_total(2_000, judge(positive, 60 + more, seed)) for seed in range(20)]
        assert width == pytest.approx(np.mean([total.high - total.low for total in then]), rel=0.2)
    assert plan["width"].iloc[-1] == 0
    assert plan_more(estimate_total(0, verdicts())).empty


def test_precision_and_recall_along_a_ranking():
    positive = np.zeros(500, bool)
    positive[:40] = positive[100:110] = True
    whole = judge(positive, 500, seed=0)
    along = precision_and_recall(500, whole, depths=[10, 40, 62, 110, 500])
    assert along["precision"].tolist() == pytest.approx([1, 1, 40 / 62, 50 / 110, 50 / 500])
    assert along["recall"].tolist() == pytest.approx([10 / 50, 40 / 50, 40 / 50, 1, 1])
    assert (along["recall_low"] == along["recall_high"]).all()
    covered = []
    for seed in range(40):
        some = precision_and_recall(500, judge(positive, 120, seed))
        assert some["k"].tolist() == [stratum.last for stratum in default_strata(500)]
        truth = np.cumsum(positive)[some["k"] - 1]
        for share, of in (("precision", some["k"]), ("recall", 50)):
            covered.append((some[share + "_low"] <= truth / of) & (truth / of <= some[share + "_high"]))
    assert np.mean(covered) >= 0.95
    none = precision_and_recall(500, verdicts())
    assert none["recall"].isna().all()
    assert none[["recall_low", "precision_low"]].to_numpy().max() == 0
