"""Before any training? The kernel of networks at their start against its closed form, then epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernel_core.lab.all_pairs import (
    Labels,
    Values,
    kernel_values,
    nearest_of,
    pearson,
    shared,
    vote_accuracy,
)
from kernel_core.lab.curves import Answered, curve_of_sets
from kernel_core.lab.drawn import RECIPE, Most, examples_drawn
from kernel_core.lab.run_sets import disjoint_sets
from kernel_core.lab.setting import Setting
from kernel_core.machine import one_thread
from kernel_core.networks.mlp import GROUP, inputs_of, logits_by_epoch
from kernel_core.nngp import nngp_correlation
from kernel_core.recipes import as_json
from kernel_core.records import ExampleSet
from kernel_core.results.answers import Curve, Panel, Table
from kernel_core.spec import Split

NETWORKS = 256  # a multiple of GROUP
MOST: Most = {"test": 500, "train": 2_000}  # examples that are compared; of more, so many are drawn
OVERLAP = 10  # nearest
FORMAT = 1  # of an entry of outputs
BANDS = (
    "Bands: the lowest and the highest of up to {sets} sets of networks that have none in common. Lines: the "
    "mean of the sets."
)
Outputs = list[dict[str, npt.NDArray[np.float16]]]
"""Before training and after each epoch: by split, logits (M, n, C)."""


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of networks at their start.

    Raises `RequestError` if the source has no images, or no training examples.
    """
    examples = examples_drawn(setting, MOST)
    outputs = _outputs(setting, examples)
    query, database = (
        inputs_of(examples[split], examples["train"]).numpy().astype(np.float64)
        for split in ("test", "train")
    )
    closed = nngp_correlation(query, database, len(RECIPE.hidden))
    labels = examples["test"].labels, examples["train"].labels
    counts = [count for count in requested or (16, 64, NETWORKS) if 2 <= count <= NETWORKS]
    start = _by_count(setting, outputs[0], closed, labels, counts)
    along = _by_epoch(setting, outputs, closed, labels)
    seen, table = _sentences(start, along, closed, labels), _table(along, closed, labels)
    return Answered(seen, (start, *along), (table,), BANDS.format(sets=setting.sets), len(labels[0]))


def _outputs(setting: Setting, examples: dict[Split, ExampleSet]) -> Outputs:
    """Return the outputs of the networks before training and after each epoch, from the cache if known."""
    content = {
        "format": FORMAT,
        "of": "outputs by epoch",
        "images": setting.keys.examples,
        "recipe": as_json(RECIPE),
        "networks": NETWORKS,
        "seed": setting.seed,
        "drawn": [len(of_split) for of_split in examples.values()],
    }
    about = f"outputs of {NETWORKS} networks by epoch"
    arrays = setting.kept(content, lambda: _train(setting, examples), about)
    epochs = range(RECIPE.epochs + 1)
    return [{split: arrays[f"{split}_{epoch}"] for split in examples} for epoch in epochs]


def _train(setting: Setting, examples: dict[Split, ExampleSet]) -> dict[str, npt.NDArray[np.float16]]:
    groups = []
    for group in range(NETWORKS // GROUP):
        setting.progress("training networks to look at", group, NETWORKS // GROUP)
        with one_thread():
            groups.append(logits_by_epoch(RECIPE, examples, group, setting.seed))
    setting.progress("training networks to look at", len(groups), len(groups))
    return {
        f"{split}_{epoch}": np.concatenate([of_group[epoch][split] for of_group in groups]).astype(np.float16)
        for epoch in range(RECIPE.epochs + 1)
        for split in examples
    }


def _by_count(
    setting: Setting,
    outputs: dict[str, npt.NDArray[np.float16]],
    closed: Values,
    labels: Labels,
    counts: Sequence[int],
) -> Panel:
    """Return how near the kernel of networks at their start is to the closed form, by their number."""
    alike = labels[0][:, None] == labels[1]
    found: dict[str, list[list[float]]] = {"all pairs": [], "pairs of the same label": []}
    for count in counts:
        values = [
            kernel_values(outputs["test"][list(runs)], outputs["train"][list(runs)])
            for runs in disjoint_sets(NETWORKS, count, setting.sets, setting.seed)
        ]
        found["all pairs"].append([pearson(of, closed) for of in values])
        found["pairs of the same label"].append([pearson(of, closed, alike) for of in values])
    curves = tuple(curve_of_sets(name, dict(zip(counts, of, strict=True))) for name, of in found.items())
    return Panel("Untrained networks: correlation with the closed form", "networks", curves, "number")


def _by_epoch(setting: Setting, outputs: Outputs, closed: Values, labels: Labels) -> tuple[Panel, ...]:
    """Return how training moves the kernel away from the closed form: correlation, overlap and votes."""
    alike = labels[0][:, None] == labels[1]
    names = ("all pairs", "pairs of the same label")
    near, overlap, votes = {name: [] for name in names}, [], []  # type: ignore[var-annotated]
    nearest = nearest_of(closed, OVERLAP)
    for epoch, of_epoch in enumerate(outputs):
        setting.progress("comparing kernels by epoch", epoch, len(outputs))
        values = [
            kernel_values(of_epoch["test"][list(runs)], of_epoch["train"][list(runs)])
            for runs in disjoint_sets(NETWORKS, GROUP, setting.sets, setting.seed)
        ]
        near[names[0]].append([pearson(of, closed) for of in values])
        near[names[1]].append([pearson(of, closed, alike) for of in values])
        overlap.append([shared(nearest_of(of, OVERLAP), nearest) for of in values])
        votes.append([vote_accuracy(of, labels) for of in values])
    flat = [[vote_accuracy(closed, labels)]] * len(outputs)

    def by_epoch(name: str, values: list[list[float]]) -> Curve:
        return curve_of_sets(name, dict(enumerate(values)))

    return (
        Panel("Training: correlation with the closed form", "epochs",
              tuple(by_epoch(name, of) for name, of in near.items()), "number", is_log=False),
        Panel(f"Training: share of the {OVERLAP} nearest that the closed form has too", "epochs",
              (by_epoch("the kernel", overlap),), is_log=False),
        Panel("Training: the 3 nearest vote", "epochs",
              (by_epoch("the kernel", votes), by_epoch("the closed form", flat)),
              is_log=False),
    )  # fmt: skip


def _table(along: tuple[Panel, ...], closed: Values, labels: Labels) -> Table:
    """Return the numbers of every epoch."""
    near, overlap, votes = (panel.curves[0].y for panel in along)
    within = along[0].curves[1].y
    rows = tuple(
        (f"{epoch}", f"{near[epoch]:.3f}", f"{within[epoch]:.3f}", overlap[epoch], votes[epoch])
        for epoch in range(len(near))
    )
    last = ("closed form", "1.000", "1.000", 1.0, vote_accuracy(closed, labels))
    columns = ("epoch", "correlation", "of the same label", f"shared {OVERLAP} nearest", "3 nearest vote")
    return Table(f"{GROUP} networks, epoch by epoch", columns, (*rows, last))


def _sentences(start: Panel, along: tuple[Panel, ...], closed: Values, labels: Labels) -> tuple[str, ...]:
    every, within = start.curves
    near = along[0].curves
    words = ", ".join(f"{y:.3f} with {x:,.0f}" for x, y in zip(every.x, every.y, strict=True))
    beginning = (
        "The kernel of untrained networks approaches the closed form as their number grows: "
        f"correlation {words}; among pairs of the same label {within.y[-1]:.3f} with {within.x[-1]:,.0f}."
    )
    leaving = (
        f"Training moves away from it: {near[0].y[0]:.3f} before, {near[0].y[1]:.3f} after one epoch, "
        f"{near[0].y[-1]:.3f} after {near[0].x[-1]:.0f}; among pairs of the same label {near[1].y[0]:.3f}, "
        f"{near[1].y[1]:.3f} and {near[1].y[-1]:.3f}."
    )
    votes = (
        f"The 3 nearest are right on {along[2].curves[0].y[0]:.1%} before training and on "
        f"{along[2].curves[0].y[-1]:.1%} after, by the closed form on {vote_accuracy(closed, labels):.1%}."
    )
    return beginning, leaving, votes
