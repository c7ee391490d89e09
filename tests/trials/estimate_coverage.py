"""How often does the interval of the estimated total hold the total? Duplicates are planted along a ranking.

The chance of a duplicate falls along the ranking, as it does in data sets, or is the same everywhere, which
no ranking by similarity would give. A sample is drawn and judged truly with each of many seeds. Run as

    python -m tests.trials.estimate_coverage

where it prints a table as Markdown: how often the interval, and the normal interval from the formula's
variance, hold the planted total; the mean of the estimates; and the median width of the interval.
"""

import click
import numpy as np
import pandas as pd

from kernel_core.review.estimate import estimate_total
from kernel_core.review.sampling import draw_sample

SHAPES = {
    "steep": lambda rank, count: 1 / (1 + np.exp((rank / count - 0.033) / 0.008)),
    "steep, and 0.2% everywhere": lambda rank, count: np.maximum(
        1 / (1 + np.exp((rank / count - 0.033) / 0.008)), 0.002
    ),
    "slow": lambda rank, count: 0.9 * np.exp(-rank / (0.05 * count)),
    "2% everywhere": lambda rank, count: np.full(len(rank), 0.02),
    "8 anywhere": lambda rank, count: np.full(len(rank), 8 / count),
    "the first 10": lambda rank, count: (rank <= 10).astype(float),
}
"""How duplicates lie along a ranking → their chance, from ranks 1 … count and count."""
CASES = (
    (10_000, 60, 0), (10_000, 200, 0), (10_000, 400, 0), (10_000, 200, 200), (500, 60, 0), (500, 120, 30),
)  # fmt: skip
"""Pairs in the ranking, size of the sample, and how many of the first pairs are judged besides."""


def plant(shape, count):
    """Whether each rank is a duplicate, bool (count,)."""
    return np.random.default_rng(99).random(count) < SHAPES[shape](np.arange(1, count + 1), count)


def judge(is_duplicate, size, seed, first=0):
    """Return true verdicts on a sample and on the first pairs, as `estimate_total` takes them."""
    drawn = draw_sample(len(is_duplicate), size, seed)["rank"].to_numpy()
    ranks = np.concatenate([np.arange(1, first + 1), drawn[drawn > first]])
    return pd.DataFrame(
        {
            "rank": ranks,
            "positive": is_duplicate[ranks - 1].astype(float),
            "sampled": np.arange(len(ranks)) >= first,
        }
    )


def measure(shape, count, size, first, seeds):
    """Return one row of the table."""
    is_duplicate = plant(shape, count)
    truth = int(is_duplicate.sum())
    totals = [estimate_total(count, judge(is_duplicate, size, seed, first)) for seed in range(seeds)]
    normal = [abs(total.estimate - truth) <= 1.96 * total.variance**0.5 for total in totals]
    return {
        "duplicates": shape,
        "pairs": f"{count:,}",
        "total": truth,
        "sample": size,
        "first judged": first,
        "mean estimate": f"{np.mean([total.estimate for total in totals]):.1f}",
        "interval holds it": f"{np.mean([total.low <= truth <= total.high for total in totals]):.1%}",
        "median width": f"{np.median([total.high - total.low for total in totals]):.0f}",
        "normal holds it": f"{np.mean(normal):.1%}",
    }


def markdown(rows):
    """Return rows as a table in Markdown."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row[name]) for name in head] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=200, show_default=True)
def main(seeds):
    """Print the table."""
    print(markdown([measure(shape, *case, seeds) for shape in SHAPES for case in CASES]))


if __name__ == "__main__":
    main()
