"""`kernel-explorer cache`: list, prune or clear the cache."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from kernel_core.cli.options import json_option
from kernel_core.cli.output import say, say_json
from kernel_core.results import upkeep
from kernel_core.results.store import Store


@click.group()
def cache() -> None:
    """List, prune or clear the cache. Everything in it can be computed again.

    \b
    Example:  kernel-explorer cache list
    """


@cache.command("list")
@json_option
def list_entries(as_json: bool) -> None:
    """List the entries, last used first.

    \b
    Example:  kernel-explorer cache list
    """
    store = Store()
    entries = upkeep.list_entries(store)
    if as_json:
        total = sum(entry.bytes for entry in entries)
        say_json({"folder": store.root, "bytes": total, "entries": [_content(entry) for entry in entries]})
        return
    for entry in entries:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        size = f"{entry.bytes / 1e6:9.2f} MB"
        say(f"{entry.kind:<12} {entry.key[:12]}  {size}  {day}  {entry.about or 'damaged'}")
    say(f"{len(entries)} entries, {sum(e.bytes for e in entries) / 1e6:.2f} MB in {store.root}")


def _content(entry: upkeep.Entry) -> dict[str, Any]:
    used = datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds")
    return {**asdict(entry), "about": entry.about or None, "used": used}


@cache.command()
@click.option(
    "--days", type=click.FloatRange(0), default=30, show_default=True, help="Keep what was used since then."
)
def prune(days: float) -> None:
    """Remove entries that are damaged, old in format, or long unused.

    --days says how long.

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
