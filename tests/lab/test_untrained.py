"""The closed form against integrals in float64, and networks at their start and after each epoch."""

import itertools

import numpy as np
import pytest
import torch

from kernel_core.lab.all_pairs import kernel_values, pearson
from kernel_core.networks import mlp
from kernel_core.nngp import nngp_correlation
from kernel_core.recipes import MlpRecipe
from kernel_core.records import ExampleSet
from kernel_core.similarity.kernel import kernel_rows
from tests.support import oracle


def by_integrals(first, second, hidden_layers, points=400):
    """The correlation of the outputs for two inputs, by Gauss and Hermite's rule layer by layer.

    It keeps variances, as weights of variance 2 / fan-in give them, and integrates the products of two
    rectified normal variables in polar form, of which the radius is known: E r² = 2.
    """
    D = len(first)
    of_both = np.array([[first @ first, first @ second], [first @ second, second @ second]]) * 2 / D
    angles, weights = np.polynomial.legendre.leggauss(points)
    for _ in range(hidden_layers):
        root = np.linalg.cholesky(of_both + 1e-15 * np.eye(2))

        def mean(i, j, root=root):
            # The integrand has kinks where either row is orthogonal to the direction: cut there.
            kinks = [np.arctan2(-row[0], row[1]) % np.pi for row in root]
            cuts = sorted({0.0, *kinks, *(kink + np.pi for kink in kinks), 2 * np.pi})
            total = 0.0
            for low, high in itertools.pairwise(cuts):
                phi = (high - low) / 2 * angles + (high + low) / 2
                direction = np.stack([np.cos(phi), np.sin(phi)])
                product = np.maximum(root[i] @ direction, 0) * np.maximum(root[j] @ direction, 0)
                total += (high - low) / 2 * (weights @ product)
            return 2 * total / (2 * np.pi)

        of_both = 2 * np.array([[mean(0, 0), mean(0, 1)], [mean(1, 0), mean(1, 1)]])
    return of_both[0, 1] / np.sqrt(of_both[0, 0] * of_both[1, 1])


@pytest.mark.parametrize("hidden_layers", [0, 1, 2, 4])
def test_closed_form_is_what_integrals_give(hidden_layers):
    rng = np.random.default_rng(hidden_layers)
    query, database = rng.normal(size=(4, 7)), rng.normal(size=(5, 7))
    database[0] = -query[0]
    database[1] = 3 * query[1] + 1e-3 * rng.normal(size=7)
    found = nngp_correlation(query, database, hidden_layers)
    expected = [[by_integrals(a, b, hidden_layers) for b in database] for a in query]
    assert np.abs(found - expected).max() < 1e-6


def test_input_of_zeros_is_at_a_right_angle_to_all():
    found = nngp_correlation(np.zeros((1, 3)), np.eye(3), 2)
    assert (found == nngp_correlation(np.eye(2), np.eye(2), 2)[0, 1]).all()


def test_values_of_all_pairs_are_the_kernels():
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(12, n, 4)).astype(np.float16) for n in (6, 9)]
    rows = [kernel_rows(torch.from_numpy(x).permute(1, 2, 0))[0].flatten(1) for x in logits]
    assert np.abs(kernel_values(*logits) - (rows[0] @ rows[1].T).numpy()).max() < 1e-5
    assert np.abs(kernel_values(*logits) - oracle.kernel(*logits)).max() < 1e-6
    assert pearson(kernel_values(*logits), kernel_values(*logits)) == pytest.approx(1)


def some_examples():
    rng = np.random.default_rng(0)
    names = ("a", "b", "c")
    return {
        split: ExampleSet(split, rng.integers(0, 256, (n, 5, 5, 3)).astype(np.uint8), np.arange(n) % 3, names)
        for split, n in (("train", 60), ("test", 20))
    }


def test_networks_start_near_the_closed_form_and_end_as_they_are_trained(one_thread):
    examples = some_examples()
    recipe = MlpRecipe((256,), epochs=2, batch=16, learning_rate=3e-3, label_smoothing=0.1)
    found = mlp.logits_by_epoch(recipe, examples, 1, seed=5)
    assert len(found) == 3
    query, database = (mlp.inputs_of(examples[split], examples["train"]) for split in ("test", "train"))
    closed = nngp_correlation(query.numpy().astype("f8"), database.numpy().astype("f8"), 1)
    near = [pearson(kernel_values(of["test"], of["train"]), closed) for of in found]
    assert near[0] > 0.75  # 64 networks
    trained = mlp.train_runs(recipe, examples, range(64, 128), 5)
    for m, run in enumerate(trained):
        assert (found[2]["test"][m].astype(np.float16) == run.logits["test"]).all()
