"""Attributions against a planted linear model, networks on parts of the training set."""

import numpy as np
import pytest
import torch

from kernel_core.lab.attributions import datamodels as datamodels_module
from kernel_core.lab.attributions import halves, judged, methods, trak_networks
from kernel_core.lab.attributions.asked import SubsetRuns
from kernel_core.lab.attributions.ceiling import share_explained
from kernel_core.lab.attributions.datamodels import (
    datamodels,
    effects,
    linear_datamodeling_scores,
    margins_of,
)
from kernel_core.lab.attributions.intervals import Resampled
from kernel_core.lab.attributions.trak_library import is_installed
from kernel_core.networks import mlp
from kernel_core.recipes import MlpRecipe
from kernel_core.records import ExampleSet
from kernel_core.training_masks import TrainingMasks

RECIPE = MlpRecipe((12, 8), epochs=3, batch=16, learning_rate=1e-2, label_smoothing=0.1)


def planted(runs, noise, N=60, n=5, seed=0):
    """Masks, and margins that are sums of known weights with noise: the weights (n, N) too."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n, N)) * (rng.random((n, N)) < 0.2)
    masks = rng.random((runs, N)) < 0.5
    return masks, masks @ weights.T + 3 + noise * rng.normal(size=(runs, n)), weights


def test_margin_is_the_logit_minus_the_log_sum_of_the_others():
    logits = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    labels = np.array([0, 4, 2])
    found = margins_of(logits, labels)
    for m in range(4):
        for i, y in enumerate(labels):
            others = np.delete(logits[m, i].astype(np.float64), y)
            assert found[m, i] == pytest.approx(logits[m, i, y] - np.log(np.exp(others).sum()))
    assert np.isfinite(logits).all(), "what was given is left alone"


def packed(masks):
    return TrainingMasks(np.packbits(masks, axis=1), masks.shape[1])


def test_score_of_a_planted_linear_model_is_known():
    masks, margins, weights = planted(300, noise=0)
    held = packed(masks)
    assert linear_datamodeling_scores(weights, held, margins) == pytest.approx(np.ones(5))
    assert linear_datamodeling_scores(-2 * weights, held, margins) == pytest.approx(-np.ones(5))
    assert not linear_datamodeling_scores(np.zeros_like(weights), held, margins).any()
    others = np.random.default_rng(9).normal(size=weights.shape)
    assert abs(linear_datamodeling_scores(others, held, margins).mean()) < 0.2


@pytest.mark.parametrize("method", [datamodels, effects])
def test_methods_find_planted_weights(method):
    masks, margins, weights = planted(400, noise=0.3)
    found = method(packed(masks), margins)(slice(0, 5))
    for i in range(len(weights)):
        assert np.corrcoef(found[i], weights[i])[0, 1] > (0.97 if method is datamodels else 0.8)
    held_masks, held, _ = planted(100, noise=0.3, seed=0)
    assert linear_datamodeling_scores(found, packed(held_masks), held).mean() > 0.8


def test_effects_and_datamodels_are_those_of_plain_formulas(monkeypatch):
    masks, margins, _ = planted(90, noise=1, N=61)
    x, y = masks - masks.mean(), margins - margins.mean(0)
    by_example = [margins[masks[:, j]].mean(0) - margins[~masks[:, j]].mean(0) for j in range(61)]
    of_few = datamodels_module, "COLUMNS", 8
    for patch in (None, of_few):
        if patch:
            monkeypatch.setattr(*patch)
        assert effects(packed(masks), margins)(slice(1, 4)) == pytest.approx(
            np.stack(by_example, 1)[1:4], abs=1e-5
        )
        found = datamodels(packed(masks), margins)(slice(1, 4))
        scale = np.trace(x @ x.T) / len(x)
        by_ridge = [
            np.linalg.solve(x.T @ x + ridge * scale * np.eye(61), x.T @ y).T[1:4]
            for ridge in datamodels_module.RIDGES
        ]
        assert min(np.abs(found - of_ridge).max() for of_ridge in by_ridge) < 1e-5


def test_most_that_sums_explain_is_known_of_a_planted_model():
    masks, margins, _ = planted(500, noise=0, N=700, n=40)
    noise = np.random.default_rng(3).normal(size=margins.shape) * margins.std(0)
    for share, values in ((0.5, margins + noise), (0, noise)):
        of_runs = SubsetRuns(packed(masks[:400]), values[:400], packed(masks[400:]), values[400:], 1, {})
        found = share_explained(of_runs)
        assert found.low < share < found.high
        assert found.high - found.low < 0.3
    # Four networks on each held-out set have a quarter of the noise, so that more of it is explained.
    quarter = margins[400:] + noise[400:] / 2
    fitted = packed(masks[:400]), (margins + noise)[:400]
    found = share_explained(SubsetRuns(*fitted, packed(masks[400:]), quarter, 4, {}))
    assert found.low < 0.8 < found.high


def test_intervals_hold_what_is_known():
    rng = np.random.default_rng(0)
    first, noise = rng.normal(size=(2, 80, 50))
    resampled = Resampled(80, 50, seed=0)
    same = resampled.correlation(first, 3 * first + 1).estimate()
    assert (same.value, same.low, same.high) == pytest.approx((1, 1, 1))
    none = resampled.correlation(first, noise)
    assert none.estimate().low < 0 < none.estimate().high
    slope = resampled.slope(first, 2 * first + noise).estimate()
    assert slope.low < 2 < slope.high
    assert slope.high - slope.low < 0.2
    lead = resampled.correlation(first, first + noise).minus(none)
    assert lead.low < 0.5**0.5 < lead.high + 0.1
    still = resampled.correlation(np.ones((80, 50)), noise).estimate()
    assert (still.value, still.low, still.high) == (0, 0, 0)


def some_examples(n_train=48):
    rng = np.random.default_rng(1)
    names = ("a", "b", "c")
    return {
        split: ExampleSet(split, rng.integers(0, 256, (n, 4, 4, 3)).astype(np.uint8), np.arange(n) % 3, names)
        for split, n in (("test", 12), ("train", n_train))
    }


def test_run_on_a_subset_never_sees_the_others(one_thread):
    examples = some_examples()
    subsets = np.tile(np.arange(24), (mlp.GROUP, 1))
    layers = mlp.layers_trained_on(RECIPE, examples, subsets, 0, seed=3)
    changed = some_examples()
    changed["train"].labels[24:] = (changed["train"].labels[24:] + 1) % 3
    again = mlp.layers_trained_on(RECIPE, changed, subsets, 0, seed=3)
    for (w, b), (other_w, other_b) in zip(layers, again, strict=True):
        assert torch.equal(w, other_w)
        assert torch.equal(b, other_b)
    whole = mlp.layers_trained_on(RECIPE, examples, np.tile(np.arange(48), (mlp.GROUP, 1)), 0, seed=3)
    assert not torch.equal(layers[0][0], whole[0][0])


def test_question_is_answered_from_few_networks(source_folder, cache, monkeypatch):
    from kernel_core.lab.ask import Order, ask
    from kernel_core.sources.source import SourceRequest

    for module, name, value in (
        (halves, "FITTED", 64),
        (halves, "HELD", 16),
        (halves, "REMOVED_FOR", 2),
        (judged, "FIRST", 11),
        (trak_networks, "MOST", 2),
    ):
        monkeypatch.setattr(module, name, value)
    request = SourceRequest(str(source_folder))
    found = ask("attribution", request, Order(counts=(16, 64)), device="cpu")
    (table,), (panel,) = found.tables, found.panels
    fitting = [of for of in methods.METHODS if of.name != "traker" or is_installed()]
    assert [row[0] for row in table.rows] == [method.title for method in fitting]
    assert table.rows[0][table.columns.index("shared 10 with the kernel")] == 1
    votes = [row[table.columns.index("3 nearest vote")] for row in table.rows]
    assert [vote is None for vote in votes] == [method.knows_label for method in fitting]
    kernel, *others = (curve.x for curve in panel.curves)  # of the source's 24 runs, and of the networks
    assert kernel == (16.0,)
    assert others == [(16.0, 64.0)] * 3
    monkeypatch.setattr(halves, "networks", None)  # nothing is trained again
    assert ask("attribution", request, Order(counts=(16, 64)), device="cpu").tables == found.tables
