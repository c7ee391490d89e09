"""Before any training? The kernel of networks at their start against its closed form, then epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    vote_right,
)
from kernel_core.lab.curves import Answered, band, curve_of_sets, paired_difference
from kernel_core.lab.drawn import Most, examples_drawn
from kernel_core.lab.looked_at import CNN, KINDS, MLP, Kind, Looked, closed_form, look_at
from kernel_core.lab.run_sets import disjoint_sets
from kernel_core.lab.setting import Setting
from kernel_core.results.answers import Curve, Panel, Table
from kernel_core.spec import Split

MOST: Most = {"test": 300, "train": 1_000}  # examples that are compared; of more, so many are drawn
OVERLAP = 10  # nearest
BANDS = (
    "Bands: the lowest and the highest of up to {sets} sets of networks that have none in common. Lines: the "
    "mean of the sets. Of votes by the closed form: Wilson's 95% interval over the choice of examples. The "
    "kernel after an epoch is of {mlp} fully connected networks, or of {cnn} "
    "convolutional ones."
)
ALIKE = "pairs of one label"


@dataclass(frozen=True)
class Seen:
    """What was seen of a kind of networks.

    start: by name of the pairs, correlation with the closed form by number of networks at their start. along:
    the same by epoch. overlap, votes: by epoch, the shares of the nearest that both have, and of right votes.
    right: of the 3 nearest by the kernel at the start, by the kernel at the end and by the closed form,
    whether each vote is right, as often as it is among the sets, (n,).
    """

    kind: Kind
    start: tuple[Curve, ...]
    along: tuple[Curve, ...]
    overlap: Curve
    votes: Curve
    right: tuple[npt.NDArray[np.float64], ...]

    @property
    def closed_votes(self) -> float:
        """The share of right votes by the closed form."""
        return float(self.right[2].mean())


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of networks at their start.

    Raises `RequestError` if the source has no images, or no training examples.
    """
    examples = examples_drawn(setting, MOST)
    labels = examples["test"].labels, examples["train"].labels
    seen = []
    for kind in KINDS:
        looked, closed = look_at(setting, kind, examples), closed_form(setting, kind, examples)
        seen.append(_seen(setting, kind, (looked, closed), labels, requested))
    bands = BANDS.format(sets=setting.sets, mlp=KINDS[0].together, cnn=KINDS[1].together)
    sentences = _sentences(seen, examples["train"].images.shape[1:3])
    return Answered(sentences, _panels(seen), tuple(map(_table, seen)), bands, len(labels[0]))


def _seen(
    setting: Setting,
    kind: Kind,
    found: tuple[Looked, Values],
    labels: Labels,
    requested: Sequence[int] | None,
) -> Seen:
    looked, closed = found
    counts = [c for c in requested or (16, 64, kind.networks) if 2 <= c <= kind.networks]
    sizes = sorted({*counts} or {kind.networks})
    start = {count: _kernels(setting, looked[0], kind.networks, count) for count in sizes}
    nearest = nearest_of(closed, OVERLAP)
    along, overlap, votes, right = {}, {}, {}, []
    for number, epoch in enumerate(kind.epochs):
        setting.progress(f"comparing kernels of {kind.name} networks", number, len(kind.epochs))
        along[epoch] = _kernels(setting, looked[epoch], kind.trained, kind.together)
        overlap[epoch] = [shared(nearest_of(of, OVERLAP), nearest) for of in along[epoch]]
        votes[epoch] = [vote_accuracy(of, labels) for of in along[epoch]]
        if epoch in (0, kind.epochs[-1]):
            right.append(np.mean([vote_right(of, labels) for of in along[epoch]], axis=0))
    right.append(vote_right(closed, labels).astype(np.float64))
    return Seen(
        kind,
        _nearness(start, closed, labels),
        _nearness(along, closed, labels),
        curve_of_sets(kind.name, overlap),
        curve_of_sets(kind.name, votes),
        tuple(right),
    )


def _kernels(
    setting: Setting, outputs: Mapping[Split, npt.NDArray[np.float16]], networks: int, count: int
) -> list[Values]:
    """Return the kernel of each of some sets of `count` of the first networks, all pairs."""
    sets = [list(runs) for runs in disjoint_sets(networks, count, setting.sets, setting.seed)]
    return [kernel_values(outputs["test"][runs], outputs["train"][runs]) for runs in sets]


def _nearness(by_x: Mapping[int, list[Values]], closed: Values, labels: Labels) -> tuple[Curve, ...]:
    """Return the correlation of kernels with the closed form, of all pairs and of those of one label."""
    alike = labels[0][:, None] == labels[1]

    def near(name: str, chosen: npt.NDArray[np.bool_] | None) -> Curve:
        return curve_of_sets(name, {x: [pearson(of, closed, chosen) for of in by_x[x]] for x in by_x})

    return near("all pairs", None), near(ALIKE, alike)


def _panels(seen: Sequence[Seen]) -> tuple[Panel, ...]:
    def named(curves: str) -> tuple[Curve, ...]:
        return tuple(
            Curve(f"{of.kind.name}, {curve.name}", curve.x, curve.y, curve.low, curve.high)
            for of in seen
            for curve in getattr(of, curves)
        )

    def closed(of: Seen) -> Curve:
        low, high = band([of.closed_votes], len(of.right[2]))
        points = [(epoch, of.closed_votes, low, high) for epoch in of.kind.epochs]
        return Curve.through(f"{of.kind.name}, closed form", points)

    return (
        Panel("Untrained networks: correlation with the closed form", "networks", named("start"), "number"),
        Panel("Training: correlation with the closed form", "epochs", named("along"), "number", is_log=False),
        Panel(
            f"Training: share of the {OVERLAP} nearest that the closed form has too",
            "epochs",
            tuple(of.overlap for of in seen),
            is_log=False,
        ),
        Panel(
            "Training: the 3 nearest vote",
            "epochs",
            (*(of.votes for of in seen), *map(closed, seen)),
            is_log=False,
        ),
    )


def _table(of: Seen) -> Table:
    """Return the numbers of every epoch."""
    near, within = of.along
    rows = tuple(
        (f"{epoch}", f"{near.y[n]:.3f}", f"{within.y[n]:.3f}", of.overlap.y[n], of.votes.y[n])
        for n, epoch in enumerate(of.kind.epochs)
    )
    last = ("closed form", "1.000", "1.000", 1.0, of.closed_votes)
    columns = ("epoch", "correlation", "of one label", f"shared {OVERLAP} nearest", "3 nearest vote")
    title = f"{of.kind.together} {of.kind.name} networks, epoch by epoch"
    return Table(title, columns, (*rows, last))


def _sentences(seen: Sequence[Seen], size: tuple[int, ...]) -> tuple[str, ...]:
    beginning = "; ".join(
        f"{', '.join(f'{y:.3f} with {x:,.0f}' for x, y in zip(of.start[0].x, of.start[0].y, strict=True))} "
        f"{of.kind.name} ones"
        for of in seen
    )
    small = f" on images reduced to {CNN.side} × {CNN.side} pixels" if max(size) > CNN.side else ""
    limits = (
        f"The convolutional networks are plain: {len(CNN.widths)} convolutions and a mean over the pixels"
        f"{small}. Of networks with batch normalization, whitening or maxima no closed form is computed, so "
        f"nothing is said of such, nor of schedules other than these of {MLP.epochs} and {CNN.epochs} epochs."
    )
    grows = "The kernel of untrained networks approaches its closed form as their number grows: correlation"
    return (f"{grows} {beginning}.", *map(_leaving, seen), *map(_voting, seen), limits)


def _leaving(of: Seen) -> str:
    near, within = of.along
    epochs = of.kind.epochs[-1]
    where = "away from it" if near.y[-1] < near.low[0] else "no farther from it"
    return (
        f"Training moves {of.kind.name} networks {where}: {near.y[0]:.3f} before, {near.y[1]:.3f} after "
        f"one epoch, {near.y[-1]:.3f} after {epochs}; among {ALIKE} {within.y[0]:.3f}, {within.y[1]:.3f} and "
        f"{within.y[-1]:.3f}."
    )


def _voting(of: Seen) -> str:
    start, end, closed = of.right
    gain = paired_difference(start, end)
    return (
        f"By {of.kind.name} networks the 3 nearest are right on {start.mean():.1%} before training and on "
        f"{end.mean():.1%} after ({gain.words}), by their closed form on {closed.mean():.1%}."
    )
