"""The report as a person reads it, in a terminal or rendered: Markdown without dates and paths."""

from __future__ import annotations

import textwrap

import pandas as pd

from kernel_core.report import pair_quality
from kernel_core.report.report import Report
from kernel_core.results.accuracy import accuracy_key
from kernel_core.spec import ADJECTIVES

WIDTH = 100
FEATURES = ("penultimate_knn3", "penultimate_euclidean_knn3")
BY_RUNS = {
    "runs": "runs",
    "single": "one run, mean",
    "ensemble": "ensemble",
    "kernel_knn3": "kernel 3-NN",
    "kernel_weighted20": "weighted 20-NN",
    "raw_kernel_knn3": "raw-logits 3-NN",
    "agreement": "top-1 agreement",
}
"""Column → title in the table of accuracies by number of runs."""
VOTES = {"kernel_knn3": "3-NN", "kernel_weighted20": "weighted 20-NN"}
"""Column → name of a vote that the ensemble is compared with."""
PAIRS = {
    "by": "pairs by",
    "ranks": "ranks",
    "pixel_correlation": "pixels",
    "alike": f"≥ {pair_quality.ALIKE}",
    "nearest_by_pixels": "nearest by pixels",
    "same_label": "same label",
    "confidence": "confidence",
}
"""Column → title in the table of pairs."""


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    examples = [f"{count:,} {ADJECTIVES[split]} examples" for split, count in report.examples.items()]
    counts = ", ".join([f"{report.run_count:,} runs", *examples, f"{report.class_count} classes."])
    parts = [
        f"# {report.name}",
        counts,
        "## Accuracy by number of runs",
        _table(report.by_runs.assign(runs=[f"{n:,}" for n in report.by_runs["runs"]]), BY_RUNS),
        textwrap.fill(_votes_and_ensemble(report.by_runs), WIDTH),
        textwrap.fill(_legend_of_runs(report), WIDTH),
        textwrap.fill(_fixed_accuracies(report), WIDTH),
        "## Do the nearest pairs look like duplicates?",
        _table(_readable(report), PAIRS),
        textwrap.fill(_legend_of_pairs(report), WIDTH),
        *([textwrap.fill(report.copies.sentence, WIDTH)] if report.copies else []),
    ]
    return "\n\n".join(parts) + "\n"


def _votes_and_ensemble(by_runs: pd.DataFrame) -> str:
    """Return from how many runs on the neighbors predict better than the ensemble.

    >>> rows = [(10, 0.8, 0.7, 0.81), (20, 0.8, 0.79, 0.82)]
    >>> _votes_and_ensemble(pd.DataFrame(rows, columns=["runs", "ensemble", *VOTES]))
    'Better than the ensemble: 3-NN with none of these, weighted 20-NN from 10 runs on (+2.00 with 20).'
    """
    last = by_runs.iloc[-1]
    found = []
    for column, name in VOTES.items():
        beaten = by_runs.loc[by_runs[column] <= by_runs["ensemble"], "runs"]
        better = by_runs[by_runs["runs"] > beaten.max()] if len(beaten) else by_runs
        if better.empty:
            found.append(f"{name} with none of these")
        else:
            gain = 100 * (last[column] - last["ensemble"])
            first = int(better["runs"].iloc[0])
            found.append(f"{name} from {first:,} runs on (+{gain:.2f} with {int(last['runs']):,})")
    return f"Better than the ensemble: {', '.join(found)}."


def _legend_of_runs(report: Report) -> str:
    ensemble = report.by_runs["ensemble"].iloc[-1]
    error = (ensemble * (1 - ensemble) / report.examples["test"]) ** 0.5
    return (
        f"In percent of the test examples; one standard error is about {100 * error:.2f}. 3-NN: the majority "
        f"of the 3 nearest {report.neighbor}s. Weighted 20-NN: the 20 nearest, weighted by value^4. "
        "Raw-logits: the kernel without log_softmax. Top-1 agreement: test examples whose nearest "
        f"{report.neighbor} by these runs is the nearest by all."
    )


def _fixed_accuracies(report: Report) -> str:
    """Return sentences with the accuracies that do not depend on the number of runs."""
    cosine, euclidean = (report.fixed[name] for name in FEATURES)
    if cosine is None or euclidean is None:
        text = f"{report.name} has no penultimate features"
        text += "; `kernel-explorer features` adds them." if _has_images(report) else "."
    else:
        text = (
            f"Penultimate features ({report.layer}; run {report.run}), 3-NN, for any number of runs: "
            f"cosine {100 * cosine:.2f}, Euclidean {100 * euclidean:.2f}."
        )
    for name, title in report.titles.items():
        accuracy = None if accuracy_key(name) in FEATURES else report.fixed.get(accuracy_key(name))
        text += "" if accuracy is None else f" {title}, 3-NN: {100 * accuracy:.2f}."
    return text


def _has_images(report: Report) -> bool:
    return "pixel_correlation" in report.pairs


def _legend_of_pairs(report: Report) -> str:
    """Return what the table of pairs means."""
    neighbor = report.neighbor
    by_pixels = (
        f"Pixels: the median correlation of the two images' pixels at their best alignment, over shifts of "
        f"up to {pair_quality.SHIFT} pixels and mirroring; near 1 for duplicates. The other columns are in "
        f"percent. ≥ {pair_quality.ALIKE}: pairs with at least that correlation. Nearest by pixels: pairs "
        "that are also nearest by pixels, without alignment."
    )
    return (
        f"Each pair is a test example and its nearest {neighbor}. "
        f"{by_pixels if _has_images(report) else 'In percent.'} Confidence: the ensemble's mean confidence "
        "in its prediction for the test example. Random confident pairs, for comparison: test examples of "
        f"the surest {pair_quality.CONFIDENT:.0%}, each with a random {neighbor} of its label."
    )


def _readable(report: Report) -> pd.DataFrame:
    """Return the pairs with words for similarity, ranks and correlation."""
    pairs = report.pairs
    ranks = [f"{row.first}–{row.last}" if row.first else f"{row.pairs} pairs" for row in pairs.itertuples()]
    by = [report.titles.get(name, name) for name in pairs["similarity"]]
    pairs = pairs.assign(by=by, ranks=ranks)
    if "pixel_correlation" in pairs:
        pairs["pixel_correlation"] = [f"{value:.2f}" for value in pairs["pixel_correlation"]]
    return pairs


def _table(table: pd.DataFrame, titles: dict[str, str]) -> str:
    """Return a Markdown table, aligned as plain text too: strings as they are, fractions as percentages.

    titles: column → title; a column that the table lacks is left out. A column of words is aligned to the
    left, one of numbers to the right.
    """
    titles = {column: title for column, title in titles.items() if column in table}
    rows = [list(titles.values())]
    for values in table[list(titles)].itertuples(index=False):
        rows.append([value if isinstance(value, str) else f"{100 * value:.2f}" for value in values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first_row = table[list(titles)].iloc[0]
    is_left = [isinstance(value, str) and not value[0].isdigit() for value in first_row]
    columns = list(zip(widths, is_left, strict=True))
    rule = ["-" * width if left else "-" * (width - 1) + ":" for width, left in columns]
    lines = [
        [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, (width, left) in zip(row, columns, strict=True)
        ]
        for row in rows
    ]
    lines.insert(1, rule)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
