"""`kernel-explorer cache`: list, prune or clear the cache."""

from __future__ import annotations

import time

import click

from kernel_core.cli.output import say
from kernel_core.results import upkeep
from kernel_core.results.store import Store


@click.group()
def cache() -> None:
    """List, prune or clear the cache. Everything in it can be computed again.

    \b
    Example:  kernel-explorer cache list
    """


@cache.command("list")
def list_entries() -> None:
    """List the entries, last used first.

    \b
    Example:  kernel-explorer cache list
    """
    store = Store()
    entries = upkeep.list_entries(store)
    for entry in entries:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        size = f"{entry.bytes / 1e6:9.2f} MB"
        say(f"{entry.kind:<12} {entry.key[:12]}  {size}  {day}  {entry.about or 'damaged'}")
    say(f"{len(entries)} entries, {sum(e.bytes for e in entries) / 1e6:.2f} MB in {store.root}")


@cache.command()
@click.option(
    "--days", type=click.FloatRange(0), default=30, show_default=True, help="Keep what was used since then."
)
def prune(days: float) -> None:
    """Remove entries that are damaged, in an older format, or unused for some days.

    \b
    Example:  kernel-explorer cache prune --days 7
    """
    store = Store()
    say(f"{len(upkeep.prune(store, days))} removed from {store.root}")


@cache.command()
def clear() -> None:
    """Remove every entry.

    \b
    Example:  kernel-explorer cache clear
    """
    store = Store()
    say(f"{len(upkeep.clear(store))} removed from {store.root}")
