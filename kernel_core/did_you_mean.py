"""What a person may have meant who mistyped a name or a path."""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from kernel_core.printable import NAME, printable

LOOKED_AT = 5_000  # names of a folder; a larger one is not read to its end for the sake of a message


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest of the known words was meant, after a space; else nothing.

    >>> did_you_mean("cifar-10", ["cifar10", "cifar100", "digits"]), did_you_mean("x", ["digits"])
    (' Did you mean cifar10?', '')
    """
    nearest = _nearest(word, known)
    return f" Did you mean {printable(nearest, NAME)}?" if nearest else ""


def nearest_path(text: str) -> str | None:
    """Return the path that exists if the first missing part of `text` is corrected; None without one."""
    path = Path(os.path.expanduser(text))
    missing = next((part for part in (*reversed(path.parents), path) if not os.path.lexists(part)), None)
    if missing is None or not missing.name:
        return None
    try:
        with os.scandir(missing.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, LOOKED_AT)]
    except OSError:
        return None
    nearest = _nearest(missing.name, names)
    if nearest is None:
        return None
    meant = missing.with_name(nearest) / path.relative_to(missing)
    return str(meant) if os.path.exists(meant) else None


def _nearest(word: str, known: Iterable[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed([*known])}
    nearest = difflib.get_close_matches(word.lower()[:NAME], by_lower, n=1)
    return by_lower[nearest[0]] if nearest else None
