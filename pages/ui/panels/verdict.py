"""The ensemble's verdict on one example: each class's probability, its spread over runs, and votes."""

from __future__ import annotations

import html

import numpy as np
import numpy.typing as npt
import streamlit as st

from kernel_core.predicted import Predictions
from kernel_core.results.results import Results
from kernel_core.spec import example_name
from pages.ui import look, pictures
from pages.ui.components.component import style
from pages.ui.components.gallery import tile_size
from pages.ui.links import Example
from pages.ui.wording import escape, plural

CLASSES = 5  # rows of classes; the others share one
VOTES_ACROSS = 53  # squares of 10 pixels, 2 apart, in the 640 of a line
RUNS_NAMED = 12  # runs that a caption names, of those that voted for one class
Floats = npt.NDArray[np.float64]


def show_image(results: Results, example: Example, target: int = 256) -> None:
    """Show the image, magnified by a whole number to at most `target` pixels, or shrunk to that.

    Where there are no images, show a square with label and index.
    """
    split, index = example
    height, width = results.examples[split].images.shape[1:3]
    shown_width, shown_height, rendering = tile_size((height, width), target)
    rendering = look.rendering(rendering)
    label = html.escape(results.class_names[results.examples[split].labels[index]], quote=True)
    if not results.has_images:
        st.html(
            f'{style("verdict")}<div class="verdict-blank" role="img" aria-label="{split} example {index}, '
            f'label {label}">{label}<small>{example_name(split, index)}</small></div>'
        )
        return
    st.container(key="verdict_image").html(
        f'{style("verdict")}<img class="verdict-image" style="--rendering:{rendering}" '
        f'width="{shown_width}" height="{shown_height}" '
        f'src="{pictures.whole(results.id, split, index)}" alt="{split} example {index}, label {label}">'
    )


def sentence(results: Results, example: Example) -> str:
    """Return the example's label and prediction as a sentence of Markdown."""
    split, index = example
    predictions = results.predictions_of[split]
    label, predicted = int(results.examples[split].labels[index]), int(predictions.predicted[index])
    run_count = len(predictions.single)
    classes, facts = predictions.of_example(index)
    votes = int(facts[2, classes == predicted][0])
    conflict = "" if predicted == label else ", **against the label**"
    return (
        f"Label: **{escape(results.class_names[label])}**. The ensemble predicts "
        f"**{escape(results.class_names[predicted])}** with mean probability "
        f"{predictions.confidence[index]:.0%}{conflict}; {votes:,} of {run_count:,} runs vote for it."
    )


def shown_classes(
    predictions: Predictions, index: int, label: int
) -> tuple[npt.NDArray[np.int64], Floats, tuple[float, int]]:
    """Return the classes of which an example's page shows a row, (k,), their facts, and those of all others.

    Facts, (3, k): mean probability, its spread, and votes; of the others, the sums of means and of votes.
    They are those with most votes, of equal ones the likelier, and the label, last if it is not among them.
    """
    classes, facts = predictions.of_example(index)
    shown = np.lexsort((-facts[0], -facts[2]))[:CLASSES]
    if label not in classes[shown]:
        shown[-1] = np.flatnonzero(classes == label)[0]
    mean = float(np.delete(facts[0], shown).sum()) + float(predictions.rest[index])
    votes = len(predictions.single) - int(facts[2][shown].sum())
    return classes[shown], facts[:, shown], (mean, votes)


def show_classes(results: Results, example: Example) -> None:
    """Show bars of the likeliest classes, the label among them: mean, spread over the runs, votes."""
    split, index = example
    predictions = results.predictions_of[split]
    label = int(results.examples[split].labels[index])
    classes, facts, (rest, votes_of_rest) = shown_classes(predictions, index, label)
    rows = [
        (
            '<span class="title">class</span><span class="title">mean probability</span><span></span>'
            '<span class="title number">votes</span>'
        )
    ]
    for c, (mean, spread, votes) in zip(classes.tolist(), facts.T.tolist(), strict=True):
        rows.append(_row(results.class_names[c], mean, spread, int(votes), is_label=c == label))
    if others := predictions.class_count - len(classes):
        rows.append(
            f'<span class="title">{others:,} more</span><span></span>'
            f'<span class="title number">{rest:.1%}</span>'
            f'<span class="title number">{votes_of_rest:,}</span>'
        )
    st.container(key="verdict_classes").html(
        style("verdict") + f'<div class="verdict-classes">{"".join(rows)}</div>'
    )
    st.caption(
        f"Probabilities are averaged over {plural(len(predictions.single), 'run')}; the line and ± show one "
        "standard deviation over the runs. Votes: the number of runs whose largest logit is of that class."
    )


def _row(name: str, mean: float, spread: float, votes: int, *, is_label: bool) -> str:
    name = html.escape(name, quote=True)
    text = f'<b title="{name}, the label">✓ {name}</b>' if is_label else f'<span title="{name}">{name}</span>'
    low, high = max(0.0, mean - spread), min(1.0, mean + spread)
    mean_bar = f'<u class="mean" style="width:{mean:.2%}"></u>'
    spread_bar = f'<s class="spread" style="left:{low:.2%};width:{high - low:.2%}"></s>'
    numbers = f'<span class="number">{mean:.1%} ± {spread:.1%}</span><span class="number">{votes:,}</span>'
    return f"<span>{text}</span><i>{mean_bar}{spread_bar}</i>{numbers}"


def show_votes(results: Results, example: Example) -> None:
    """Show a square per run in their order, and name the runs that vote for another class than the label."""
    split, index = example
    votes = results.predictions_of[split].run_votes[index]
    label = int(results.examples[split].labels[index])
    names = [html.escape(name, quote=True) for name in results.class_names]
    squares = (
        f'<i class="{"" if vote == label else "other"}" title="run {run}: {names[vote]}"></i>'
        for run, vote in enumerate(votes.tolist())
    )
    lines = -(-len(votes) // VOTES_ACROSS)
    st.container(height=12 * lines, border=False, key="verdict_votes").html(
        f'{style("verdict")}<div class="verdict-votes" role="img" aria-label="votes by run">'
        f"{''.join(squares)}</div>"
    )
    others = [
        f"{escape(results.class_names[c])} by {_runs(votes == c)}" for c in np.unique(votes) if c != label
    ]
    disagree = f"Disagree: {'; '.join(others)}." if others else "All agree."
    st.caption(f"Votes by run, from run 0; orange = disagrees with the label. {disagree}")


def _runs(voted: npt.NDArray[np.bool_]) -> str:
    """Name the runs that voted, as in "runs 3, 17"; only the first of many. voted: bool (M,)."""
    numbers = np.flatnonzero(voted)
    noun = "run" if len(numbers) == 1 else "runs"
    more = ", …" if len(numbers) > RUNS_NAMED else ""
    return f"{noun} {', '.join(map(str, numbers[:RUNS_NAMED]))}{more}"
