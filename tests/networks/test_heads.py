"""Heads: small networks on fixed features, a group of runs at once."""

from dataclasses import replace

import numpy as np
import pytest

from kernel_core.networks import heads
from kernel_core.networks.heads import GROUP, Scale, train_runs
from kernel_core.recipes import HEADS, Diverged

FAST = replace(HEADS, hidden=16, epochs=2, batch=32, steps=100, learning_rate=1e-2, share=0.5)
D, CLASSES = 40, 4


def problem(count, seed, noise=1.0, classes=CLASSES):
    """Return features (count, D) whose mean depends on the label, and labels."""
    means = np.random.default_rng(0).normal(size=(classes, D))
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes).astype(np.int64)
    return (3 + means[labels] + noise * rng.normal(size=(count, D))).astype(np.float16), labels


def trained(recipe=FAST, runs=(0,), *, seed=0, noise=1.0, classes=CLASSES, splits=("train", "test")):
    pairs = {"train": problem(400, 1, noise, classes), "test": problem(200, 2, noise, classes)}
    features = {split: pairs[split][0] for split in splits}
    labels = {split: pairs[split][1] for split in splits}
    return train_runs(recipe, features, labels, classes, runs, seed)


def test_heads_learn_an_easy_problem():
    runs = trained(runs=range(GROUP))
    assert [run.run for run in runs] == list(range(GROUP))
    assert min(run.accuracy for run in runs) > 0.85
    _, labels = problem(200, 2)
    for run in runs:
        assert {s: x.shape for s, x in run.logits.items()} == {
            "train": (400, CLASSES),
            "test": (200, CLASSES),
        }
        assert run.logits["test"].dtype == np.float16
        assert run.accuracy == pytest.approx((run.logits["test"].argmax(1) == labels).mean())
        assert run.trained_on is None


def test_the_hidden_layer_of_run_0_gives_its_logits_by_one_more_layer():
    first, second = trained(runs=[0, 1])
    hidden = first.features["test"]
    assert hidden.shape == (200, FAST.hidden)
    assert hidden.dtype == np.float32
    with_ones = np.c_[hidden, np.ones(len(hidden))]
    layer = np.linalg.lstsq(with_ones, first.logits["test"].astype(float), rcond=None)[0]
    np.testing.assert_allclose(with_ones @ layer, first.logits["test"], atol=0.01)
    assert not second.features


def test_a_run_is_the_same_alone_and_in_its_group():
    group = trained(runs=range(GROUP, 2 * GROUP))
    for i in (0, 9, 15):
        (alone,) = trained(runs=[GROUP + i])
        assert alone.run == GROUP + i
        for split in ("train", "test"):
            np.testing.assert_array_equal(alone.logits[split], group[i].logits[split])


def test_runs_are_the_same_when_fewer_fit_in_memory(monkeypatch):
    before = trained(runs=[5])[0]
    monkeypatch.setattr(heads, "HELD", 2 * 400 * 2 * FAST.given(D))
    assert heads.together(FAST, 400, D) == 2
    after = trained(runs=[5])[0]
    np.testing.assert_allclose(after.logits["test"], before.logits["test"], atol=0.01)


def test_runs_and_seeds_differ():
    first, second = trained(runs=[0, 1])
    (other,) = trained(runs=[0], seed=1)
    (again,) = trained(runs=[0])
    assert not np.array_equal(first.logits["test"], second.logits["test"])
    assert not np.array_equal(first.logits["test"], other.logits["test"])
    np.testing.assert_array_equal(first.logits["test"], again.logits["test"])


def test_each_run_sees_its_own_share_of_the_features():
    # One feature alone tells the classes apart: only the runs that are given it can learn.
    rng = np.random.default_rng(0)
    labels = {split: rng.integers(2, size=n) for split, n in (("train", 400), ("test", 200))}
    features = {split: rng.normal(size=(len(y), 8)).astype(np.float32) for split, y in labels.items()}
    for split, y in labels.items():
        features[split][:, 5] = 2.0 * y - 1
    runs = train_runs(replace(FAST, share=0.25), features, labels, 2, range(GROUP), 0)
    good = [run.accuracy > 0.95 for run in runs]
    assert all(run.accuracy > 0.95 or run.accuracy < 0.65 for run in runs)
    assert 1 <= sum(good) <= 9  # 4 of 16 are expected


def test_a_run_is_trained_on_its_own_subset():
    runs = trained(replace(FAST, subset=0.3, steps=300, share=1.0), range(GROUP), noise=4.0)
    _, labels = problem(400, 1)
    masks = np.stack([run.trained_on for run in runs])
    assert masks.dtype == np.bool_
    assert (masks.sum(1) == 120).all()
    assert len(np.unique(masks, axis=0)) == GROUP
    right = np.stack([run.logits["train"].argmax(1) == labels for run in runs])
    assert right[masks].mean() > right[~masks].mean() + 0.2


def test_every_class_keeps_an_example_in_a_subset():
    features, labels = problem(200, 1)
    labels[:] = np.where(np.arange(200) == 17, 3, labels % 3)
    runs = train_runs(replace(FAST, subset=0.05), {"train": features}, {"train": labels}, 4, range(GROUP), 0)
    for run in runs:
        assert run.trained_on.sum() == 10
        assert set(labels[run.trained_on]) == {0, 1, 2, 3}


@pytest.mark.parametrize(("steps", "batch", "expected"), [(0, 64, 4), (5, 64, 6), (7, 1000, 7)])
def test_few_examples_are_gone_through_more_often(steps, batch, expected):
    features, labels = problem(100, 1)
    seen, recipe = [], replace(FAST, epochs=2, steps=steps, batch=batch)
    train_runs(
        recipe, {"train": features}, {"train": labels}, CLASSES, [0], 0, progress=lambda *r: seen.append(r)
    )
    assert len(seen) == expected


def test_one_split_alone_has_its_accuracy():
    (run,) = trained(splits=("train",))
    assert set(run.logits) == {"train"}
    assert run.accuracy == pytest.approx((run.logits["train"].argmax(1) == problem(400, 1)[1]).mean())


def test_two_classes_and_classes_without_examples():
    assert trained(classes=2)[0].accuracy > 0.85
    features, labels = problem(100, 1)
    (run,) = train_runs(FAST, {"train": features}, {"train": labels}, CLASSES + 3, [0], 0)
    assert run.logits["train"].shape == (100, CLASSES + 3)
    assert run.logits["train"].argmax(1).max() < CLASSES


def test_constant_features_count_for_nothing():
    features, labels = problem(100, 1)
    constant = np.full_like(features, 1000.0)
    (run,) = train_runs(FAST, {"train": constant}, {"train": labels}, CLASSES, [0], 0)
    assert np.isfinite(run.logits["train"]).all()
    assert (run.logits["train"] == run.logits["train"][0]).all()


def test_one_example_and_few_examples_can_be_trained_on():
    for count in (1, 3):
        features, labels = problem(count, 1)
        (run,) = train_runs(FAST, {"train": features}, {"train": labels}, CLASSES, [0], 0)
        assert np.isfinite(run.logits["train"]).all()


def test_features_of_any_scale_give_the_same_runs():
    features, labels = problem(300, 1)
    (run,) = train_runs(FAST, {"train": features.astype(np.float64)}, {"train": labels}, CLASSES, [0], 0)
    scaled = 1e6 * features.astype(np.float64) - 7e6
    (same,) = train_runs(FAST, {"train": scaled}, {"train": labels}, CLASSES, [0], 0)
    np.testing.assert_allclose(same.logits["train"], run.logits["train"], atol=0.05)


def test_scale_is_that_of_the_training_examples():
    values = np.random.default_rng(0).normal(5, 3, size=(5000, 6)).astype(np.float16)
    values[:, 2] = 7
    rows = Scale.of(values).rows(values, np.array([1, 2, 5])).numpy()
    np.testing.assert_allclose(rows.astype(float).mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(rows.astype(float).std(0), [1, 0, 1], atol=1e-3)


def test_a_run_that_diverges_is_told():
    runs = trained(replace(FAST, learning_rate=1e30), [3, 4])
    assert [type(run) for run in runs] == [Diverged, Diverged]
    assert [run.run for run in runs] == [3, 4]


def test_progress_ends_with_the_last_step():
    seen = []
    features, labels = problem(64, 1)
    train_runs(
        FAST, {"train": features}, {"train": labels}, CLASSES, [0, 15], 0, progress=lambda *r: seen.append(r)
    )
    assert seen[-1][1] == seen[-1][2] == 2 * FAST.steps
    assert [done for _, done, _ in seen] == list(range(1, len(seen) + 1))
