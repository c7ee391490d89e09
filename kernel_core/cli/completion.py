"""What the shell offers after TAB: names of sources and of similarities. Nothing is downloaded."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from kernel_core.errors import KernelExplorerError
from kernel_core.similarities import KERNEL
from kernel_core.sources.catalog import BUILT_IN, open_source
from kernel_core.sources.source import SourceRequest

VARIANTS = ("kernel.raw", "kernel.centred", "kernel.shift", "kernel.whitened", "kernel.first-50")


def complete_source(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the built-in sources that begin like this; without any, what makes the shell offer files."""
    names = [name for name in BUILT_IN if name.startswith(begun)]
    return [CompletionItem(name) for name in names] or [CompletionItem(begun, type="file")]


def complete_similarity(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Return the similarities of the source on the command line, and examples of variants of the kernel."""
    try:
        source = open_source(SourceRequest(context.params.get("source") or "digits"), offline=True)
        names = [similarity.name for similarity in source.similarities]
    except KernelExplorerError:
        names = [KERNEL.name]
    return [CompletionItem(name) for name in (*names, *VARIANTS) if name.startswith(begun)]
