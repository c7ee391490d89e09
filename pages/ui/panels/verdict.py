"""What the ensemble says of one example: the probability of each class, its spread over the runs, and their votes."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import load
from pages.ui.gallery import tile_size

CLASSES = 5  # shown; the rest is summed up

CSS = """<style>
.v { display: grid; grid-template-columns: minmax(60px, max-content) minmax(90px, 220px) max-content max-content;
  gap: 5px 12px; align-items: center; font-size: 14px; font-variant-numeric: tabular-nums; max-width: 100%; }
.v > span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 230px; }
.v .k { font-size: 12px; opacity: .7 } .v b { font-weight: 600 } .v .r { text-align: right; max-width: none }
.v i { position: relative; height: 14px; border-radius: 2px; background: color-mix(in srgb, currentColor 12%, transparent); }
.v i u { position: absolute; inset: 0 auto 0 0; background: #e8710a; border-radius: 2px; }
.v i s { position: absolute; top: 6px; height: 2px; background: currentColor; }
.big { image-rendering: var(--how); border-radius: 3px; display: block; max-width: 100%; }
.runs { display: flex; flex-wrap: wrap; gap: 2px; max-width: 640px; }
.runs i { width: 10px; height: 10px; border-radius: 2px; background: #7f8c9b } .runs i.other { background: #e8710a }
@media (max-width: 640px) { .v { grid-template-columns: minmax(40px, 110px) minmax(50px, 1fr) max-content max-content; gap: 5px 8px; } }
</style>"""


def show_image(results: Results, split: Split, index: int, target: int = 256) -> None:
    """The image alone, magnified a whole number of times to at most `target` pixels, or shrunk to that."""
    width, height, rendering = tile_size(results.examples[split].images.shape[1:3], target)
    label = results.class_names[results.examples[split].labels[index]]
    st.html(
        f'{CSS}<img class="big" style="--how:{rendering}" width="{width}" height="{height}" '
        f'src="{load.tile(results.id, split, index)}" alt="{split} example {index}, label {html.escape(label)}">'
    )


def sentence(results: Results, split: Split, index: int) -> str:
    """Label and prediction in one sentence of Markdown."""
    said = results.predictions_of[split]
    label, predicted = int(results.examples[split].labels[index]), int(said.predicted[index])
    runs, votes = len(said.single), int(said.votes[index, predicted])
    against = "" if predicted == label else ", **against the label**"
    return (
        f"Label **{escape(results.class_names[label])}**. The ensemble says **{escape(results.class_names[predicted])}** "
        f"with mean probability {said.confidence[index]:.0%}{against}; {votes:,} of {runs:,} runs say so."
    )


def show_classes(results: Results, split: Split, index: int) -> None:
    """Bars of the likeliest classes, the label always among them: mean, spread over the runs, votes."""
    said = results.predictions_of[split]
    mean, spread, votes = said.mean[index], said.spread[index], said.votes[index].astype(int)
    label, runs = int(results.examples[split].labels[index]), len(said.single)
    order = np.lexsort((-mean, -votes))[:CLASSES].tolist()
    shown = order if label in order else [*order[:-1], label]
    rows = [
        '<span class="k">class</span><span class="k">mean probability</span><span></span><span class="k r">votes</span>'
    ]
    rows += [_row(results, c, label, mean[c], spread[c], int(votes[c])) for c in shown]
    rest = [c for c in range(len(mean)) if c not in shown]
    if rest:
        rows.append(
            f'<span class="k">{len(rest):,} more</span><span></span>'
            f'<span class="k r">{mean[rest].sum():.1%}</span><span class="k r">{votes[rest].sum():,}</span>'
        )
    st.html(CSS + f'<div class="v">{"".join(rows)}</div>')
    st.caption(
        f"Probabilities averaged over {runs:,} runs; the line and ± are one standard deviation over the runs. "
        "Votes: how many runs give the class their largest logit."
    )


def show_votes(results: Results, split: Split, index: int) -> None:
    """Each run's vote: a square a run, in their order, and those that say another class than the label by number."""
    said = results.predictions_of[split].run_votes[index]
    label = int(results.examples[split].labels[index])
    names = [html.escape(name, quote=True) for name in results.class_names]
    squares = (
        f'<i class="{"" if vote == label else "other"}" title="run {run}: {names[vote]}"></i>'
        for run, vote in enumerate(said.tolist())
    )
    st.html(f'{CSS}<div class="runs" role="img" aria-label="each run\'s vote">{"".join(squares)}</div>')
    other = [f"{escape(results.class_names[c])}: {_listed(said == c)}" for c in np.unique(said) if c != label]
    against = f"Against the label: {'; '.join(other)}." if other else "None is against the label."
    st.caption(f"Each run's vote, run 0 first; orange: another class than the label. {against}")


def _listed(which: np.ndarray, most: int = 12) -> str:
    """The numbers of some runs, as in "runs 3, 17"; only the first of many."""
    runs = np.flatnonzero(which)
    return f"run{'s' * (len(runs) > 1)} {', '.join(map(str, runs[:most]))}{', …' if len(runs) > most else ''}"


def _row(results: Results, c: int, label: int, mean: float, spread: float, votes: int) -> str:
    name = html.escape(results.class_names[c], quote=True)
    text = (
        f'<b title="{name}, the label">✓ {name}</b>' if c == label else f'<span title="{name}">{name}</span>'
    )
    low, high = max(0.0, mean - spread), min(1.0, mean + spread)
    bar = f'<i><u style="width:{mean:.2%}"></u><s style="left:{low:.2%};width:{high - low:.2%}"></s></i>'
    return f'<span>{text}</span>{bar}<span class="r">{mean:.1%} ± {spread:.1%}</span><span class="r">{votes:,}</span>'


def escape(name: str) -> str:
    """A class name as Markdown shows it literally."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|~$<>:" else c for c in name)
