"""The closed form against integrals in float64, and networks at their start and after each epoch."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from kernel_core.lab import looked_at, untrained
from kernel_core.lab.all_pairs import kernel_values, pearson
from kernel_core.lab.cnn_nngp import cnn_nngp_correlation
from kernel_core.lab.looked_at import CNN, MLP
from kernel_core.networks import mlp, plain_cnn
from kernel_core.networks.plain_cnn import PlainCnnRecipe
from kernel_core.nngp import nngp_correlation
from kernel_core.recipes import MlpRecipe
from kernel_core.records import ExampleSet
from kernel_core.similarity.kernel import kernel_rows
from tests.lab.test_questions import open_planted
from tests.support import oracle


def relu_mean(covariance, i, j, points):
    """The mean product of two rectified normal variables, by an integral over the angle; E r² = 2."""
    angles, weights = np.polynomial.legendre.leggauss(points)
    root = np.linalg.cholesky(covariance + 1e-15 * np.eye(2))
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


def by_integrals(first, second, hidden_layers, points=400):
    """The correlation of the outputs for two inputs, by Gauss and Hermite's rule layer by layer.

    It keeps variances, as weights of variance 2 / fan-in give them.
    """
    D = len(first)
    of_both = np.array([[first @ first, first @ second], [first @ second, second @ second]]) * 2 / D
    for _ in range(hidden_layers):
        of_both = 2 * np.array([[relu_mean(of_both, i, j, points) for j in (0, 1)] for i in (0, 1)])
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
    found = mlp.logits_by_epoch(recipe, examples, 1, 5, (0, 1, 2))
    assert list(found) == [0, 1, 2]
    query, database = (mlp.inputs_of(examples[split], examples["train"]) for split in ("test", "train"))
    closed = nngp_correlation(query.numpy().astype("f8"), database.numpy().astype("f8"), 1)
    near = [pearson(kernel_values(of["test"], of["train"]), closed) for of in found.values()]
    assert near[0] > 0.75  # 64 networks
    trained = mlp.train_runs(recipe, examples, range(64, 128), 5)
    for m, run in enumerate(trained):
        assert (found[2]["test"][m].astype(np.float16) == run.logits["test"]).all()
    (start,) = mlp.logits_by_epoch(recipe, examples, 1, 5, (0,)).values()
    assert all((start[split] == found[0][split]).all() for split in examples)


def pixel_covariances(images, convolutions):
    """The covariance of the last layer's values at all pixels of all images, by loops and integrals."""
    n, H, W, C = images.shape
    flat = images.reshape(n * H * W, C)
    k, places = flat @ flat.T / C, list(itertools.product(range(n), range(H), range(W)))
    at = {place: number for number, place in enumerate(places)}
    for _ in range(convolutions):
        before = np.zeros_like(k)
        for a, b in itertools.product(places, repeat=2):
            for d, e in itertools.product((-1, 0, 1), repeat=2):
                near = at.get((a[0], a[1] + d, a[2] + e)), at.get((b[0], b[1] + d, b[2] + e))
                if None not in near:
                    before[at[a], at[b]] += 2 / 9 * k[near]
        k = np.empty_like(before)
        for i, j in itertools.product(range(len(k)), repeat=2):
            k[i, j] = relu_mean(before[np.ix_([i, j], [i, j])], 0, 1, 40) if i != j else before[i, i] / 2
    return k.reshape(n, H * W, n, H * W)


@pytest.mark.parametrize("convolutions", [1, 2])
def test_closed_form_of_convolutions_is_what_integrals_give(convolutions, monkeypatch):
    rng = np.random.default_rng(convolutions)
    images = rng.normal(size=(4, 2, 3, 2))
    images[3] = -2 * images[0]
    outputs = pixel_covariances(images, convolutions).mean((1, 3))
    deviations = np.sqrt(np.diag(outputs))
    expected = (outputs / deviations / deviations[:, None])[:2]
    found = cnn_nngp_correlation(images[:2], images, convolutions)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    single = cnn_nngp_correlation(images[:2].astype("f4"), images.astype("f4"), convolutions)
    np.testing.assert_allclose(single, found, atol=1e-5)
    monkeypatch.setattr("kernel_core.lab.cnn_nngp.BLOCK", 1)
    np.testing.assert_allclose(cnn_nngp_correlation(images[:2], images, convolutions), found, rtol=1e-14)


def test_image_of_zeros_is_like_no_other():
    rng = np.random.default_rng(0)
    found = cnn_nngp_correlation(np.zeros((1, 3, 3, 1)), rng.normal(size=(2, 3, 3, 1)), 2)
    assert found.tolist() == [[0, 0]]


def test_wide_convolutional_networks_are_correlated_as_the_closed_form_says(one_thread):
    rng = np.random.default_rng(1)
    images = rng.normal(size=(6, 1, 1, 3)) + 0.5 * rng.normal(size=(6, 4, 5, 3))  # each of its own color
    images[5] = -images[0]
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        drawn = [plain_cnn.plain_network((3, 64, 64), 10, generator).double()(x) for _ in range(400)]
    samples = torch.cat(drawn, 1).numpy()  # each output of each network is one
    found = np.corrcoef(samples)
    closed = cnn_nngp_correlation(images, images, 2)
    assert closed.min() < 0.7
    np.testing.assert_allclose(found, closed, atol=0.06)
    assert pearson(found, closed) > 0.99


def test_networks_see_small_images_as_they_are_and_larger_ones_reduced():
    examples = some_examples()
    x = plain_cnn.images_of(examples["test"], examples["train"], 8)
    mean = examples["train"].images.mean(0) / 255
    np.testing.assert_allclose(x.permute(0, 2, 3, 1), examples["test"].images / 255 - mean, atol=1e-6)
    wide = {split: replace(of, images=of.images.repeat(6, 1).repeat(2, 2)) for split, of in examples.items()}
    reduced = plain_cnn.images_of(wide["test"], wide["train"], 5)
    assert reduced.shape == (20, 3, 5, 5)
    np.testing.assert_allclose(reduced, x, atol=1e-6)


def test_plain_networks_learn_and_are_the_same_whatever_is_looked_at(one_thread):
    examples = some_examples()
    for of in examples.values():  # brighter for each label
        of.images[...] = (of.images / 4 + 60 * of.labels[:, None, None, None]).astype(np.uint8)
    recipe = PlainCnnRecipe(8, (8,), epochs=20, batch=16, learning_rate=3e-2, label_smoothing=0.1)
    found = plain_cnn.logits_by_epoch(recipe, examples, 3, 5, (0, 1, 20))
    assert list(found) == [0, 1, 20]
    right = {epoch: (of["test"].argmax(1) == examples["test"].labels).mean() for epoch, of in found.items()}
    assert right[20] > 0.8 > right[0] + 0.2
    (again,) = plain_cnn.logits_by_epoch(recipe, examples, 3, 5, (20,)).values()
    assert (again["train"] == found[20]["train"]).all()
    (start,) = plain_cnn.logits_by_epoch(recipe, examples, 3, 5, (0,)).values()
    assert (start["test"] == found[0]["test"]).all()
    other = plain_cnn.logits_by_epoch(recipe, examples, 4, 5, (0,))[0]
    assert (other["test"] != start["test"]).all()


@pytest.fixture
def small(monkeypatch):
    """Kinds of networks that are trained in a second; the list gets every entry that is computed."""
    computed = []

    def counted(kind):
        def look(*arguments):
            computed.append((kind.name, arguments[2]))
            return kind.look(*arguments)

        return look

    mlps, cnns = looked_at.KINDS
    mlps = replace(
        mlps, networks=128, trained=64, together=32, epochs=(0, 1, 2), recipe=replace(MLP, epochs=2)
    )
    cnns = replace(
        cnns, networks=6, trained=6, together=3, in_entry=3, epochs=(0, 2),
        recipe=replace(CNN, side=4, widths=(4,), epochs=2),
    )  # fmt: skip
    kinds = tuple(replace(kind, look=counted(kind)) for kind in (mlps, cnns))
    monkeypatch.setattr(untrained, "KINDS", kinds)
    return computed


def test_question_is_answered_and_goes_on_where_it_was(source_folder, cache, small, monkeypatch):
    def opened():
        return open_planted(source_folder, sets=2)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plain_cnn, "logits_by_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            untrained.answer(opened())
    assert small == [("fully connected", 0), ("fully connected", 1), ("convolutional", 0)]
    small.clear()
    found = untrained.answer(opened(), [2, 3, 64])
    assert small == [("convolutional", 0), ("convolutional", 1)]
    small.clear()
    assert untrained.answer(opened(), [2, 3, 64]) == found
    assert small == []
    start, along, overlap, votes = found.panels
    assert [curve.x for curve in start.curves] == [(2, 3, 64)] * 2 + [(2, 3)] * 2
    assert [curve.x for curve in along.curves] == [(0, 1, 2)] * 2 + [(0, 2)] * 2
    assert all(0 <= y <= 1 for panel in (overlap, votes) for curve in panel.curves for y in curve.y)
    assert found.queries == 40
    first, second = found.tables
    assert [row[0] for row in first.rows] == ["0", "1", "2", "closed form"]
    assert f"{along.curves[0].y[0]:.3f} before, {along.curves[0].y[1]:.3f} after one epoch" in found.seen[1]
    assert second.rows[-1][4] == votes.curves[3].y[0]
    assert "reduced to 8 × 8 pixels" not in found.seen[-1]
