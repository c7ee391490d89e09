"""Builds in a child process: the page watches a file of progress, so that nothing a visitor does stops a build."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import streamlit as st

from kernel_core.sources.source import SourceRequest


def arguments(request: SourceRequest, verb: str = "build") -> list[str]:
    """What the command line calls a build of this request, or another verb that takes the same options.

    >>> arguments(SourceRequest("digits", run_count=10, similarities=("kernel",)))
    ['build', 'digits', '--runs', '10', '--similarity', 'kernel']
    """
    given = [verb, request.name]
    for option, value in (("runs", request.run_count), ("files", request.files)):
        given += [f"--{option}", str(value)] if value else []
    given += ["--precision", request.precision] if request.precision != "auto" else []
    for similarity in request.similarities or ():
        given += ["--similarity", similarity]
    return given


class Jobs:
    """The builds this server has started, one a source and verb of the command line at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, SourceRequest], tuple[subprocess.Popen[bytes], Path]] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="kernel-explorer-"))

    def start(self, request: SourceRequest, verb: str = "build") -> None:
        """Start a build, or another verb that takes the same options, unless it is running."""
        with self._lock:
            if self.is_running(request, verb):
                return
            file = self._folder / f"{len(list(self._folder.iterdir()))}.json"
            file.write_text(json.dumps({"state": "running", "step": "starting", "done": 0, "total": 1}))
            command = [sys.executable, "-m", "kernel_core", *arguments(request, verb)]
            command += ["--progress-file", str(file)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
            self._running[verb, request] = process, file

    def is_running(self, request: SourceRequest, verb: str = "build") -> bool:
        """Whether a build of this source is under way."""
        job = self._running.get((verb, request))
        return job is not None and job[0].poll() is None

    def progress(self, request: SourceRequest, verb: str = "build") -> dict[str, object] | None:
        """What the last build of this source says: state, and step, done and total, or error. None: none started."""
        if (verb, request) not in self._running:
            return None
        process, file = self._running[verb, request]
        said: dict[str, object] = json.loads(file.read_text())
        if said["state"] == "running" and process.poll() is not None:
            return {
                "state": "failed",
                "error": f"The build ended unexpectedly (exit status {process.returncode}).",
            }
        return said


@st.cache_resource
def jobs() -> Jobs:
    """This server's builds."""
    return Jobs()


def offer_build(
    request: SourceRequest, why: str, *, verb: str = "build", title: str = "Nothing is built yet"
) -> None:
    """A page of its own: why there is nothing to see, and the offer to build it by a verb of the command line."""
    st.header("Building" if jobs().is_running(request, verb) else title)
    offer(request, why, verb=verb)


def offer(
    request: SourceRequest, why: str, *, verb: str = "build", label: str = "Build it now", key: str = "build"
) -> None:
    """Show why something is missing, a button that builds it, and the build's progress."""
    running = jobs().is_running(request, verb)
    if not running:
        st.write(why)
    said = jobs().progress(request, verb)
    if said and said["state"] == "failed":
        st.error(str(said["error"]), icon=":material/error:")
    if not running:
        st.button(label, type="primary", on_click=jobs().start, args=(request, verb), key=key)
        st.caption("The same on the command line, with the same cache:")
        st.code(f"kernel-explorer {shlex.join(arguments(request, verb))}", language="bash")
    _watch(request, running, verb)


def offer_part(request: SourceRequest, why: str, key: str) -> bool:
    """The same in a few lines of a page, for a part that the page can do without; True once a build asked for ended.

    why: what is missing and what for. key: tells this offer from others of the page.
    """
    asked, running = f"_asked_{key}", jobs().is_running(request)

    def start() -> None:
        st.session_state[asked] = True
        jobs().start(request)

    said = jobs().progress(request)
    if said and said["state"] == "failed":
        st.error(str(said["error"]), icon=":material/error:")
    elif st.session_state.get(asked) and not running:
        st.session_state[asked] = False
        return True
    if not running:
        st.info(why, icon=":material/info:")
        st.button("Prepare it now", on_click=start, key=key)
    _watch(request, running)
    return False


def _watch(request: SourceRequest, running: bool, verb: str = "build") -> None:
    """Show the progress twice a second while the build runs; start the page over when it ends."""

    @st.fragment(run_every="0.5s" if running else None)
    def watch() -> None:
        said = jobs().progress(request, verb)
        if said and said["state"] == "running":
            share = float(str(said["done"])) / max(float(str(said["total"])), 1)
            words = (str(said[name]) for name in ("step", "pace") if said.get(name))
            st.progress(min(share, 1.0), text=" · ".join(words))
        if running and not jobs().is_running(request, verb):
            st.rerun()

    watch()
