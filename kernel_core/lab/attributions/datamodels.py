"""What single training examples do to a network's outputs, from runs on random parts of the training set.

A run's outputs are its margins on the query examples: f = z_y − log Σ over c ≠ y of exp z_c, y the label.
An attribution gives each training example j a weight τ_ij on query example i, and predicts for a run on
the set S the sum of τ_ij over j in S, but for a constant.

The linear datamodeling score (LDS; Park et al., "TRAK: Attributing Model Behavior at Scale", 2023) is
Spearman's correlation over held-out sets S between that prediction and the margins seen, averaged over
the query examples.

Datamodels (Ilyas et al., "Datamodels: Predicting Predictions from Training Data", 2022) are the weights
that a linear regression on the masks of many runs finds; here with a ridge, whose size a fifth of the
runs decides. Effects are means: the margin of the runs that had j, minus that of those that had not
(Feldman and Zhang 2020).

Masks are M × N bits: they are turned to numbers for some of the training examples at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.lab.attributions.asked import Rows, Values, Weights
from kernel_core.lab.blocks import in_blocks
from kernel_core.training_masks import TrainingMasks

RIDGES = np.geomspace(3e-3, 300, 16)  # of the mean square of a run's row
VALIDATION = 5  # one run in so many decides the ridge
COLUMNS = 4096  # training examples whose masks are numbers at a time


def margins_of(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> Values:
    """Return the margin of each run on each example, (M, n). logits: (M, n, C). labels: (n,)."""
    x = logits.astype(np.float64)
    row = np.arange(len(labels))
    own = x[:, row, labels].copy()
    x[:, row, labels] = -np.inf
    most = x.max(-1)
    margins: Values = own - most - np.log(np.exp(x - most[..., None]).sum(-1))
    return margins


def predicted(weights: Weights, masks: TrainingMasks) -> Weights:
    """Return what weights (n, N) predict for runs on some sets, but for constants: (m, n)."""
    of_all, total = torch.from_numpy(weights), torch.zeros(masks.run_count, len(weights))
    sums = in_blocks(
        masks.example_count, COLUMNS, lambda some: bits_of(masks, some) @ of_all[:, some].T.float()
    )
    for _, of_block in sums:
        total += of_block
    return total.numpy()


def linear_datamodeling_scores(weights: Weights, masks: TrainingMasks, margins: Values) -> Values:
    """Return the LDS of each query example, (n,) in [-1, 1]; 0 where a prediction never changes.

    weights: τ, (n, N). masks: (m, N), the training examples of each held-out set. margins: (m, n).
    """
    return correlations(ranks(predicted(weights, masks)), ranks(margins))


def ranks(values: Weights) -> Values:
    """Return the ranks of each column's values; ties share their mean rank."""
    from scipy.stats import rankdata

    found: Values = rankdata(values, axis=0)
    return found


def correlations(first: Values, second: Values) -> Values:
    """Return Pearson's correlation of each column of two tables, (n,)."""
    x, y = first - first.mean(0), second - second.mean(0)
    norms = np.sqrt((x**2).sum(0) * (y**2).sum(0))
    found: Values = np.divide((x * y).sum(0), norms, out=np.zeros(len(norms)), where=norms > 0)
    return found


def effects(masks: TrainingMasks, margins: Values) -> Rows:
    """Return what gives the mean margin of the runs with each training example minus that without, (b, N)."""
    counts = np.concatenate(
        [
            bits.sum(0).numpy()
            for _, bits in in_blocks(masks.example_count, COLUMNS, lambda some: bits_of(masks, some))
        ]
    )  # runs with each
    others = np.maximum(masks.run_count - counts, 1)

    def rows(queries: slice) -> Weights:
        of_range = (margins[:, queries] - margins[:, queries].mean(0)).astype(np.float32)
        with_it = _sums(masks, of_range)  # (b, N); the sums without it are their negatives
        with_it *= 1 / np.maximum(counts, 1) + 1 / others
        return with_it

    return rows


def datamodels(masks: TrainingMasks, margins: Values) -> Rows:
    """Return what gives the weights of a ridge regression of margins on the masks, (b, N).

    By the dual form: there are fewer runs than training examples.
    """
    gram, y = centered_gram(masks), margins - margins.mean(0)
    is_kept = np.arange(len(y)) % VALIDATION > 0
    kept = gram[np.ix_(is_kept, is_kept)]
    across, checked = gram[np.ix_(~is_kept, is_kept)], y[~is_kept]
    tried = [across @ dual - checked for dual in _duals(kept, y[is_kept], RIDGES)]
    best = RIDGES[int(np.argmin([(error**2).mean() for error in tried]))]
    (dual,) = _duals(gram, y, np.array([best]))
    share = masks.example_counts.mean() / masks.example_count

    def rows(queries: slice) -> Weights:
        of_range = dual[:, queries].astype(np.float32)
        weights = _sums(masks, of_range)
        weights -= share * of_range.sum(0)[:, None]
        return weights

    return rows


def centered_gram(masks: TrainingMasks) -> Values:
    """Return the inner products of the runs' masks minus the mean of all, (M, M)."""
    gram = np.zeros((masks.run_count, masks.run_count))
    for _, of_block in in_blocks(masks.example_count, COLUMNS, lambda some: _products(bits_of(masks, some))):
        gram += of_block  # counts, which float32 holds exactly
    share = masks.example_counts.mean() / masks.example_count
    sizes = share * masks.example_counts
    found: Values = gram - sizes - sizes[:, None] + masks.example_count * share**2
    return found


def _duals(gram: Values, y: Values, ridges: npt.NDArray[np.float64]) -> Iterator[Values]:
    """Yield the dual weights (M, n) by ridge, each a share of the mean of the diagonal."""
    values, vectors = np.linalg.eigh(gram)
    turned = vectors.T @ y
    for ridge in ridges * np.diag(gram).mean():
        yield vectors @ (turned / (np.maximum(values, 0) + ridge)[:, None])


def _products(rows: Tensor) -> Values:
    found: Values = (rows @ rows.T).double().numpy()
    return found


def _sums(masks: TrainingMasks, of_runs: npt.NDArray[np.float32]) -> Weights:
    """Return, by training example, the sum over the runs that had it: (b, N). of_runs: (M, b)."""
    turned = torch.from_numpy(of_runs).T
    found = np.empty((of_runs.shape[1], masks.example_count), np.float32)
    for some, of_block in in_blocks(masks.example_count, COLUMNS, lambda some: turned @ bits_of(masks, some)):
        found[:, some] = of_block.numpy()
    return found


def bits_of(masks: TrainingMasks, examples: slice) -> Tensor:
    """Return the masks of a range of training examples as 0 and 1, float32 (M, b)."""
    return torch.from_numpy(masks.of_examples(examples.start, examples.stop)).float()
