"""Coefficients of agreement against krippendorff, statsmodels, published values and direct loops."""

import itertools

import krippendorff
import numpy as np
import pytest
from statsmodels.stats import inter_rater

from kernel_core.review.agreement import (
    MEASURES,
    NO_OVERLAP,
    ONE_VERDICT,
    agreement,
    by_two,
    by_verdict,
    matrix_of,
    self_consistency,
)
from kernel_core.review.verdicts import LABEL_VERDICTS, PAIR_VERDICTS, WITHDRAWN
from kernel_core.review.votes import MISSING, Votes, votes_of
from tests.review.test_judged import judged_of, on

A, B, C = ("test", 0), ("train", 1), ("train", 2)


def votes(codes, kind="pair"):
    codes = np.asarray(codes, np.int16)
    names = tuple(f"r{at}" for at in range(codes.shape[1]))
    known = PAIR_VERDICTS if kind == "pair" else LABEL_VERDICTS
    return Votes(kind, (), names, tuple(known), codes, kind == "pair")


def random_codes(seed, items, reviewers, missing):
    """Each reviewer gives the item's own verdict, or one by chance."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(5))
    own = rng.choice(5, (items, 1), p=shares)
    codes = np.where(rng.random((items, reviewers)) < 0.7, own, rng.choice(5, (items, reviewers), p=shares))
    return np.where(rng.random(codes.shape) < missing, MISSING, codes)


def values(of, **options):
    return agreement(of, resamples=20, **options).set_index("measure")["value"]


def alpha_of(codes, level):
    return krippendorff.alpha(
        np.where(codes == MISSING, np.nan, codes).T, level_of_measurement=level, value_domain=range(5)
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("missing", [0, 0.4])
def test_coefficients_against_other_libraries(seed, missing):
    codes = random_codes(seed, 60, 2 + seed % 4, missing)
    found = values(votes(codes))
    assert found["krippendorff_alpha"] == pytest.approx(alpha_of(codes, "nominal"), abs=1e-12)
    sure = np.where(codes == 4, MISSING, codes)
    assert found["krippendorff_alpha_ordinal"] == pytest.approx(alpha_of(sure, "ordinal"), abs=1e-12)
    if not missing:
        counts = inter_rater.aggregate_raters(codes, n_cat=5)[0]
        assert found["fleiss_kappa"] == pytest.approx(inter_rater.fleiss_kappa(counts), abs=1e-12)
    for row in by_two(votes(codes), resamples=20).itertuples():
        two = codes[:, [int(row.first[1:]), int(row.second[1:])]]
        both = two[(two != MISSING).all(1)]
        table = np.zeros((5, 5))
        np.add.at(table, tuple(both.T), 1)
        assert row.kappa == pytest.approx(inter_rater.cohens_kappa(table).kappa, abs=1e-12)
        assert (row.items, row.agree) == (len(both), np.trace(table))
        assert row.percent == pytest.approx(np.mean(both[:, 0] == both[:, 1]))
        assert (matrix_of(votes(codes), row.first, row.second).to_numpy() == table).all()


@pytest.mark.parametrize("missing", [0, 0.5])
def test_percent_ac1_and_verdicts_against_loops(missing):
    codes = random_codes(3, 80, 4, missing)
    rows = [[v for v in row if v != MISSING] for row in codes]
    rows = [row for row in rows if len(row) > 1]
    same = [np.mean([a == b for a, b in itertools.permutations(row, 2)]) for row in rows]
    shares = [np.mean([row.count(k) / len(row) for row in rows]) for k in range(5)]
    chance = sum(share * (1 - share) for share in shares) / 4
    found = values(votes(codes))
    assert found["percent"] == pytest.approx(np.mean(same))
    assert found["gwet_ac1"] == pytest.approx((np.mean(same) - chance) / (1 - chance))
    p_e = sum(share**2 for share in shares)
    assert found["fleiss_kappa"] == pytest.approx((np.mean(same) - p_e) / (1 - p_e))
    again = by_verdict(votes(codes), resamples=20)["value"]
    for k in range(5):  # weight of an item: its votes for k
        weights = [(row.count(k), (row.count(k) - 1) / (len(row) - 1)) for row in rows if row.count(k)]
        assert again[k] == pytest.approx(np.average([s for _, s in weights], weights=[n for n, _ in weights]))


def test_kappa_falls_at_low_prevalence_and_ac1_does_not():
    """Gwet's example of 125 items: 118 judged so by both, 5 and 2 by one, none otherwise."""
    codes = [[0, 0]] * 118 + [[0, 3]] * 5 + [[3, 0]] * 2
    found = values(votes(codes).by_side())
    assert found["percent"] == pytest.approx(0.944)
    assert found["cohen_kappa"] == pytest.approx(-0.0234, abs=1e-4)
    assert found["gwet_ac1"] == pytest.approx(0.9408, abs=1e-4)


def test_undefined_is_no_agreement():
    nothing = agreement(votes([[0, MISSING], [MISSING, 1]])).set_index("measure")
    assert nothing["value"].isna().all()
    assert set(nothing["why"]) == {NO_OVERLAP}
    assert agreement(votes(np.empty((0, 0))))["value"].isna().all()
    one = agreement(votes([[3, 3]] * 20)).set_index("measure")
    assert one.loc["percent", "value"] == 1
    assert "up to 13.9%" in one.loc["percent", "why"]
    assert one.loc["percent", ["low", "high"]].isna().all()
    rest = one.drop(index="percent")
    assert rest["value"].isna().all()
    assert set(rest["why"]) == {ONE_VERDICT}
    labels = agreement(votes([[0, 1, 0]], "label")).set_index("measure")["why"]
    assert labels["krippendorff_alpha_ordinal"] == "these verdicts have no order"
    assert labels["cohen_kappa"] == "for two reviewers; there are 3"
    rare = agreement(votes([[3, 3]] * 20 + [[3, 0]])).set_index("measure")
    assert "too few" in rare.loc["cohen_kappa", "why"]
    assert by_verdict(votes([[3, 3]] * 20))["why"].tolist()[:3] == ["nobody gave it"] * 3


def test_sides_join_what_counts_as_a_leak():
    codes = [[0, 2], [1, 0], [3, 3], [4, 3], [2, 3]]
    sides = votes(codes).by_side()
    assert sides.codes.tolist() == [[0, 0], [0, 0], [1, 1], [MISSING, 1], [0, 1]]
    assert values(sides)["percent"] == 0.75
    assert values(votes([[0, 2], [1, 3], [4, 0]], "label").by_side())["percent"] == pytest.approx(1)


def test_intervals_are_seeded_and_those_of_single_draws():
    codes = random_codes(5, 50, 3, 0.2)
    first, second = agreement(votes(codes), seed=1), agreement(votes(codes), seed=1)
    assert first.equals(second)
    assert not first.equals(agreement(votes(codes), seed=2))
    rng = np.random.default_rng(0)
    shared = codes[(codes != MISSING).sum(1) > 1]
    draws = [alpha_of(shared[rng.integers(0, len(shared), len(shared))], "nominal") for _ in range(1_000)]
    row = first.set_index("measure").loc["krippendorff_alpha"]
    assert [row["low"], row["high"]] == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.03)


@pytest.mark.slow
def test_intervals_cover_the_value_of_all_items():
    everything = random_codes(11, 20_000, 3, 0.3)
    true = values(votes(everything))
    rng = np.random.default_rng(1)
    hits = {name: 0 for name in MEASURES if name != "cohen_kappa"}
    for _ in range(200):
        found = agreement(votes(everything[rng.choice(len(everything), 150, replace=False)]), resamples=500)
        for row in found.itertuples():
            if row.measure in hits:
                hits[row.measure] += row.low <= true[row.measure] <= row.high
    assert all(180 <= count <= 199 for count in hits.values()), hits


def test_blind_and_first_verdicts_count_by_default():
    a_first = on(A, B, "exact", "ann", at="2026-01-01")
    b_sees = on(A, B, "exact", "bob", at="2026-01-02")
    c_blind = on(A, B, "different", "cy", at="2026-01-03", blind=True)
    gold = on(A, B, "exact", "judge", at="2026-01-04", design="gold")
    a_again = on(A, B, "unsure", "ann", at="2026-01-05", repeats=a_first.id)
    a_changed = on(A, B, "different", "ann", at="2026-01-06", supersedes=a_again.id)
    judged = judged_of([a_first, b_sees, c_blind, gold, a_again, a_changed])
    own = votes_of(judged, "pair")
    assert own.reviewers == ("ann", "cy")
    assert own.codes.tolist() == [[0, 3]]
    assert own.left_out == 1
    every = votes_of(judged, "pair", "all")
    assert (every.reviewers, every.codes.tolist()) == (("ann", "bob", "cy"), [[3, 0, 3]])
    blind = votes_of(judged, "pair", "blind")
    assert (blind.reviewers, blind.left_out) == (("cy",), 2)
    assert votes_of(judged, "pair", "all", ["bob", "cy"]).codes.tolist() == [[0, 3]]
    assert votes_of(judged, "label").codes.shape == (0, 0)


def test_second_looks_are_compared_with_the_first():
    first = [on(A, b, "exact", "ann") for b in (B, C)]
    again = [
        on(A, B, "different", "ann", repeats=first[0].id, supersedes=first[0].id),
        on(A, C, "exact", "ann", repeats=first[1].id),
        on(A, B, "exact", "bob", repeats="unknown"),
    ]
    (row,) = self_consistency(judged_of([*first, *again]), "pair").to_dict("records")
    assert (row["reviewer"], row["items"], row["agree"], row["percent"]) == ("ann", 2, 1, 0.5)
    undo = on(A, B, WITHDRAWN, "ann", supersedes=again[0].id)
    (row,) = self_consistency(judged_of([*first, *again, undo]), "pair").to_dict("records")
    assert (row["items"], row["agree"]) == (1, 1)
