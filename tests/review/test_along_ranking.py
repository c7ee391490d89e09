"""Which verdicts stand along a ranking, and which of them chance alone chose."""

import numpy as np
import pandas as pd

from kernel_core.review.along_ranking import judged_along
from kernel_core.review.verdicts import Shown
from tests.review.test_judged import judged_of, on

RANKING = pd.DataFrame(
    {"query_split": "test", "query_index": [2, 0, 1], "database_split": "train", "database_index": [0, 1, 2]}
)
PAIRS = [(("test", q), ("train", d)) for q, d in ((2, 0), (0, 1), (1, 2))]


def drawn(pair, verdict="exact", name="ann", along="kernel:kernel", stratum="ranks 1-3", rank=None):
    shown = Shown(filter=f"sample:{along}:20:0", rank=rank)
    return on(*pair, verdict, name, design="sample", stratum=stratum, shown=shown)


def rows(*verdicts, **options):
    table = judged_along(RANKING, judged_of(verdicts), by="kernel", order="kernel", **options)
    return [(r.rank, r.positive, r.sampled) for r in table.replace({np.nan: None}).itertuples()]


def test_rank_and_side_of_each_pair_that_is_decided():
    first, second, third = PAIRS
    other = on(("test", 0), ("train", 0), "exact")  # in no row of the ranking
    assert rows(drawn(second), on(*first, "different"), on(*third, "unsure"), other) == [
        (1, 0, False), (2, 1, True), (3, None, False),
    ]  # fmt: skip
    assert rows(drawn(first, "exact"), leaked=("near-duplicate",)) == [(1, 0, True)]
    assert rows(drawn(first), drawn(first, "very similar", "bob")) == [(1, 1, True)], "kind alone is open"
    assert rows(drawn(first), drawn(first, "different", "bob")) == []


def test_sample_is_what_chance_alone_chose_from_this_stratum_of_this_ranking():
    first = PAIRS[0]
    assert rows(drawn(first)) == [(1, 1, True)]
    assert rows(drawn(first), on(*first, "exact", "bob")) == [(1, 1, False)], "judged in a list too"
    assert rows(drawn(first), drawn(first, name="bob", along="pixels:twin")) == [(1, 1, True)]
    assert rows(drawn(first, along="kernel:twin")) == [(1, 1, False)]
    assert rows(drawn(first, along="kernel.raw:kernel")) == [(1, 1, False)]
    assert rows(drawn(first, rank=1)) == [(1, 1, True)]
    assert rows(drawn(first, rank=2)) == [(1, 1, False)], "of a ranking by other runs"
    assert rows(drawn(first, stratum="ranks 1-39")) == [(1, 1, False)], "of a ranking of another length"
