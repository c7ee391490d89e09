"""TRAK against small steps, its closed form for logistic regression, leaving out, the authors' library."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from kernel_core.lab.attributions import trak, trak_rows
from kernel_core.lab.attributions.datamodels import linear_datamodeling_scores, margins_of
from kernel_core.lab.attributions.trak import trak_scores, trak_scores_by
from kernel_core.lab.attributions.trak_library import traker_scores
from kernel_core.networks import mlp
from kernel_core.networks.kept_networks import Networks, mlp_inputs
from kernel_core.networks.modules import module_of, state_of
from kernel_core.recipes import MlpRecipe
from kernel_core.records import ExampleSet
from kernel_core.training_masks import TrainingMasks

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = MlpRecipe((12, 8), epochs=15, batch=16, learning_rate=1e-2, label_smoothing=0.1)
needs_traker = pytest.mark.skipif(
    importlib.util.find_spec("trak") is None, reason='needs traker: pip install "kernel-explorer[trak]"'
)


class TwoClasses(nn.Module):
    """A network of one logit z as one of two classes, whose logits are 0 and z."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        z = self.network(x)
        return torch.cat([torch.zeros_like(z), z], 1)


def logistic(weights, inputs):
    """Networks of one layer; weights: (M, p)."""
    module = TwoClasses(nn.Linear(weights.shape[1], 1, bias=False))
    states = {
        m: {"network.weight": torch.tensor(w[None], dtype=torch.float32)} for m, w in enumerate(weights)
    }
    return networks(module, states, inputs)


def networks(module, states, inputs):
    tensors = {split: torch.tensor(x, dtype=torch.float32) for split, x in inputs.items()}
    return Networks(module, states, lambda split, rows: tensors[split][rows])


def two_classes(N=90, n=15, p=6, seed=0):
    """Inputs (N or n, p) of mean 0 and labels that depend on them a little."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=p) / 4
    inputs = {"test": rng.normal(size=(n, p)), "train": rng.normal(size=(N, p))}
    labels = {s: (rng.random(len(x)) < 1 / (1 + np.exp(-x @ w))).astype(np.int64) for s, x in inputs.items()}
    return inputs, labels


def fitted(x, signs, steps=30):
    """Logistic regression by Newton's method in float64; signs: 1 or -1 per example."""
    w = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-signs * (x @ w)))
        w += np.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ ((1 - p) * signs))
    return w


def in_float64(w, inputs, labels):
    """The closed form for one logistic regression, and the mean absolute value of the inverse."""
    signs = {split: 2.0 * y - 1 for split, y in labels.items()}
    gradients = {split: signs[split][:, None] * x for split, x in inputs.items()}
    inverse = np.linalg.inv(gradients["train"].T @ gradients["train"])
    doubt = 1 - 1 / (1 + np.exp(-gradients["train"] @ w))
    return gradients["test"] @ inverse @ gradients["train"].T, doubt, np.abs(inverse).mean()


def test_scores_of_logistic_regressions_are_the_closed_form():
    inputs, labels = two_classes()
    weights = np.random.default_rng(1).normal(size=(3, 6))
    parts = [in_float64(w, inputs, labels) for w in weights]
    expected = np.mean([scores for scores, *_ in parts], 0) * np.mean([doubt for _, doubt, _ in parts], 0)
    found = trak_scores(logistic(weights, inputs), labels, 0, numbers=None)
    assert found.shape == (15, 90)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


def test_scores_say_what_leaving_an_example_out_does():
    """Near p = 1/2, where p (1 - p) is 1/4 for all, TRAK is a quarter of what leaving out changes."""
    inputs, labels = two_classes(N=120)
    signs = {split: 2.0 * y - 1 for split, y in labels.items()}
    x, y = inputs["train"], signs["train"]
    whole = fitted(x, y)
    found = trak_scores(logistic(whole[None], inputs), labels, 0, numbers=None)
    without = np.stack([fitted(np.delete(x, i, 0), np.delete(y, i)) for i in range(len(x))])
    lost = signs["test"][:, None] * (inputs["test"] @ (whole - without).T)
    assert np.corrcoef(found.ravel(), lost.ravel())[0, 1] > 0.98
    slope = (found * lost).sum() / (found**2).sum()
    assert slope == pytest.approx(4, rel=0.15)


@needs_traker
@pytest.mark.parametrize("hidden", [0, 3])
def test_library_gives_the_same_scores_without_projection(hidden):
    """But for the factor by which it divides the inverse of each network."""
    inputs, labels = two_classes(p=4)
    states, rng = {}, torch.Generator().manual_seed(0)
    layers = [nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 1)] if hidden else [nn.Linear(4, 1)]
    module = TwoClasses(nn.Sequential(*layers))
    for m in range(2):
        states[m] = {name: torch.randn(w.shape, generator=rng) for name, w in module.state_dict().items()}
    factors, ours, doubts = [], [], []
    for state in states.values():
        of_one = networks(module, {0: state}, inputs)
        features, probability = trak._features(
            of_one, state, "train", labels, lambda parts: torch.cat(parts, 1).double()
        )
        factors.append(len(features.T) * np.abs(np.linalg.inv(features.T @ features)).mean())
        doubts.append(1 - probability)
        found = trak_scores(of_one, labels, 0, numbers=None)
        np.testing.assert_allclose(
            traker_scores(of_one, labels, 0, numbers=None) * factors[-1], found,
            rtol=1e-3, atol=1e-4 * np.abs(found).max(),
        )  # fmt: skip
        ours.append(found / doubts[-1] / factors[-1])
    both = np.mean(ours, 0) * np.mean(doubts, 0)
    np.testing.assert_allclose(
        traker_scores(networks(module, states, inputs), labels, 0, numbers=None), both,
        rtol=1e-3, atol=1e-4 * np.abs(both).max(),
    )  # fmt: skip


@needs_traker
def test_library_projects_prints_nothing_and_leaves_no_file(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    of_digits, labels = small_networks(4)
    steps = []
    found = traker_scores(of_digits, labels, 0, numbers=20, step=lambda: steps.append(1))
    assert (found.shape, len(steps)) == ((12, 48), 4)
    assert np.isfinite(found).all()
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def examples(N=48, n=12):
    rng = np.random.default_rng(1)
    colors = rng.integers(40, 216, (3, 4, 4, 3))
    made = {}
    for split, count in (("test", n), ("train", N)):
        labels = np.arange(count) % 3
        pixels = np.clip(colors[labels] + rng.normal(0, 70, (count, 4, 4, 3)), 0, 255).astype(np.uint8)
        made[split] = ExampleSet(split, pixels, labels, ("a", "b", "c"))
    return made


def small_networks(count, of=None):
    of = of or examples()
    runs = mlp.train_runs(RECIPE, of, range(count), seed=3)
    states = {run.run: state_of(run.weights) for run in runs}
    labels = {split: of_split.labels for split, of_split in of.items()}
    return Networks(module_of(RECIPE, runs[0].weights, 4), states, mlp_inputs(of)), labels


def test_projected_gradients_are_those_of_small_steps():
    of = examples()
    found, labels = small_networks(3, of)
    state = {name: values.double() for name, values in found.states[2].items()}
    x = found.inputs("test", slice(None)).double()
    in_double = Networks(found.module, {2: state}, lambda split, rows: x[rows])
    names = [name for name in state if name != "mean"]
    generator = torch.Generator().manual_seed(0)
    direction = {n: torch.randn(state[n].shape, dtype=torch.float64, generator=generator) for n in names}
    flat = torch.cat([direction[name].flatten() for name in names])
    gradients, probability = trak._features(
        in_double, state, "test", labels, lambda g: torch.cat(g, 1) @ flat[:, None]
    )

    def margins(step):
        moved = {**state, **{name: state[name] + step * direction[name] for name in names}}
        logits = torch.func.functional_call(found.module, moved, x)
        return margins_of(logits.numpy()[None], labels["test"])[0]

    assert gradients[:, 0] == pytest.approx((margins(1e-6) - margins(-1e-6)) / 2e-6, rel=1e-4, abs=1e-5)
    assert probability == pytest.approx(1 / (1 + np.exp(-margins(0))))


def test_projection_keeps_lengths_and_is_drawn_in_parts(monkeypatch):
    module = nn.Linear(30, 30, bias=False)
    monkeypatch.setattr(trak, "DRAWN", 200)
    project = trak.projection(module, 400, seed=5)
    matrix = project([torch.eye(900)])
    assert matrix.shape == (900, 400)
    assert not torch.equal(matrix[:200], matrix[200:400])
    vectors = torch.randn(20, 900, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(project([vectors]), vectors @ matrix, rtol=1e-4, atol=1e-4)
    lengths = project([vectors]).norm(dim=1) / vectors.norm(dim=1)
    assert float((lengths - 1).abs().max()) < 0.2
    assert not torch.equal(trak.projection(module, 400, seed=6)([vectors]), project([vectors]))


def test_pieces_do_not_matter(monkeypatch):
    of_digits, labels = small_networks(2)
    whole = trak_scores(of_digits, labels, 0, numbers=20)
    monkeypatch.setattr(trak, "GRADIENTS", 4 * 700 * 5)
    monkeypatch.setattr(trak, "ADDED", 7)
    in_pieces = trak_scores(of_digits, labels, 0, numbers=20)
    np.testing.assert_allclose(in_pieces, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())


def test_twin_in_the_training_set_has_the_largest_score_and_so_has_the_example_itself():
    of = examples()
    of["train"].images[5] = of["test"].images[3]
    of["train"].labels[5] = of["test"].labels[3]
    found, labels = small_networks(4, of)
    assert trak_scores(found, labels, 0, numbers=32)[3].argmax() == 5
    train = found.inputs("train", slice(None))
    on_itself = Networks(found.module, found.states, lambda split, rows: train[rows])
    scores = trak_scores(on_itself, {"test": labels["train"], "train": labels["train"]}, 0, numbers=32)
    assert (np.diag(scores) > 0).all()
    assert (scores.argmax(1) == np.arange(48)).mean() > 0.7


def test_number_is_chosen_that_predicts_best_the_runs_that_are_not_held_out(monkeypatch):
    """Margins that one number predicts without error: TRAK's own, by as many numbers."""
    found, labels = small_networks(2)
    masks = np.random.default_rng(0).random((40, 48)) < 0.5
    counter = lambda *_: lambda: None
    monkeypatch.setattr(trak_rows, "NUMBERS", (8, 16, 24))
    monkeypatch.setattr(trak_rows, "CHOOSING_FOR", 7)
    for number in (8, 16, 24):
        margins = masks @ trak_scores_by(found, labels, 5, (8, 16, 24))[number // 8 - 1].T
        asked = SimpleNamespace(
            setting=SimpleNamespace(seed=5, counter=counter),
            examples=examples(),
            runs=SimpleNamespace(
                fitted_masks=TrainingMasks(np.packbits(masks, axis=1), 48), fitted=margins.astype(np.float64)
            ),
        )
        assert trak_rows._best_number(asked, found) == number


def test_several_numbers_at_once_are_those_of_the_first_columns():
    found, labels = small_networks(2)
    one, two = trak_scores_by(found, labels, 0, (7, 20))
    np.testing.assert_allclose(two, trak_scores(found, labels, 0, numbers=20), rtol=1e-5)
    _, again = trak_scores_by(found, labels, 0, (3, 20))
    np.testing.assert_array_equal(two, again)
    assert not np.allclose(one, two)


def test_score_rises_with_the_number_of_networks():
    """As figure 2 of the paper has it: by networks trained on 64 halves of a planted set."""
    of = examples(60, 20)
    halves = np.stack([np.random.default_rng(m).permutation(60)[:30] for m in range(64)])
    layers = mlp.layers_trained_on(RECIPE, of, halves, 5, seed=0)
    margins = margins_of(
        mlp.logits_of(layers, mlp.inputs_of(of["test"], of["train"])).numpy(), of["test"].labels
    )
    masks = np.zeros((64, 60), bool)
    np.put_along_axis(masks, halves, True, axis=1)
    held = TrainingMasks(np.packbits(masks, axis=1), 60)
    found, labels = small_networks(32, of)
    scores = []
    for count in (1, 6, 32):
        few = Networks(found.module, dict(list(found.states.items())[:count]), found.inputs)
        weights = trak_scores(few, labels, 0, numbers=16).astype(np.float64)
        scores.append(linear_datamodeling_scores(weights, held, margins).mean())
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] > 0.3
