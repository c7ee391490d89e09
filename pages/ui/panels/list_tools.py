"""What stands under every list: copy its link, download its rows, and get the same rows without the pages."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from kernel_core.printable import printable
from kernel_core.results.judged_rows import EVERYTHING, Wanted, with_verdicts
from kernel_core.results.results import Results
from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import Kind
from pages.ui import jobs, load, verdicts
from pages.ui.components.copy_link import copy_link
from pages.ui.wording import escape, plural


@dataclass(frozen=True)
class Listed:
    """The rows of a list, all that its filters leave and not only those that the page shows.

    count: number of rows. noun: what a row is, in the singular. table: makes them, with the columns of the
    verb's CSV; called only when they are asked for, in another thread. command: what prints the same rows,
    from `command`; empty where no verb does. python: an expression that gives them, from `python`; empty
    where there is none, and then there is no command either. kind: of the verdicts that rows may have.
    """

    count: int
    noun: str
    table: Callable[[], pd.DataFrame]
    command: str
    python: str
    of: str = ""
    kind: Kind | None = None

    @property
    def title(self) -> str:
        """How many rows of what, in Markdown."""
        return plural(self.count, self.noun) + (f" {escape(self.of)}" if self.of else "")


def list_tools(results: Results, name: str, *lists: Listed) -> None:
    """Draw the tools of a page's list, or of several.

    name: of the page, for files and for the keys of the widgets.
    """
    stands = verdicts.standing(results)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for number, listed in enumerate(lists):
            st.download_button(
                f"Download CSV: {listed.title}",
                _csv(listed, stands),
                file_name=_file_name(results, name),
                mime="text/csv",
                on_click="ignore",
                key=f"csv_{name}_{number}",
                icon=":material/download:",
            )
        copy_link(f"copy_{name}")
    told = [listed for listed in lists if listed.python]
    if not told:
        return
    with st.expander("The same rows by command, or in Python"):
        for listed in told:
            if len(lists) > 1:
                st.caption(f"{listed.title}:")
            if listed.command:
                st.code(printable(listed.command), language="bash", wrap_lines=True)
            line = printable(listed.python)
            st.code(f"import kernel_core\n\n{line}", language="python", wrap_lines=True)


def _csv(listed: Listed, stands: Judged) -> Callable[[], bytes]:
    """Return what makes the rows as CSV, in UTF-8, when it is called. stands: verdicts that they may have."""

    def make() -> bytes:
        table = listed.table()
        table = with_verdicts(table, stands, listed.kind) if listed.kind else table
        return bytes(table.to_csv(index=False).encode())

    return make


def command(results: Results, verb: str, by: str, *options: object, wanted: Wanted = EVERYTHING) -> str:
    """Return the command that prints rows of this server's source, in the direction of the results.

    by: the similarity; empty for a verb that takes none. options: its further words; without those that are
    None. wanted: which rows, by what was judged of them.
    """
    request = load.request_of(by, results.within) if by else load.request()
    judged = *option("--judged", wanted.judged), *option("--reviewer", wanted.reviewer)
    judged += option("--verdicts", _other_file(wanted))
    chosen = [str(word) for word in (*options, *judged) if word is not None]
    words = [*jobs.arguments(request, verb), *chosen]
    return f"kernel-explorer {shlex.join(words)}"


def _other_file(wanted: Wanted) -> str | None:
    """Return the file of verdicts that rows are chosen by, where it is not the source's own."""
    return os.environ.get("KERNEL_EXPLORER_VERDICTS") if wanted else None


def option(name: str, value: object) -> tuple[object, ...]:
    """Return an option and its value as words; none where the value is empty.

    >>> option("--class", "cat"), option("--class", "")
    (('--class', 'cat'), ())
    """
    return (name, value) if value not in ("", None) else ()


def python(
    results: Results, method: str, *values: object, wanted: Wanted = EVERYTHING, **named: object
) -> str:
    """Return the expression that asks the door for notebooks for rows of this server's source.

    method: of `kernel_core.notebook.Explorer`. values, named: its arguments; named ones that are empty are
    left out. Variants of the kernel among them are opened too. wanted: as for `command`.
    """
    request = load.request()
    opening: dict[str, object] = {"runs": request.run_count, "files": request.files}
    named |= {"judged": wanted.judged, "reviewer": wanted.reviewer}
    arguments = [*values, *named.values()]
    opening["variants"] = [name for name in arguments if str(name) in results.variants]
    opening["verdicts"] = _other_file(wanted)
    door = f"kernel_core.open({_arguments([request.name], opening)})"
    within = f".within({results.within!r})" if results.within else ""
    return f"{door}{within}.{method}({_arguments(list(values), named)})"


def _arguments(values: list[object], named: dict[str, object]) -> str:
    """Return arguments as Python writes them; named ones that are empty are left out."""
    words = [repr(value) for value in values]
    words += [f"{name}={value!r}" for name, value in named.items() if value not in ("", None, [])]
    return ", ".join(words)


def _file_name(results: Results, name: str) -> str:
    """Return a file name for the rows, of letters that every system takes."""
    words = [re.sub(r"[^A-Za-z0-9._-]+", "-", results.name).strip("-."), name, results.within]
    return "-".join(word for word in words if word) + ".csv"
