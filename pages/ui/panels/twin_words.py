"""What is said of the twin score: its parts, its bands, and what it is not."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kernel_core.findings.twins import BANDS, CLEAR_LEAD, LEAST_SCORE, SOME_LEAD
from kernel_core.results.results import Results

NO_PROOF = "No score proves a duplicate; judge by eye."
TONES = dict(zip(BANDS, ("strong", "middle", "weak"), strict=True))
"""Band → how much its badge stands out."""
BANDS_RULE = (
    f"“{BANDS[0]}”: a twin score of {LEAST_SCORE:g} or more, and pixels aligned at least {CLEAR_LEAD:g} "
    f"above those of the example's other near ones. “{BANDS[1]}”: at least {SOME_LEAD:g} above. "
    f"“{BANDS[2]}”: every other pair."
)
PIXELS_ALIGNED = (
    "Pixels aligned: how well the details of the two images match, from −1 to 1, at the shift or mirroring "
    "that fits best."
)


def about(title: str, order: str) -> str:
    """Return what the numbers of a pair mean, in Markdown. title: of the similarity."""
    return (
        f"{PIXELS_ALIGNED} Twin score: the value by {title}, minus half the mean of the example's five "
        "largest (high where it resembles many), plus half of pixels aligned."
    )


def count_bands(pairs: pd.DataFrame) -> str:
    """Return how many pairs of a ranking are in each band, as a sentence."""
    counts = pairs["band"].value_counts()
    words = [f"{counts.get(band, 0):,} “{band}”" for band in BANDS]
    return f"Of all {len(pairs):,}: {', '.join(words[:-1])} and {words[-1]}."


def count_twins(results: Results, pairs: pd.DataFrame) -> str:
    """Return how many examples have a twin, as a sentence. pairs: of the twin score, within no split."""
    counts = pairs["band"].value_counts()
    same, likely = (int(counts.get(band, 0)) for band in BANDS[:2])
    what, of = "test examples", " as a training example"
    if results.spec.excludes_self:
        what, of = "pairs of test examples", ""
    many = f"{same:,} of {len(pairs):,} {what} look" if same else f"None of {len(pairs):,} {what} looks"
    return (
        f"**{many} like the same picture{of}:** a twin score of {LEAST_SCORE:g} or more, and pixels that "
        f"clearly match. {likely:,} {'more ' if same else ''}may."
    )


def score(title: str, pair: Any) -> str:
    """Return the parts of a pair's twin score and why it is in its band, in plain words.

    title: of the similarity. pair: with the columns of `findings.twins` and its similarity.
    """
    return (
        f"Twin score {pair.twin:.2f} = {pair.similarity:.2f} ({title}) − ½ × {pair.background:.2f} "
        "(background: mean of the example's largest values) "
        f"+ ½ × {pair.aligned:.2f} (pixels aligned: how well details match).\n"
        f"{pair.band.capitalize()}: with its other near ones, its pixels match by {pair.others:.2f} (median)."
    )
