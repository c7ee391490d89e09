"""A sample along a ranking: strata that cover it, shares that are as said, beginnings that are fair."""

import numpy as np
import pytest

from kernel_core.errors import RequestError
from kernel_core.review.sampling import FEW, SMALLEST, default_strata, draw_sample


@pytest.mark.parametrize("count", [0, 1, 31, 63, 64, 65, 500, 10_000, 50_001])
def test_strata_cover_a_ranking_once(count):
    strata = default_strata(count)
    ranks = [rank for stratum in strata for rank in range(stratum.first, stratum.last + 1)]
    assert ranks == list(range(1, count + 1))
    assert [len(stratum) for stratum in strata] == sorted(len(stratum) for stratum in strata)
    assert count < SMALLEST or min(len(stratum) for stratum in strata) >= SMALLEST


def test_beginning_of_a_sample_is_the_smaller_sample():
    whole = draw_sample(10_000, 400, seed=3)
    assert whole["rank"].is_unique
    assert whole["place"].tolist() == list(range(1, 401))
    for size in (1, 26, 27, 28, 100, 399):
        some = draw_sample(10_000, size, seed=3)
        assert some["rank"].tolist() == whole["rank"].head(size).tolist()
        assert draw_sample(10_000, size, seed=4)["rank"].tolist() != some["rank"].tolist()
    shares = whole.groupby("stratum")["rank"].size()
    sizes = {stratum.name: len(stratum) for stratum in default_strata(10_000)}
    assert set(shares.index) == set(sizes)
    assert shares.min() >= FEW
    expected = {name: size**0.5 for name, size in sizes.items()}
    factor = 400 / sum(expected.values())
    assert all(abs(shares[name] - factor * root) <= 1 for name, root in expected.items())
    given = whole.groupby("stratum")["inclusion_probability"].first()
    assert all(given[name] == shares[name] / sizes[name] for name in sizes)


def test_every_item_of_a_stratum_is_drawn_equally_often():
    drawn = np.zeros(501)
    for seed in range(2_000):
        drawn[draw_sample(500, 60, seed)["rank"]] += 1
    for stratum in default_strata(500):
        share = drawn[stratum.first : stratum.last + 1] / 2_000
        expected = share.mean()
        assert abs(share - expected).max() < 5 * np.sqrt(expected * (1 - expected) / 2_000)


def test_sample_of_all_is_all_and_of_none_is_refused():
    assert sorted(draw_sample(70, 1_000, seed=0)["rank"]) == list(range(1, 71))
    assert (draw_sample(70, 1_000, seed=0)["inclusion_probability"] == 1).all()
    assert len(draw_sample(0, 5, seed=0)) == 0
    with pytest.raises(RequestError, match="at least 1"):
        draw_sample(70, 0, seed=0)
