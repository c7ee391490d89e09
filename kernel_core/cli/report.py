"""`kernel-explorer report`: the report as Markdown, CSV and a figure; the same input gives the same bytes."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from kernel_core.cli.option_types import RunCounts
from kernel_core.cli.options import open_or_build, open_progress, source_options
from kernel_core.cli.output import say, say_json
from kernel_core.errors import RequestError, Unavailable
from kernel_core.files import replacing
from kernel_core.library_caches import prepare_matplotlib
from kernel_core.progress import Progress
from kernel_core.recipes import Training
from kernel_core.report.markdown import markdown
from kernel_core.report.report import Report, first_pairs, make_report
from kernel_core.results.results import Results
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest

run_counts_option = click.option(
    "--runs",
    "run_counts",
    type=RunCounts(takes_all=True),
    help="Numbers of runs to report on.  [default: 10,20,50,100,200,500,…,all]",
)


@click.command("report")
@functools.partial(source_options, runs=run_counts_option)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write report.md, report.csv and pairs.png to this folder.",
)
@click.option(
    "--variant",
    "variants",
    metavar="NAME",
    multiple=True,
    help="Also describe the pairs by this variant of the kernel, such as kernel.whitened; repeat the option "
    "for several.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object; accuracies and shares are fractions."
)
def report_command(
    source: str,
    run_counts: tuple[int | None, ...] | None,
    files: int | None,
    device: str,
    precision: str,
    memory: int | None,
    progress_file: Path | None,
    out: Path | None,
    variants: tuple[str, ...],
    as_json: bool,
) -> None:
    """Report accuracy by number of runs, and what pairs look like.

    It tests the claims about the kernel on SOURCE: from how many runs on votes beat the ensemble, and whether
    the nearest pairs are duplicates.

    \b
    Example:  kernel-explorer report digits --runs 10,50,all --out report
    """
    request = SourceRequest(source, files=files, precision=precision)
    if out is not None:
        refuse_unwritable(out)
    with open_progress(progress_file) as progress:
        open_results = functools.partial(open_or_build, device=device, memory=memory, progress=progress)
        request = replace(request, run_count=_runs_to_train(request, run_counts, progress))
        report, results = make_report(request, run_counts, open_results, variants)
    if out is not None:
        for path in _write_report(report, results, out):
            say(f"written: {path}", err=True)
    if as_json:
        say_json(report.to_json())
    else:
        say(*markdown(report).splitlines())


def _runs_to_train(
    request: SourceRequest, requested: Sequence[int | None] | None, progress: Progress
) -> int | None:
    """Return the largest number of runs if it is more than the heads that a source has by default, or None.

    requested: as of `run_counts`. Heads are trained here, so there are as many as one asks for.
    """
    largest = max((count for count in requested or () if count is not None), default=0)
    logits = open_source(request, progress=progress).logits if largest else None
    is_more = isinstance(logits, Training) and logits.of_heads and largest > logits.run_count
    return largest if is_more else None


def refuse_unwritable(out: Path, option: str = "--out") -> None:
    """Raise `RequestError` if the folder cannot be written, before anything is computed; create nothing."""
    existing = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise RequestError(f"Cannot write to {out}: {existing} takes no files. Choose another {option}.")


def _write_report(report: Report, results: Results, out: Path) -> list[Path]:
    """Write the three files, each whole or not at all, and return their paths.

    Raises `RequestError` if one cannot be written.
    """
    prepare_matplotlib()
    from kernel_core.report.figures import draw_pair_grids  # matplotlib takes a second to load

    paths = [out / name for name in ("report.md", "report.csv", "pairs.png")]
    fixed = {name: float("nan") if value is None else value for name, value in report.fixed.items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with replacing(paths[0]) as temporary:
            temporary.write_text(markdown(report), encoding="utf-8", newline="\n")
        with replacing(paths[1]) as temporary:
            report.by_runs.assign(**fixed).to_csv(temporary, index=False, float_format="%.6f")
        draw_pair_grids(results, first_pairs(results), paths[2])
    except OSError as error:
        raise Unavailable(
            f"Cannot write the report to {out} ({error.strerror or error}). Choose another --out."
        ) from None
    return paths
