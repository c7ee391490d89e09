"""Builds in a child process. The page reads a file of progress, so nothing a visitor does stops a build."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import streamlit as st

from kernel_core.held import temporary_folder
from kernel_core.printable import printable
from kernel_core.sources.source import SourceRequest
from pages.ui import read_only

LEAST_URGENT = 19  # of the priorities that Unix knows


class Status(TypedDict):
    """The content of a progress file: how far a build has come, or why it failed."""

    state: str  # "running", "done" or "failed"
    step: NotRequired[str]
    done: NotRequired[int]  # of `total`
    total: NotRequired[int]
    pace: NotRequired[str]  # rate and time left
    error: NotRequired[str]


def arguments(request: SourceRequest, verb: str = "build") -> list[str]:
    """Return the arguments of the command line that build a request.

    verb: another one with the same options, with its first argument if it has one before the source.

    >>> arguments(SourceRequest("digits", run_count=10, similarities=("kernel",)))
    ['build', 'digits', '--runs', '10', '--similarity', 'kernel']
    """
    words = [*verb.split(), request.name]
    for option, number in (("--runs", request.run_count), ("--files", request.files)):
        words += [option, str(number)] if number else []
    words += ["--query", request.query] if request.query != "test" else []
    words += ["--database", request.database] if request.database is not None else []
    words += ["--precision", request.precision] if request.precision != "auto" else []
    for similarity in request.similarities or ():
        words += ["--similarity", similarity]
    return words


class Jobs:
    """The builds that this server has started: at most one per request and verb of the command line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: dict[tuple[str, SourceRequest], tuple[subprocess.Popen[bytes], Path]] = {}
        kept = contextlib.ExitStack()
        self._folder = kept.enter_context(temporary_folder("builds"))
        atexit.register(kept.close)

    def start(self, request: SourceRequest, verb: str = "build", *, in_background: bool = False) -> None:
        """Start a build, unless it is running. verb: another one with the same options.

        in_background: nobody asked for it, so it makes way for everything else and ends with the server.
        Raises `Unavailable` on a read-only server.
        """
        read_only.refuse()
        with self._lock:
            if self.is_running(request, verb):
                return
            file = self._folder / f"{len(list(self._folder.iterdir()))}.json"
            file.write_text(json.dumps({"state": "running", "step": "starting", "done": 0, "total": 1}))
            command = [sys.executable, "-m", "kernel_core", *arguments(request, verb)]
            command += ["--progress-file", str(file)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
            self._started[verb, request] = process, file
        if in_background:
            atexit.register(process.terminate)
            if hasattr(os, "setpriority"):
                os.setpriority(os.PRIO_PROCESS, process.pid, LEAST_URGENT)

    def is_running(self, request: SourceRequest, verb: str = "build") -> bool:
        """Return whether a build of this request is under way."""
        job = self._started.get((verb, request))
        return job is not None and job[0].poll() is None

    def status(self, request: SourceRequest, verb: str = "build") -> Status | None:
        """Return the status of the last build of this request, or None if none was started."""
        if (verb, request) not in self._started:
            return None
        process, file = self._started[verb, request]
        status = cast(Status, json.loads(file.read_text()))
        if status["state"] == "running" and process.poll() is not None:
            error = f"The build ended unexpectedly (exit status {process.returncode})."
            return {"state": "failed", "error": error}
        return status


@st.cache_resource
def jobs() -> Jobs:
    """Return this server's builds."""
    return Jobs()


def offer_build(request: SourceRequest, why: str) -> None:
    """Fill a page that has nothing to show: say why, and offer to build it."""
    st.header("Building" if jobs().is_running(request) else "Nothing is built yet")
    offer(request, why)


def offer(
    request: SourceRequest, why: str, *, verb: str = "build", label: str = "Build it now", key: str = "build"
) -> None:
    """Show why something is missing, a button that builds it, and the progress of the build."""
    if read_only.is_read_only():
        st.write(why)
        _tell_owner(request, verb)
        return
    running = jobs().is_running(request, verb)
    if not running:
        st.write(why)
    _show_failure(jobs().status(request, verb))
    if not running:
        st.button(label, type="primary", on_click=jobs().start, args=(request, verb), key=key)
        st.caption("Or on the command line, into the same cache:")
        st.code(_command(request, verb), language="bash")
    _watch(request, running, verb)


def offer_part(request: SourceRequest, why: str, key: str, *, label: str = "Prepare it now") -> bool:
    """Offer, in a few lines of a page, to build what the page can do without.

    why: what is missing, and what for. key: tells this offer from others on the page.
    Returns True once, when a build that was asked for here has ended.
    """
    if read_only.is_read_only():
        st.info(why, icon=":material/info:")
        _tell_owner(request)
        return False
    asked, running = f"_asked_{key}", jobs().is_running(request)

    def start() -> None:
        st.session_state[asked] = True
        jobs().start(request)

    failed = _show_failure(jobs().status(request))
    if st.session_state.get(asked) and not running and not failed:
        st.session_state[asked] = False
        return True
    if not running:
        st.info(why, icon=":material/info:")
        st.button(label, on_click=start, key=key)
    _watch(request, running)
    return False


def offer_line(
    request: SourceRequest, what: str, key: str, *, verb: str = "build", label: str = "Build"
) -> None:
    """Show, in one line, what is not built, with a button that builds it; below, the progress of the build.

    what: in Markdown. key: tells this offer from others on the page.
    """
    if read_only.is_read_only():
        st.markdown(what)
        _tell_owner(request, verb)
        return
    running = jobs().is_running(request, verb)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(what, width="content")
        if not running:
            st.button(label, key=key, on_click=jobs().start, args=(request, verb), icon=":material/build:")
    _show_failure(jobs().status(request, verb))
    _watch(request, running, verb)


def _command(request: SourceRequest, verb: str) -> str:
    return printable(f"kernel-explorer {shlex.join(arguments(request, verb))}")


def _tell_owner(request: SourceRequest, verb: str = "build") -> None:
    """Say that nothing is built on this server, and which command builds it for whoever runs it."""
    st.caption(f"{read_only.WHY} Who runs it builds this on the command line, then starts the server anew:")
    st.code(_command(request, verb), language="bash", wrap_lines=True)


def _show_failure(status: Status | None) -> bool:
    """Show the error of a build that failed; return whether it did."""
    if status is None or status["state"] != "failed":
        return False
    st.error(printable(status.get("error", "The build failed.")), icon=":material/error:")
    return True


def _watch(request: SourceRequest, running: bool, verb: str = "build") -> None:
    """Show the progress twice a second while the build runs; start the page over when it ends."""

    @st.fragment(run_every="0.5s" if running else None)
    def watch() -> None:
        status = jobs().status(request, verb)
        if status and status["state"] == "running":
            share = status.get("done", 0) / max(status.get("total", 1), 1)
            words = [words for words in (status.get("step"), status.get("pace")) if words]
            st.progress(min(share, 1.0), text=" · ".join(words))
        if running and not jobs().is_running(request, verb):
            st.rerun()

    watch()
