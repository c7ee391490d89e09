"""`kernel-explorer cache`: list, prune or clear the cache."""

from __future__ import annotations

import time

import click

from kernel_core.results.store import Store


@click.group()
def cache() -> None:
    """The cache: everything in it can be computed again.

    \b
    Example:  kernel-explorer cache list
    """


@cache.command("list")
def cache_list() -> None:
    """List the entries, the last used first.

    \b
    Example:  kernel-explorer cache list
    """
    entries = Store().entries()
    for entry in entries:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        click.echo(
            f"{entry.kind:<12} {entry.key[:12]}  {entry.bytes / 1e6:9.2f} MB  {day}  {entry.about or 'damaged'}"
        )
    click.echo(f"{len(entries)} entries, {sum(e.bytes for e in entries) / 1e6:.2f} MB in {Store().root}")


@cache.command()
@click.option("--days", type=click.FloatRange(0), default=30, show_default=True)
def prune(days: float) -> None:
    """Remove entries that are damaged, of an older format, or unused for some days.

    \b
    Example:  kernel-explorer cache prune --days 7
    """
    click.echo(f"{len(Store().prune(days))} removed from {Store().root}")


@cache.command()
def clear() -> None:
    """Remove every entry.

    \b
    Example:  kernel-explorer cache clear
    """
    click.echo(f"{len(Store().clear())} removed from {Store().root}")
