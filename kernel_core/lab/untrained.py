"""Before any training? The kernel of networks at their start against its closed form, then epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernel_core.findings.votes import knn_vote
from kernel_core.lab.curves import Answered
from kernel_core.lab.drawn import RECIPE, Most, examples_drawn
from kernel_core.lab.nngp import nngp_correlation
from kernel_core.lab.run_sets import disjoint_sets
from kernel_core.lab.setting import POINTS, Setting
from kernel_core.machine import one_thread
from kernel_core.networks.mlp import GROUP, inputs_of, logits_by_epoch
from kernel_core.recipes import as_json
from kernel_core.records import ExampleSet
from kernel_core.results.answers import Curve, Panel, Table
from kernel_core.results.store import key_of
from kernel_core.spec import Split

NETWORKS = 256  # a multiple of GROUP
MOST: Most = {"test": 500, "train": 2_000}  # examples that are compared; of more, so many are drawn
OVERLAP = 10  # nearest
FORMAT = 1  # of an entry of outputs
BANDS = (
    "Bands: the lowest and the highest of up to {sets} sets of networks that have none in common. Lines: the "
    "mean of the sets."
)
Values = npt.NDArray[np.float64]
Labels = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # of the query and the database examples
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
        "kind": POINTS,
        "format": FORMAT,
        "of": "outputs by epoch",
        "images": setting.keys.examples,
        "recipe": as_json(RECIPE),
        "networks": NETWORKS,
        "seed": setting.seed,
        "drawn": [len(of_split) for of_split in examples.values()],
    }
    key = key_of(content)
    entry = setting.store.read(POINTS, key)
    if entry is None:
        arrays = _train(setting, examples)
        about = f"{setting.results.name}: outputs of {NETWORKS} networks by epoch, for a question"
        setting.store.write(POINTS, key, arrays, {}, about=about)
    else:
        arrays = entry[0]
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


def kernel_values(query: npt.NDArray[np.float16], database: npt.NDArray[np.float16]) -> Values:
    """Return the kernel of all pairs in float64, (n, m). query, database: logits (M, n, C) and (M, m, C).

    It is the definition of `kernel_core.similarity.kernel`, without blocks: for few examples alone.
    """
    rows = []
    for logits in (query, database):
        x = logits.astype(np.float64)
        x -= x.max(-1, keepdims=True)
        x -= np.log(np.exp(x).sum(-1, keepdims=True))
        x -= x.mean(0)
        spread = x.std(0, ddof=1)
        np.divide(x, spread, out=x, where=spread > 0)
        rows.append(x.transpose(1, 2, 0).reshape(x.shape[1], -1))
    values: Values = rows[0] @ rows[1].T / rows[0].shape[1]
    return values


def pearson(first: Values, second: Values, chosen: npt.NDArray[np.bool_] | None = None) -> float:
    """Return Pearson's correlation of two tables of values, of the chosen pairs."""
    pairs = (first.ravel(), second.ravel()) if chosen is None else (first[chosen], second[chosen])
    return float(np.corrcoef(*pairs)[0, 1])


def _by_count(
    setting: Setting,
    outputs: dict[str, npt.NDArray[np.float16]],
    closed: Values,
    labels: Labels,
    counts: Sequence[int],
) -> Panel:
    """Return how near the kernel of networks at their start is to the closed form, by their number."""
    alike = labels[0][:, None] == labels[1]
    found: dict[str, list[list[float]]] = {"all pairs": [], "pairs of one label": []}
    for count in counts:
        values = [
            kernel_values(outputs["test"][list(runs)], outputs["train"][list(runs)])
            for runs in disjoint_sets(NETWORKS, count, setting.sets, setting.seed)
        ]
        found["all pairs"].append([pearson(of, closed) for of in values])
        found["pairs of one label"].append([pearson(of, closed, alike) for of in values])
    curves = tuple(_curve(name, counts, of_counts) for name, of_counts in found.items())
    return Panel("Networks at their start: correlation with the closed form", "networks", curves, "number")


def _by_epoch(setting: Setting, outputs: Outputs, closed: Values, labels: Labels) -> tuple[Panel, ...]:
    """Return how training moves the kernel away from the closed form: correlation, overlap and votes."""
    alike = labels[0][:, None] == labels[1]
    names = ("all pairs", "pairs of one label")
    near, overlap, votes = {name: [] for name in names}, [], []  # type: ignore[var-annotated]
    nearest = _nearest(closed, OVERLAP)
    for epoch, of_epoch in enumerate(outputs):
        setting.progress("comparing kernels by epoch", epoch, len(outputs))
        values = [
            kernel_values(of_epoch["test"][list(runs)], of_epoch["train"][list(runs)])
            for runs in disjoint_sets(NETWORKS, GROUP, setting.sets, setting.seed)
        ]
        near[names[0]].append([pearson(of, closed) for of in values])
        near[names[1]].append([pearson(of, closed, alike) for of in values])
        overlap.append([_shared(_nearest(of, OVERLAP), nearest) for of in values])
        votes.append([_accuracy(of, labels) for of in values])
    epochs = range(len(outputs))
    flat = [_accuracy(closed, labels)] * len(outputs)
    return (
        Panel("Training: correlation with the closed form", "epochs",
              tuple(_curve(name, epochs, of) for name, of in near.items()), "number", is_log=False),
        Panel(f"Training: share of the {OVERLAP} nearest that the closed form has too", "epochs",
              (_curve("the kernel", epochs, overlap),), is_log=False),
        Panel("Training: the 3 nearest vote", "epochs",
              (_curve("the kernel", epochs, votes), _curve("the closed form", epochs, [[v] for v in flat])),
              is_log=False),
    )  # fmt: skip


def _curve(name: str, x: Sequence[int], values: list[list[float]]) -> Curve:
    """Return a curve of means; the band is the lowest and the highest of the sets of networks."""
    ends = [(float(np.mean(of)), min(of), max(of)) for of in values]
    y, low, high = zip(*ends, strict=True)
    return Curve(name, tuple(map(float, x)), y, low, high)


def _nearest(values: Values, k: int) -> npt.NDArray[np.int64]:
    """Return the k nearest of each row, nearest first; ties by lower index."""
    return np.argsort(-values, axis=1, kind="stable")[:, :k]


def _shared(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> float:
    """Return the share of the first's indices that are among the second's, row by row."""
    return float((first[:, :, None] == second[:, None]).any(2).mean())


def _accuracy(values: Values, labels: Labels) -> float:
    nearest = labels[1][_nearest(values, 3)]
    count = int(max(labels[0].max(), labels[1].max())) + 1
    return float((knn_vote(nearest, count) == labels[0]).mean())


def _table(along: tuple[Panel, ...], closed: Values, labels: Labels) -> Table:
    """Return the numbers of every epoch."""
    near, overlap, votes = (panel.curves[0].y for panel in along)
    within = along[0].curves[1].y
    rows = tuple(
        (f"{epoch}", f"{near[epoch]:.3f}", f"{within[epoch]:.3f}", overlap[epoch], votes[epoch])
        for epoch in range(len(near))
    )
    last = ("closed form", "1.000", "1.000", 1.0, _accuracy(closed, labels))
    columns = ("epoch", "correlation", "of one label", f"shared {OVERLAP} nearest", "3 nearest vote")
    return Table(f"{GROUP} networks, epoch by epoch", columns, (*rows, last))


def _sentences(start: Panel, along: tuple[Panel, ...], closed: Values, labels: Labels) -> tuple[str, ...]:
    every, within = start.curves
    near = along[0].curves
    words = ", ".join(f"{y:.3f} with {x:,.0f}" for x, y in zip(every.x, every.y, strict=True))
    beginning = (
        "At their start, the kernel of networks comes near the closed form as their number grows: "
        f"correlation {words}; among pairs of one label {within.y[-1]:.3f} with {within.x[-1]:,.0f}."
    )
    leaving = (
        f"Training leaves it: {near[0].y[0]:.3f} before, {near[0].y[1]:.3f} after one epoch, "
        f"{near[0].y[-1]:.3f} after {near[0].x[-1]:.0f}; among pairs of one label {near[1].y[0]:.3f}, "
        f"{near[1].y[1]:.3f} and {near[1].y[-1]:.3f}."
    )
    votes = (
        f"The 3 nearest are right on {along[2].curves[0].y[0]:.1%} before training and on "
        f"{along[2].curves[0].y[-1]:.1%} after, by the closed form on {_accuracy(closed, labels):.1%}."
    )
    return beginning, leaving, votes
