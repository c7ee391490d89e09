"""What the verbs print. Every text passes here to be cleaned and cut: files of a source wrote parts of it."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kernel_core.errors import Unavailable
from kernel_core.printable import printable


def say(*lines: object, err: bool = False) -> None:
    """Print each argument as one line. err: on stderr. Raises `RequestError` if stdout cannot be written."""
    _echo("\n".join(map(printable, lines)), err=err)


def say_json(content: Any) -> None:
    """Print values as one line of JSON, which escapes what a terminal would obey. Raises as `say`.

    Numbers of NumPy become plain ones, those that are not finite null, and paths text.
    """
    _echo(json.dumps(_plain(content), allow_nan=False))


def _plain(value: Any) -> Any:
    """Return a value as JSON takes it. A float32 keeps its shortest digits, as in a CSV file."""
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a scalar of NumPy, which takes a while to load
        value = float(str(value)) if str(value.dtype) == "float32" else value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def say_bytes(content: bytes) -> None:
    """Write bytes to stdout as they are. Raises as `say`."""
    _echo(content, nl=False)


def is_stdout(path: Path) -> bool:
    """Return whether a path stands for stdout: `-`, or a name of what stdout leads to, as /dev/stdout."""
    try:
        return str(path) == "-" or os.path.samestat(path.stat(), os.fstat(1))
    except (OSError, ValueError):
        return False


def _echo(text: str | bytes, *, err: bool = False, nl: bool = True) -> None:
    try:
        click.echo(text, err=err, nl=nl)
    except OSError as error:
        if err or error.errno == errno.EPIPE:  # nobody is there to be told
            raise
        raise Unavailable(
            f"Cannot write the results to stdout ({error.strerror}). Free some space, or send them elsewhere."
        ) from None


class _Handler(logging.StreamHandler[Any]):
    """Print each record as one line on what is stderr at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = "warning: " if record.levelno >= logging.WARNING else ""
        say(kind + record.getMessage(), err=True)


def prepare() -> None:
    """Make stdout and stderr take every character, and warnings one line each, those of libraries too."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None if it is closed
        stream.reconfigure(errors="replace")
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING)
    logging.getLogger("kernel_core").setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").propagate = False  # it prints its warnings itself
    warnings.formatwarning = lambda message, category, *_: f"{category.__name__}: {message}"
    logging.captureWarnings(True)
