"""Ensembles that differ by one thing: what they share exactly, and what is measured; groups of runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kernel_core.errors import RequestError
from kernel_core.lab import ask, variation, varied
from kernel_core.lab.all_pairs import kernel_values
from kernel_core.lab.ask import Order
from kernel_core.lab.measured import MEASURES, effective_runs, measured
from kernel_core.lab.run_groups import gain, groups_of, mixed_sets
from kernel_core.lab.setting import Point
from kernel_core.networks import mlp
from kernel_core.recipes import MlpRecipe
from kernel_core.records import Ensemble, ExampleSet
from kernel_core.results.answers import read_answer
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest

RECIPE = MlpRecipe(hidden=(12, 8), epochs=2, batch=8, learning_rate=0.01, label_smoothing=0.1)


def example_set(split, count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, 4, 4, 3)) + 60 * labels[:, None, None, None]
    return ExampleSet(split, images.astype(np.uint8), labels.astype(np.int64), ("a", "b", "c"))


EXAMPLES = {"train": example_set("train", 40, 0), "test": example_set("test", 15, 1)}


def weights(layers):
    return torch.cat([part.detach().flatten(1) for layer in layers for part in layer], 1)


def distinct(layers):
    return len({row.numpy().tobytes() for row in weights(layers)})


def test_chance_shares_what_it_says_and_nothing_else():
    every = varied.chance((0, 1, 2), 5)
    start, order = (varied.chance((0, 1, 2), 5, same=same) for same in ("start", "order"))
    assert len({*every.starts, *every.orders}) == 10
    assert (set(start.starts), start.orders) == ({every.starts[0]}, every.orders)
    assert (order.starts, set(order.orders)) == (every.starts, {every.orders[0]})
    others = [varied.chance(which, 5) for which in ((1, 1, 2), (0, 2, 2), (0, 1, 1))]
    assert not {*every.starts, *every.orders} & {seed for of in others for seed in (*of.starts, *of.orders)}


def test_runs_of_one_start_or_one_order_share_it_exactly(monkeypatch):
    first, batches = [], []
    draw, loss = mlp._initial, mlp.loss_of_runs

    def initial(*given):
        first.append([(w.clone(), b.clone()) for w, b in draw(*given)])
        return draw(*[given[0], [g.manual_seed(g.initial_seed()) for g in given[1]]])

    monkeypatch.setattr(mlp, "_initial", initial)
    monkeypatch.setattr(mlp, "loss_of_runs", lambda *given: batches.append(given[1]) or loss(*given))
    for starts, orders in (((5, 5, 5), (1, 2, 3)), ((5, 6, 7), (1, 1, 1)), ((5, 5, 5), (1, 1, 1))):
        first.clear(), batches.clear()
        trained = mlp.train_apart(RECIPE, EXAMPLES, starts, orders)
        order = torch.cat(batches, 1)  # labels in the order in which each run sees them
        assert distinct(first[0]) == len(set(starts))
        assert len({row.numpy().tobytes() for row in order}) == len(set(orders))
        assert distinct(trained) == max(len(set(starts)), len(set(orders)))
    alone = mlp.train_apart(RECIPE, EXAMPLES, (5,), (3,))
    beside = mlp.train_apart(RECIPE, EXAMPLES, (9, 5), (8, 3))
    assert torch.allclose(weights(alone)[0], weights(beside)[1], atol=1e-5)


def test_copies_of_a_network_with_dropout_differ_and_have_its_mean():
    """With one hidden layer the logits are linear in the units: their mean over copies is the network's."""
    one = MlpRecipe(hidden=(6,), epochs=1, batch=8, learning_rate=0.01, label_smoothing=0.0)
    layers = mlp.train_apart(one, EXAMPLES, (1, 2), (3, 4))
    inputs = mlp.inputs_of(EXAMPLES["test"], EXAMPLES["train"])
    of_run = mlp.logits_of(layers, inputs)[1]
    copies = mlp.logits_of(mlp.thinned(layers, 1, 4_000, 0.2, seed=0), inputs)
    error = copies.std(0) / 4_000**0.5
    assert ((copies.mean(0) - of_run).abs() < 4.5 * error + 1e-5).all()
    hidden = (inputs @ layers[0][0][1].detach() + layers[0][1][1].detach()).relu()
    kept = torch.tensor([[n >> unit & 1 for unit in range(6)] for n in range(64)], dtype=torch.float32)
    output, bias = (part[1].detach() for part in layers[1])
    possible = (hidden * kept[:, None] / 0.8) @ output + bias  # (64, n, C)
    off, which = (copies[:200, None] - possible).abs().amax((2, 3)).min(1)
    assert off.max() < 1e-4
    assert len(which.unique()) > 10


def test_dropout_changes_training_and_none_does_not():
    plain, also = (mlp.train_apart(RECIPE, EXAMPLES, (1,), (2,), dropout=of) for of in (0.0, 0.0))
    dropped = mlp.train_apart(RECIPE, EXAMPLES, (1,), (2,), dropout=0.3)
    assert torch.equal(weights(plain), weights(also))
    assert not torch.allclose(weights(plain), weights(dropped))


@pytest.mark.parametrize("kind", varied.KINDS)
def test_each_kind_gives_all_runs(kind, monkeypatch):
    monkeypatch.setattr(varied, "RECIPE", RECIPE)
    monkeypatch.setattr(varied, "RUNS", 8)
    found = varied.KINDS[kind](EXAMPLES, (0, 1, 0))
    assert {split: x.shape for split, x in found.items()} == {"train": (8, 40, 3), "test": (8, 15, 3)}
    again = varied.KINDS[kind](EXAMPLES, (0, 1, 0))
    assert all((found[split] == again[split]).all() for split in found)
    other = varied.KINDS[kind](EXAMPLES, (0, 1, 1))
    assert not (found["test"] == other["test"]).all()


def test_last_snapshot_is_the_trained_network(monkeypatch):
    monkeypatch.setattr(varied, "RECIPE", RECIPE)
    seen = varied.along_training(EXAMPLES, (0, 1, 0))
    of = varied.chance((0, 1, 0), 1)
    trained = varied.outputs(mlp.train_apart(RECIPE, EXAMPLES, of.starts, of.orders), EXAMPLES)
    assert np.allclose(seen["test"][-1], trained["test"][0], atol=1e-5)
    assert not np.allclose(seen["test"][0], trained["test"][0], atol=1e-2)


def test_numbers_are_those_of_plain_loops():
    rng = np.random.default_rng(4)
    labels = EXAMPLES["test"].labels, EXAMPLES["train"].labels
    logits = {s: rng.normal(size=(6, len(EXAMPLES[s]), 3)) + np.eye(3)[EXAMPLES[s].labels] for s in EXAMPLES}
    logits = {split: x.astype(np.float32) for split, x in logits.items()}
    reference = rng.normal(size=(15, 40))
    found = dict(zip(MEASURES, measured(logits, labels, reference), strict=True))
    values = kernel_values(logits["test"], logits["train"])
    right, weighted, overlap = [], [], []
    for i, row in enumerate(values):
        order = sorted(range(40), key=lambda j: (-row[j], j))
        of = [np.bincount(labels[1][order[:3]], minlength=3), np.zeros(3)]
        for j in order[:20]:
            of[1][labels[1][j]] += max(row[j], 0) ** 4
        right.append(of[0].argmax() == labels[0][i])
        weighted.append(of[1].argmax() == labels[0][i])
        overlap.append(len(set(order[:10]) & set(np.argsort(-reference[i])[:10])) / 10)
    assert found["3 nearest"] == pytest.approx(np.mean(right))
    assert found["20 weighted"] == pytest.approx(np.mean(weighted))
    assert found["shared 10 nearest"] == pytest.approx(np.mean(overlap))
    assert found["correlation"] == pytest.approx(np.corrcoef(values.ravel(), reference.ravel())[0, 1])
    assert found["one run"] == pytest.approx(np.mean([x.argmax(1) == labels[0] for x in logits["test"]]))
    assert found["averaged"] == pytest.approx(np.mean(logits["test"].sum(0).argmax(1) == labels[0]))


def test_effective_runs_count_copies_once():
    rng = np.random.default_rng(5)
    apart = rng.normal(size=(9, 4_000, 3))
    assert effective_runs(apart) == pytest.approx(8, abs=0.2)  # a mean is taken off
    copied = np.concatenate([apart[:3]] * 3)
    assert effective_runs(copied) == pytest.approx(2, abs=0.1)
    assert effective_runs(apart + 50) == pytest.approx(effective_runs(apart), abs=1e-6)


def test_images_are_reduced_by_means():
    images = np.random.default_rng(6).integers(0, 256, (3, 33, 20, 3)).astype(np.uint8)
    found = variation.reduced(images, 16)
    assert found.shape == (3, 11, 6, 3)
    assert abs(int(found[1, 2, 3, 0]) - images[1, 6:9, 9:12, 0].mean()) <= 0.5
    assert (variation.reduced(images[:, :16, :16], 16) == images[:, :16, :16]).all()


def ensemble_of(*parts):
    """Parts given as (name or names, number of runs)."""
    names = tuple(name for name, _ in parts)
    return Ensemble(names, tuple({"test": np.zeros((runs, 5, 2), np.float16)} for _, runs in parts))


def test_groups_are_folders_or_else_files():
    by_folder = ensemble_of(
        ("runs/a/log.pt", 5), ("runs/b/log.pt", 4), ("runs/a/more.pt", 2), ("runs/c/x.pt", 3)
    )
    assert groups_of(by_folder) == {"a": [0, 1, 2, 3, 4, 9, 10], "b": [5, 6, 7, 8]}
    nested = ensemble_of(("runs/log.pt", 4), ("runs/b/log.pt", 4))
    assert list(groups_of(nested)) == ["runs", "runs/b"]
    by_file = ensemble_of(("wide.npz", 4), ("deep.npz", 6))
    assert groups_of(by_file) == {"wide.npz": [0, 1, 2, 3], "deep.npz": list(range(4, 10))}
    single = tuple(f"{folder}/{n}.npz" for folder in "ab" for n in range(4))  # files of one run each
    assert groups_of(ensemble_of((single, 8))) == {"a": [0, 1, 2, 3], "b": [4, 5, 6, 7]}
    assert groups_of(ensemble_of(("log.pt", 30))) == {}
    assert groups_of(ensemble_of(("a/x.pt", 30), ("b/x.pt", 3))) == {}


@pytest.mark.parametrize(("size", "sets"), [(2, 9), (5, 3), (6, 3), (18, 1), (19, 0)])
def test_mixed_sets_take_evenly_and_share_no_run(size, sets):
    groups = {"a": range(9), "b": range(20, 30)}
    found = mixed_sets(groups, size, 9, seed=1)
    assert len(found) == sets
    assert len({run for runs in found for run in runs}) == size * sets
    for runs in found:
        assert len(runs) == size
        assert abs(sum(run < 20 for run in runs) * 2 - size) <= 1


def test_gain_of_planted_groups_has_its_interval():
    rng, held = np.random.default_rng(8), []

    def points(share, sets):
        shares = share + 0.01 * rng.normal(size=sets)
        return [Point(np.zeros(1), {"knn3": rng.random(2_000) < of}) for of in shares]

    for _ in range(60):
        found = gain([points(0.6, 4), points(0.7, 4)], points(0.68, 4), "knn3")
        assert found.low < found.value < found.high
        held.append(found.low <= 0.03 <= found.high)
    assert np.mean(held) >= 0.9


def test_question_is_refused_without_images_and_groups(source_folder, cache, monkeypatch):
    request = SourceRequest(str(source_folder / "source.toml"))

    def without(setting, most):
        raise RequestError("no images of a training and a test set")

    monkeypatch.setattr(variation, "examples_drawn", without)
    monkeypatch.setattr(variation, "groups_of", lambda ensemble: {})
    with pytest.raises(RequestError, match="no images"):
        ask.ask("variation", request, Order(), device="cpu")
    runs = {"first": list(range(8)), "second": list(range(8, 16))}
    monkeypatch.setattr(variation, "groups_of", lambda ensemble: runs)
    found = ask.ask("variation", request, Order(counts=(4, 8)), device="cpu")
    (seen,) = found.seen
    assert seen.startswith("With 4 runs")  # of 8 there is one set per group
    assert [curve.name for curve in found.panels[0].curves] == [
        "runs of first",
        "runs of second",
        "runs of all, mixed",
    ]


def test_answer_is_kept_and_trains_no_network_twice(source_folder, cache, monkeypatch):
    few = {kind: varied.KINDS[kind] for kind in ("start and order", "dropout", "its last steps")}
    monkeypatch.setattr(variation, "KINDS", few)
    monkeypatch.setattr(variation, "REFERENCE", 1)
    request = SourceRequest(str(source_folder / "source.toml"))
    found = ask.ask("variation", request, Order(counts=(8,)), device="cpu")
    keys = plan_keys(open_source(request, offline=True), request, Store())
    assert read_answer(keys, "variation", Store()) == found
    assert [row[0] for row in found.tables[0].rows] == list(few)
    for panel in found.panels[:2]:
        assert [curve.x for curve in panel.curves] == [(8, 64)] * 3
    monkeypatch.setattr(mlp, "_descend", None)  # which no second training could call
    again = ask.ask("variation", request, Order(counts=(8,)), device="cpu")
    assert replace(again, seconds=0) == replace(found, seconds=0)
