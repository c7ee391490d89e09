"""Options that the verbs about verdicts share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


VARIABLE = "KERNEL_EXPLORER_VERDICTS"


def _named(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    """Have `verdicts_path` return the named file until the verb ends, in processes that it starts too."""
    if path is None:
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(path.expanduser().absolute())

    def restore() -> None:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before

    context.call_on_close(restore)


verdicts_option = click.option(
    "--verdicts",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_named,
    expose_value=False,
    metavar="FILE",
    help="Read and save verdicts in this file.  [default: beside SOURCE]",
)
