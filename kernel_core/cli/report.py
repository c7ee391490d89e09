"""`kernel-explorer report`: the report as Markdown, CSV and a figure; the same input gives the same bytes."""

from __future__ import annotations

import functools
import json
import os
import textwrap
from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.cli.options import open_or_build, open_progress, source_options
from kernel_core.errors import RequestError
from kernel_core.files import replacing
from kernel_core.report import pair_quality
from kernel_core.report.report import Report, first_pairs, make_report
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import ADJECTIVES, SIMILARITIES


class RunCounts(click.ParamType["tuple[int | None, ...]"]):
    """Numbers of runs such as 10,50,all; all is None."""

    name = "10,50,all"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, ...]:
        words = [word.strip() for word in str(value).split(",")]
        if not all(word == "all" or (word.isascii() and word.isdigit() and len(word) < 10) for word in words):
            self.fail(f"{value!r} names no numbers of runs; expected some as in 10,50,all.", param, ctx)
        return tuple(None if word == "all" else int(word) for word in words)


by_numbers_of_runs = click.option(
    "--runs", type=RunCounts(), help="A row for each.  [default: 10,20,50,100,200,500,… that there are, all]"
)


@click.command("report")
@functools.partial(source_options, runs=by_numbers_of_runs)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path),
    help="Save report.md, report.csv and pairs.png in this folder.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object; accuracies and shares are fractions.")
def report_command(
    source: str,
    runs: tuple[int | None, ...] | None,
    files: int | None,
    device: str,
    precision: str,
    memory: int | None,
    progress_file: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Put the claims to the test on SOURCE: accuracy by number of runs, and whether nearest pairs look like duplicates.

    \b
    Example:  kernel-explorer report digits --runs 10,50,all --out report
    """
    request = SourceRequest(source, files=files, precision=precision)
    if out is not None:
        _refuse_unwritable(out)
    with open_progress(progress_file) as bars:
        opens = functools.partial(open_or_build, device=device, memory=memory, progress=bars)
        report, results = make_report(request, runs, opens)
    text = markdown(report)
    if out is not None:
        for path in _save(report, text, results, out):
            click.echo(f"written: {path}", err=True)
    click.echo(json.dumps(report.to_json()) if as_json else text, nl=as_json)


def _refuse_unwritable(out: Path) -> None:
    """Found out before anything is computed; nothing is made yet."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise RequestError(f"Cannot write to {out} ({there} takes no files); name another --out.")


def _save(report: Report, text: str, results: Results, out: Path) -> list[Path]:
    """Write the three files, each whole or not at all. Raises `RequestError` if one cannot be written."""
    from kernel_core.report.figures import draw_pair_grids  # matplotlib takes a second to load

    paths = [out / name for name in ("report.md", "report.csv", "pairs.png")]
    fixed = {name: float("nan") if value is None else value for name, value in report.fixed.items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with replacing(paths[0]) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
        with replacing(paths[1]) as temporary:
            report.by_runs.assign(**fixed).to_csv(temporary, index=False, float_format="%.6f")
        draw_pair_grids(results, first_pairs(results), paths[2])
    except OSError as error:
        raise RequestError(
            f"Cannot write the report to {out} ({error.strerror or error}); name another --out."
        ) from None
    return paths


WIDTH = 100
FIXED = ("penultimate_knn3", "penultimate_euclidean_knn3", "pixels_knn3")
BY_RUNS = {
    "runs": "runs", "single": "one run, mean", "ensemble": "ensemble", "kernel_knn3": "kernel 3-NN",
    "kernel_weighted20": "weighted 20-NN", "raw_kernel_knn3": "raw-logits 3-NN", "agreement": "top-1 agreement",
}  # fmt: skip
PAIRS = {
    "by": "pairs by", "ranks": "ranks", "pixel_correlation": "pixels", "alike": f"≥ {pair_quality.ALIKE}",
    "nearest_by_pixels": "nearest by pixels", "same_label": "same label", "confidence": "confidence",
}  # fmt: skip


def markdown(report: Report) -> str:
    """The report as a person reads it, in a terminal or rendered; no date, no path."""
    examples = [f"{count:,} {ADJECTIVES[split]} examples" for split, count in report.examples.items()]
    counts = ", ".join([f"{report.runs:,} runs", *examples, f"{report.classes} classes."])
    parts = [
        f"# {report.name}",
        counts,
        "## Accuracy by number of runs",
        _table(report.by_runs.assign(runs=[f"{n:,}" for n in report.by_runs["runs"]]), BY_RUNS),
        *_below_runs(report),
        "## Do the nearest pairs look like duplicates?",
        _table(_named(report.pairs), PAIRS),
        _legend(report.neighbor),
    ]
    return "\n\n".join(parts) + "\n"


def _below_runs(report: Report) -> list[str]:
    """What the table by runs means, and the accuracies that do not depend on the number of runs."""
    ensemble = report.by_runs["ensemble"].iloc[-1]
    error = (ensemble * (1 - ensemble) / report.examples["test"]) ** 0.5
    meaning = (
        f"In percent of the test examples; one standard error is about {100 * error:.2f}. 3-NN: the majority of the 3 "
        f"nearest {report.neighbor}s. Weighted 20-NN: the 20 nearest by value^4. Raw-logits: the kernel without "
        f"log_softmax. Top-1 agreement: test examples whose nearest {report.neighbor} by these runs is the one by all."
    )
    cosine, euclidean, pixels = (report.fixed[name] for name in FIXED)
    features = (
        f"{report.name} has no penultimate features; `kernel-explorer features` adds them."
        if cosine is None or euclidean is None
        else f"Penultimate features ({report.layer}; run {report.run}), 3-NN, whatever the number of runs: cosine "
        f"{100 * cosine:.2f}, Euclidean {100 * euclidean:.2f}."
    )
    by_pixels = "" if pixels is None else f" Pixels, 3-NN: {100 * pixels:.2f}."
    return [textwrap.fill(meaning, WIDTH), textwrap.fill(features + by_pixels, WIDTH)]


def _legend(neighbor: str) -> str:
    """What the table of pairs means; neighbor: what it is, in words."""
    return textwrap.fill(
        f"Each pair is a test example and its nearest {neighbor}. Pixels: the median correlation of the two "
        f"images' pixels where they lie best on each other, moved by up to {pair_quality.SHIFT} pixels and mirrored or "
        f"not; near 1 for duplicates. The other columns are in percent. ≥ {pair_quality.ALIKE}: pairs whose correlation is "
        "at least that. Nearest by pixels: pairs that are nearest by pixels, unmoved, too. Confidence: the "
        "ensemble's in its prediction for the test example, mean. Random confident pairs, for comparison: test "
        f"examples of the surest {pair_quality.CONFIDENT:.0%}, each with any {neighbor} of its label.",
        WIDTH,
    )


def _named(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with words for similarity and ranks."""
    ranks = [f"{row.first}–{row.last}" if row.first else f"{row.pairs} pairs" for row in pairs.itertuples()]
    by = [SIMILARITIES.get(name, name) for name in pairs["similarity"]]
    correlation = [f"{value:.2f}" for value in pairs["pixel_correlation"]]
    return pairs.assign(by=by, ranks=ranks, pixel_correlation=correlation)


def _table(table: pd.DataFrame, titles: dict[str, str]) -> str:
    """A Markdown table, its columns aligned as text too; fractions as percentages, words as they are."""
    cells = [list(titles.values())]
    for row in table[list(titles)].itertuples(index=False):
        cells.append([value if isinstance(value, str) else f"{100 * value:.2f}" for value in row])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    words = [isinstance(value, str) and not value[0].isdigit() for value in table[list(titles)].iloc[0]]
    lines = [
        "| "
        + " | ".join(
            c.ljust(w) if word else c.rjust(w) for c, w, word in zip(row, widths, words, strict=True)
        )
        + " |"
        for row in cells
    ]
    rule = ["-" * w if word else "-" * (w - 1) + ":" for w, word in zip(widths, words, strict=True)]
    return "\n".join([lines[0], "| " + " | ".join(rule) + " |", *lines[1:]])
