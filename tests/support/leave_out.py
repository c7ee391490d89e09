"""Heads on the digits' pixels, trained on chosen examples: random halves, or with and without one example."""

from dataclasses import replace

import numpy as np
import torch

from kernel_core.machine import one_thread
from kernel_core.networks import heads
from kernel_core.recipes import HEADS

RECIPE = replace(
    HEADS,
    hidden=32,
    epochs=60,
    batch=648,
    learning_rate=5e-2,
    label_smoothing=0.0,
    weight_decay=0.0,
    share=0.75,
)  # learns wrong labels by heart; 30 ms of a core per run
GROUP = 16


def digits(planted=()):
    """Return features float32 (N, 64) and labels by split; planted: (training index, label) of wrong ones."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels, labels = data.data.astype(np.float32), data.target.astype(np.int64)
    of_train = labels[:1297].copy()
    for index, label in planted:
        of_train[index] = label
    return {"train": pixels[:1297], "test": pixels[1297:]}, {"train": of_train, "test": labels[1297:]}


def halves(labels, runs, seed):
    """Return masks bool (runs, N) of random halves of the training examples."""
    rng, N = np.random.default_rng(seed), len(labels["train"])
    masks = np.zeros((runs, N), bool)
    for mask in masks:
        mask[rng.permutation(N)[: N // 2]] = True
    return masks


def swapped(masks, example):
    """Return the examples of each half with one example in it, and without: two int64 (runs, N // 2).

    The two differ in one place: the example, or another one that is drawn in its stead.
    """
    rng, with_, without = np.random.default_rng(example), [], []
    for mask in masks:
        chosen = np.flatnonzero(mask)
        if mask[example]:
            other = rng.choice(np.flatnonzero(~mask))
            with_.append(chosen)
            without.append(np.where(chosen == example, other, chosen))
        else:
            place = rng.integers(len(chosen))
            without.append(chosen)
            with_.append(np.where(np.arange(len(chosen)) == place, example, chosen))
    return np.array(with_), np.array(without)


def train(features, labels, examples, seed):
    """Return logits by split, float16 (runs, N, C), of runs trained on some examples, (runs, n), each."""
    scale = heads.Scale.of(features["train"])
    inputs = heads._Inputs(features, labels, 10, scale, torch.device("cpu"))
    logits = {split: [] for split in features}
    with one_thread():
        for start in range(0, len(examples), GROUP):
            numbers = range(start, min(start + GROUP, len(examples)))
            runs = [
                replace(heads._Run.drawn(RECIPE, inputs, r, seed), examples=torch.from_numpy(examples[r]))
                for r in numbers
            ]
            layers, standard = heads._descend(RECIPE, inputs, runs, lambda *_: None)
            for m, run in enumerate(runs):
                trained = heads._trained_run(inputs, run, [of[m] for of in layers], standard[m])
                for split, of in trained.logits.items():
                    logits[split].append(of)
    return {split: np.stack(of) for split, of in logits.items()}


def of_label(logits, labels):
    """Return each run's probability of the label, float64 (N, runs). logits: (runs, N, C)."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    probabilities = exponentials / exponentials.sum(-1, keepdims=True)
    return probabilities[:, np.arange(len(labels)), labels].T
