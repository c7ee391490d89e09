"""Pooled judging: the first ranks of several rankings, put together and shuffled, to be judged as one list.

Judging the same depth of each is fair to all of them, as in the evaluation of search engines (Spärck Jones
and van Rijsbergen, 1975); the order does not tell which ranking a pair is from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.review.along_ranking import pairs_of
from kernel_core.review.judged import Pair


def pool(rankings: Sequence[pd.DataFrame], depth: int, seed: int) -> list[Pair]:
    """Return the pairs among the first `depth` of any ranking, each once, in an order that the seed gives.

    rankings: tables of `findings.pairs`, at least one. Raises `RequestError` for a depth below 1.
    """
    if depth < 1:
        raise RequestError(f"A pool of depth {depth} was asked for; expected at least 1.")
    pairs = sorted({pair for ranking in rankings for pair in pairs_of(ranking.head(depth))})
    return [pairs[place] for place in np.random.default_rng(seed).permutation(len(pairs))]
