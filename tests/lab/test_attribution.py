"""Attributions against a planted linear model, networks on parts of the training set."""

import numpy as np
import pytest
import torch

from kernel_core.lab import attribution, halves, methods, trak_networks
from kernel_core.lab.datamodels import datamodels, effects, linear_datamodeling_scores, margins_of
from kernel_core.lab.trak_library import is_installed
from kernel_core.networks import mlp
from kernel_core.recipes import MlpRecipe
from kernel_core.records import ExampleSet

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


def test_score_of_a_planted_linear_model_is_known():
    masks, margins, weights = planted(300, noise=0)
    assert linear_datamodeling_scores(weights, masks, margins) == pytest.approx(np.ones(5))
    assert linear_datamodeling_scores(-2 * weights, masks, margins) == pytest.approx(-np.ones(5))
    assert not linear_datamodeling_scores(np.zeros_like(weights), masks, margins).any()
    others = np.random.default_rng(9).normal(size=weights.shape)
    assert abs(linear_datamodeling_scores(others, masks, margins).mean()) < 0.2


@pytest.mark.parametrize("method", [datamodels, effects])
def test_methods_find_planted_weights(method):
    masks, margins, weights = planted(400, noise=0.3)
    found = method(masks, margins)
    for i in range(len(weights)):
        assert np.corrcoef(found[i], weights[i])[0, 1] > (0.97 if method is datamodels else 0.8)
    held_masks, held, _ = planted(100, noise=0.3, seed=0)
    assert linear_datamodeling_scores(found, held_masks, held).mean() > 0.8


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
        (attribution, "REMOVED", 5),
        (trak_networks, "MOST", 2),
    ):
        monkeypatch.setattr(module, name, value)
    found = ask("attribution", SourceRequest(str(source_folder)), Order(counts=(16, 64)), device="cpu")
    (table,), (panel,) = found.tables, found.panels
    fitting = [of.title for of in methods.METHODS if of.name != "traker" or is_installed()]
    assert [row[0] for row in table.rows] == fitting
    assert table.rows[0][4] == 1  # the kernel shares its nearest with itself
    assert [curve.x for curve in panel.curves] == [(16.0, 64.0)] * 2
