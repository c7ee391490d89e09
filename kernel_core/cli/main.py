"""The command `kernel-explorer`.

Results go to stdout, progress to stderr. The exit status is 0, 1 (failed), 2 (wrong usage) or 130 (Ctrl-C).
"""

from __future__ import annotations

import errno
import importlib
from collections import UserDict
from typing import Any

import click

from kernel_core import __version__, crash
from kernel_core.cli import output
from kernel_core.cli.output import say
from kernel_core.errors import KernelExplorerError, RequestError, Unavailable, UnknownSource
from kernel_core.printable import printable
from kernel_core.shortage import is_panic

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Start": {
        "serve": ("build:serve", "Build whatever the cache lacks, then serve the app."),
        "build": ("build:build", "Compute whatever the cache lacks of SOURCE."),
        "check": ("check:check", "Say what SOURCE has, what fits, and what the app will show."),
        "sources": ("sources:sources", "List built-in sources and published configurations."),
    },
    "Findings": {
        "pairs": ("pairs:pairs", "List near-duplicates between test and training set."),
        "failures": ("findings:failures", "List examples whose label is in doubt, each with its neighbors."),
        "labels": ("labels:labels", "List labels to check, and what ensemble and neighbors propose."),
        "memorization": ("unseen:memorization", "List training examples that are memorized."),
        "influence": ("unseen:influence", "List training examples that change a label's probability."),
        "neighbors": ("findings:neighbors", "List the nearest neighbors of one example."),
        "groups": ("groups:groups", "Find groups of near-duplicates, and which example to keep."),
        "evaluate": ("evaluate:evaluate", "Print the accuracies of single runs, the ensemble and k-NN."),
        "runs": ("runs:runs", "Say how many runs are enough: what fewer of them find."),
        "report": ("report:report_command", "Report accuracy by number of runs, and what pairs look like."),
        "figures": ("findings:figures", "Draw figures for a paper, as PNG files."),
        "aligned": ("aligned:aligned", "Compare the pixels of near pairs, for the twin score."),
        "export": ("export:export", "Write a read-only copy of the findings that needs no server."),
        "lab": ("lab:lab_command", "Put an open question about the kernel to SOURCE."),
        "map": ("map:lay_out_map", "Lay out all examples in the plane, for the app's map."),
    },
    "Review": {
        "verdicts": ("verdicts:verdicts", "Say what was judged, by whom, and how far reviewers agree."),
        "leaks": ("leaks:leaks", "Report how many test examples have a duplicate in training."),
        "corrections": ("corrections:corrections", "Report which labels people judged to be wrong."),
        "clean": ("clean:clean", "Write a cleaned set: what to keep, what to drop, and why."),
        "sample": ("sample:sample", "Draw pairs to judge, and estimate how many duplicates there are."),
        "score": ("score:score", "Compare similarities by how well they find known pairs."),
        "resplit": ("resplit:resplit_command", "Propose a new split in which duplicates are never across."),
    },
    "Your ensemble": {
        "train": ("train:train", "Train an ensemble into a folder, which is then a source."),
        "features": ("features:features", "Compute penultimate features for a source without them."),
    },
    "Upkeep": {
        "cache": ("cache:cache", "List, prune or clear the cache."),
        "bench": ("bench:bench", "Compare our search with other methods on this machine."),
        "estimate": ("estimate:estimate", "Say what a build of a source of any size would cost."),
    },
}
"""Section of the help → verb → where it is in this package, and the first sentence of its help.

Loading all verbs takes 0.7 s, the table a tenth of that: it is what --help and completion read.
"""


class _Verbs(UserDict[str, Any]):
    """Name → command, which is loaded when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self.data[name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"kernel_core.cli.{module}"), attribute)
        return command


class _Refused(click.ClickException):
    """Arguments that make no sense together or for this source: one line, and exit status 2."""

    exit_code = 2


class _Group(click.Group):
    """A group that turns every error of a verb into one line, and lists its verbs by section."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KernelExplorerError as error:
            is_usage = isinstance(error, RequestError | UnknownSource) and not isinstance(error, Unavailable)
            kind = _Refused if is_usage else click.ClickException
            raise kind(printable(error)) from None
        except KeyboardInterrupt:
            say("Stopped. Run the same command again to continue; what was finished is kept.", err=True)
            ctx.exit(130)
        except BaseException as error:
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # who reads the output has seen enough; click ends without a word
            raise click.ClickException(crash.last_words(error)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                width = max(map(len, self.commands))  # one column for all sections
                formatter.write_dl([(f"{name:<{width}}", about) for name, (_, about) in verbs.items()])


@click.group(
    cls=_Group,
    commands=_Verbs({name: where for verbs in SECTIONS.values() for name, (where, _) in verbs.items()}),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="kernel-explorer")
def main() -> None:
    """Find the training examples that the training process itself treats as similar.

    SOURCE is digits (built in), cifar10-multirun (the published ensemble), the path of a source.toml, or that
    of labeled images: a folder with a folder per class, or a Parquet file. `sources` lists more.

    \b
    Example:  kernel-explorer serve digits
    """
    output.prepare()
