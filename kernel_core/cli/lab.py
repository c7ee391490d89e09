"""`kernel-explorer lab`: put an open question to a source; the same input gives the same answer."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kernel_core.cli.option_types import RunCounts
from kernel_core.cli.options import add_options, open_progress, source_options
from kernel_core.cli.output import say, say_json
from kernel_core.cli.report import refuse_unwritable
from kernel_core.report.answer_files import write_answer
from kernel_core.report.answer_markdown import answer_markdown
from kernel_core.results.answers import QUESTIONS, Answer
from kernel_core.sources.source import SourceRequest

if TYPE_CHECKING:
    from kernel_core.lab.ask import Order


class HowMany(click.ParamType["int | None"]):
    """A number, or all, which becomes None."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value == "all" or value is None:
            return None
        if not re.fullmatch("[0-9]{1,9}", str(value)) or int(value) < 1:
            self.fail(f"{value!r} is not a number of examples; expected one, or all.", param, ctx)
        return int(value)


question_options = (
    click.argument("question", type=click.Choice(list(QUESTIONS))),
    source_options,
    click.option(
        "--counts", type=RunCounts(takes_all=False),
        help="Numbers of runs to compare, beside all.  [default: 5,10,20,50,…; for runs, steps of √2]",
    ),
    click.option(
        "--queries", type=HowMany(), default="2000", show_default=True,
        help="Number of query examples, drawn at random.",
    ),
    click.option(
        "--sets", type=click.IntRange(1), default=4, show_default=True,
        help="Most sets of runs of one size; no run is in two.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn at random."),
    click.option(
        "--truth", type=click.Path(path_type=Path), metavar="FILE",
        help="Known twins: ciFAIR's CSV columns, two names such as test:1,train:2 a line, or verdicts.  "
        "[default: those that pixels and the kernel find]",
    ),
    click.option(
        "--out", type=click.Path(file_okay=False, path_type=Path),
        help="Write answer.md, answer.json and, with curves, answer.png to this folder.",
    ),
    click.option(
        "--give", "folder", type=click.Path(file_okay=False, path_type=Path),
        help="With attribution: write each method's 50 nearest of every test example to this folder, and "
        "name them in the source.toml.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object; shares are fractions."),
)  # fmt: skip


@click.command("lab")
@functools.partial(add_options, question_options)
def lab_command(
    question: str,
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    *,
    out: Path | None,
    folder: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Put an open question about the kernel to SOURCE.

    \b
    transforms   Why log-softmax? Other functions of the same logits.
    classes      Why is the kernel of one class worse than the average?
    untrained    What is the kernel before any training, and how does it move?
    attribution  Does it say which training examples a prediction depends on?
    runs         From how many runs on do votes pass the ensemble?
    variation    Does the kernel care by what its runs differ?

    What was computed is kept, so a question that was stopped goes on where it was.

    \b
    Example:  kernel-explorer lab runs digits --out lab
    """
    _refuse_places(question, out, folder)
    from kernel_core.lab.ask import Order, ask  # torch takes seconds to load

    amount = {name: options.pop(name) for name in ("run_count", "files", "precision")}
    request, order = SourceRequest(source, **amount), Order(**options)
    with open_progress(progress_file) as progress:
        if folder is not None:
            of_all = replace(order, queries=None)
            _give(folder, request, of_all, device=device, budget=memory, progress=progress)
        answer = ask(question, request, order, device=device, budget=memory, progress=progress)
    _show(answer, out, as_json=as_json)


def _show(answer: Answer, out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        for path in write_answer(answer, out):
            say(f"written: {path}", err=True)
    if as_json:
        say_json(answer.to_json())
    else:
        say(*answer_markdown(answer).splitlines())


def _refuse_places(question: str, out: Path | None, folder: Path | None) -> None:
    if folder is not None and question != "attribution":
        raise click.UsageError(f"--give is for attribution, not for {question}.")
    for option, path in (("--out", out), ("--give", folder)):
        if path is not None:
            refuse_unwritable(path, option)


def _give(folder: Path, request: SourceRequest, order: Order, **machine: Any) -> None:
    """Write each method's nearest to a folder, name them in the source.toml, and say so."""
    from kernel_core.lab.attributions.giving import give_neighbors
    from kernel_core.sources.toml_edits import given_lines

    given, toml = give_neighbors(request, order, folder, **machine)
    for of in given:
        say(f"written: {of.file}", err=True)
    if toml is not None:
        say(f"named in {toml}: they stand beside the kernel on every page", err=True)
    else:
        lines = given_lines(given).splitlines()
        say("No source.toml names them; these lines of one do:", "", *lines, "", err=True)
