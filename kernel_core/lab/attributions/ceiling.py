"""How much of what differs between runs any sum of weights of their training examples could explain.

Let the margin of a run on the set S be the sum over j in S of weights w_j, but for a constant, plus what
no such sum explains: other effects of S, and chance, such as where a run starts. Of two runs with masks
standardized per training example, z and z', the product of their margins is on average the share A of the
sum's variance, times z · z' / N. So A is the slope of a line through the pairs of runs, however many more
training examples there are than runs, and without knowing a single w_j. (Haseman and Elston 1972, as genetics
uses it: what pairs of people share in genes, against what they share in traits.)

No weights correlate with the margins by more than the square root of A.
"""

from __future__ import annotations

import numpy as np

from kernel_core.lab.attributions.asked import SubsetRuns, Values
from kernel_core.lab.attributions.datamodels import COLUMNS, bits_of
from kernel_core.lab.attributions.intervals import Estimate
from kernel_core.lab.blocks import in_blocks
from kernel_core.training_masks import TrainingMasks


def share_explained(runs: SubsetRuns) -> Estimate:
    """Return the share A of the held-out margins' variance, averaged over the query examples.

    It may lie outside of 0 … 1 by chance. The interval is a jackknife over the runs.
    """
    masks, margins = runs.fitted_masks, runs.fitted
    if runs.each == 1:  # held-out margins are of single runs too
        packed = np.concatenate([masks.packed, runs.held_masks.packed])
        masks, margins = TrainingMasks(packed, masks.example_count), np.concatenate([margins, runs.held])
    spread = runs.held.std(0, ddof=1)
    is_varied = spread > 0
    y = (margins - margins.mean(0))[:, is_varied] / spread[is_varied]
    return _slope(_alike(masks), y @ y.T / max(1, y.shape[1]))


def _alike(masks: TrainingMasks) -> Values:
    """Return z · z' / N of each pair of runs, (M, M)."""

    def products(examples: slice) -> tuple[Values, int]:
        bits = bits_of(masks, examples)
        share = bits.mean(0)
        bits = bits[:, (share > 0) & (share < 1)]
        z = (bits - bits.mean(0)) / bits.std(0, correction=0)
        return (z @ z.T).double().numpy(), z.shape[1]

    total, used = np.zeros((masks.run_count, masks.run_count)), 0
    for _, (of_block, count) in in_blocks(masks.example_count, COLUMNS, products):
        total += of_block
        used += count
    return total / max(1, used)


def _slope(x: Values, y: Values) -> Estimate:
    """Return the slope of y on x over the pairs, both (M, M); its interval leaves out each run in turn."""
    M = len(x)
    x, y = (table - np.diag(np.diag(table)) for table in (x, y))
    of_runs = [table.sum(1) for table in (x, y, x * y, x * x)]  # pairs with each run

    def slope(sums: list[Values], pairs: int) -> Values:
        of_x, of_y, of_xy, of_xx = (of / pairs for of in sums)
        found: Values = (of_xy - of_x * of_y) / (of_xx - of_x**2)
        return found

    value = float(slope([of.sum() / 2 for of in of_runs], M * (M - 1) // 2))
    without = slope([of.sum() / 2 - of for of in of_runs], (M - 1) * (M - 2) // 2)
    error = float(np.sqrt((M - 1) / M * ((without - without.mean()) ** 2).sum()))
    return Estimate.around(value, error)
