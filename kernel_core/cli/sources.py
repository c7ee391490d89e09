"""`kernel-explorer sources`: the built-in sources and the published configurations."""

from __future__ import annotations

from typing import Any

import click

from kernel_core.cli.options import json_option
from kernel_core.cli.output import say, say_json
from kernel_core.errors import KernelExplorerError
from kernel_core.sources import published
from kernel_core.sources.catalog import BUILT_IN
from kernel_core.sources.hub import list_files
from kernel_core.sources.standard_sets import STANDARD_SETS

PUBLISHED = "cifar10-multirun"
ABOUT = {
    "digits": "scikit-learn's 1,797 handwritten digits; an ensemble is trained here",
    **{name: f"{of.about}, downloaded; networks are trained here" for name, of in STANDARD_SETS.items()},
    PUBLISHED: "CIFAR-10 and the published ensemble (downloads about 650 MB)",
    f"{PUBLISHED}-60k": "60,000 more, on CIFAR-10's test set alone (--runs N; 100 MB for 500)",
}
"""Name of every built-in source → what it is."""

assert set(ABOUT) == set(BUILT_IN)


@click.command()
@json_option
def sources(as_json: bool) -> None:
    """List built-in sources and published configurations.

    \b
    Example:  kernel-explorer sources
    """
    configurations, problem = _configurations()
    if as_json:
        built_in = [{"name": name, "about": about} for name, about in ABOUT.items()]
        say_json({"sources": built_in, "configurations": configurations, "problem": problem})
        return
    for name, about in ABOUT.items():
        say(f"{name:<26} {about}")
        if name == PUBLISHED:
            _print_configurations(configurations, problem)
    say("PATH/source.toml           your own images and logits; docs/sources.md describes the format")
    say("PATH, hub:OWNER/NAME       labeled images alone: a folder, a Parquet file, a dataset of the Hub")


def _configurations() -> tuple[list[dict[str, Any]], str | None]:
    """Return the published configurations, and why they cannot be listed, or None.

    Without a connection, they are those of which files have been downloaded.
    """
    try:
        listing = list_files(published.LOGITS_REPO)
    except KernelExplorerError as error:
        return [], str(error)
    found = published.configurations(listing)
    return [
        {"name": f"{PUBLISHED}/{name}", "files": len(files), "downloaded": listing.local}
        for name, files in found.items()
    ], None


def _print_configurations(configurations: list[dict[str, Any]], problem: str | None) -> None:
    if problem:
        say(f"  its configurations cannot be listed: {problem}", err=True)
    for found in configurations:
        downloaded = ", already downloaded" if found["downloaded"] else ""
        say(f"{found['name']:<47} {found['files']} file(s) of about 500 runs{downloaded}")
