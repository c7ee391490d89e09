"""Options that the verbs about verdicts share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kernel_core.cli.output import say
from kernel_core.errors import RequestError, shown
from kernel_core.results.judged_rows import unmatched_words
from kernel_core.results.results import Results
from kernel_core.results.verdicts import read_judged, verdicts_path
from kernel_core.review.consensus import RULES
from kernel_core.review.judged import Judged
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import DUPLICATES
from kernel_core.sources.source import SourceRequest

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

rule_option = click.option(
    "--rule",
    type=click.Choice(list(RULES)),
    default=next(iter(RULES)),
    show_default=True,
    help="Which verdict counts where several people judged. "
    + "; ".join(f"{name}: {about}" for name, about in RULES.items())
    + ".",
)


def _leaked(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    """Return the verdicts that count as a leak. Raises `RequestError` for what is no verdict on pairs."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in DUPLICATES]
    if unknown or not names:
        found = shown(unknown[0]) if unknown else "no verdict"
        raise RequestError(
            f"Found {found} in --leaked; expected one or more of {', '.join(DUPLICATES)}, with commas."
        )
    return names


leaked_option = click.option(
    "--leaked",
    default=",".join(DUPLICATES),
    show_default=True,
    callback=_leaked,
    metavar="VERDICTS",
    help="Verdicts that count as duplicates, with commas.",
)


def read_verdicts(results: Results, request: SourceRequest) -> Judged:
    """Return the verdicts on a source; say on stderr what is wrong with their file. Raises `DataError`."""
    file = VerdictFile(verdicts_path(request))
    judged = read_judged(results, file)
    for warning in [*file.warnings, *filter(None, [unmatched_words(judged, results.name)])]:
        say(f"warning: {warning}", err=True)
    return judged
