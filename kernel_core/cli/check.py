"""`kernel-explorer check`: what a source has, what fits together, and what the app will show."""

from __future__ import annotations

import os
from pathlib import Path

import click

from kernel_core.cli import check_parts
from kernel_core.cli.check_logits import check_logits
from kernel_core.cli.check_parts import Report
from kernel_core.cli.completion import complete_source
from kernel_core.cli.output import say, say_json
from kernel_core.errors import KernelExplorerError
from kernel_core.sources import source_toml
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import ImagesFrom, Source, SourceRequest


@click.command()
@click.argument("source", default="digits", shell_complete=complete_source)
@click.option(
    "--files", type=int, metavar="N",
    help="Number of files that a build downloads (about 500 runs each); for cifar10-multirun only.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(context: click.Context, source: str, files: int | None, as_json: bool) -> None:
    """Say what SOURCE has, what fits, and what the app will show.

    Lists images, opens logits, features and given neighbors, and names every problem, without computing
    anything. The exit status is 1 if SOURCE cannot be built.

    \b
    Example:  kernel-explorer check path/to/source.toml
    """
    request, report = SourceRequest(source, files=files), Report()
    opened = report.attempt(open_source, request, offline=True)
    if opened is not None:
        _check_parts(report, opened)
    elif report.problems and (images := _images_alone(request)) is not None:
        check_parts.check_images(report, images)
    name = opened.name if opened else source
    if as_json:
        verdict = {"name": name, "problems": report.problems, "notes": report.notes}
        say_json({**verdict, **{key: report.content.get(key) for key in KEYS}})
    else:
        _print(name, source, report)
    if report.problems:
        context.exit(1)


KEYS = ("images", "logits", "features", "neighbors", "similarities", "pages")
"""The parts of the JSON object; null where the source has none, or it cannot be read."""


def _check_parts(report: Report, source: Source) -> None:
    check_parts.check_images(report, source.images)
    check_logits(report, source)
    check_parts.check_features(report, source)
    check_parts.check_given(report, source)
    check_parts.check_pages(report, source)


def _images_alone(request: SourceRequest) -> ImagesFrom | None:
    """Return the images of a `source.toml` that has another fault; None if it describes none."""
    if request.path is None:
        return None
    path = request.path / source_toml.FILE if os.path.isdir(request.path) else request.path
    try:
        return source_toml.read_images_table(Path(path).resolve()) if path.is_file() else None
    except (KernelExplorerError, OSError):
        return None


def _print(name: str, source: str, report: Report) -> None:
    say(name)
    for title, lines in report.parts.items():
        if lines:
            say(title, *(f"  {line}" for line in lines))
    for kind, texts in (("note", report.notes), ("problem", report.problems)):
        for text in texts:
            say(f"{kind}: {text}")
    if report.problems:
        count = len(report.problems)
        say(f"It cannot be built yet: {count} problem{'s' if count > 1 else ''}.")
    else:
        say(f"No problem was found. Next:  kernel-explorer build {source}")
