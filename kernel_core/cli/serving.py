"""The app's server: where it is, which port it may use, and how it learns what to serve."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kernel_core.errors import RequestError, Unavailable
from kernel_core.files import cache_root
from kernel_core.printable import NAME, printable
from kernel_core.sources.source import SourceRequest

LOCAL = "127.0.0.1"
LOOPBACK = ("localhost", LOCAL, "::1")
EVERYWHERE = ("", "0.0.0.0", "::")  # addresses that stand for all that the machine has
ANNOUNCED = "KERNEL_EXPLORER_ANNOUNCED"  # the variable with the line that the server prints once it listens
READ_ONLY = "KERNEL_EXPLORER_READ_ONLY"  # the variable that pages/ui/read_only.py reads
FRAMED_BY = "KERNEL_EXPLORER_FRAMED_BY"  # the one that pages/ui/edge.py reads
# glibc's: the threads of visitors share two pools of memory. After 40 of them, 15 MB are kept instead of 20.
ALLOCATOR = {"MALLOC_ARENA_MAX": "2"}


def app_folder() -> Path:
    """Return the folder of app.py: the checkout, or the copy inside an installed package."""
    package = Path(__file__).parents[1]
    return package.parent if (package.parent / "app.py").is_file() else package / "app"


def claim_port(port: int, host: str = LOCAL) -> socket.socket:
    """Return a socket that keeps other servers of this command off a port while it is open, on Linux only.

    The server that replaces this process inherits it: of two that are started at once, the second is refused
    here. Raises `RequestError` if the port cannot be listened on, or is claimed already.
    """
    claim = socket.socket(socket.AF_UNIX if sys.platform == "linux" else socket.AF_INET)
    try:
        if sys.platform == "linux":
            claim.bind(f"\0kernel-explorer on port {port}")  # no file: it ends with the process
            claim.set_inheritable(True)
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        claim.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise RequestError(
                f"This machine has no address {host} ({error.strerror}); expected --host 0.0.0.0 for all "
                "that it has, or one of them."
            ) from None
        raise Unavailable(
            f"Cannot use port {port} on {host} ({error.strerror}). Stop the program that uses it, or "
            "choose another port: --port 8502, or make run PORT=8502."
        ) from None
    return claim


def address_of(host: str, port: int) -> str:
    """Return the address to open in a browser: this machine's own where the server listens on all it has."""
    host = _outward_address() if host in EVERYWHERE else host
    path = os.environ.get("STREAMLIT_SERVER_BASE_URL_PATH", "").strip("/")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}" + (f"/{path}" if path else "")


def names_of(host: str) -> tuple[str, ...]:
    """Return the names that a server which listens on `host` answers to, beside those that are allowed."""
    if host in LOOPBACK:
        return LOOPBACK
    own = (socket.gethostname(), _outward_address()) if host in EVERYWHERE else (host,)
    return (*LOOPBACK, *own)


def _outward_address() -> str:
    """Return this machine's address in its network, or its name if it has none; nothing is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address that nobody has
        return str(probe.getsockname()[0])
    return socket.gethostname()


def serve(
    request: SourceRequest,
    name: str,
    port: int,
    *,
    host: str = LOCAL,
    allowed: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> int:
    """Serve a built source until stopped. Returns the server's exit status, on Windows only.

    name: the source's, which the server prints with its address once it listens. host: the address to listen
    on. allowed: names that the server answers to, beside `names_of` the host. variables: of the environment
    that say more of how to serve: `READ_ONLY`, `FRAMED_BY`.
    """
    where = f"{printable(name, NAME)} is at {address_of(host, port)}   (stop with Ctrl-C)"
    command = [sys.executable, "-m", "streamlit", "run", "server.py", "--server.port", str(port)]
    command += ["--server.address", host, "--logger.hideWelcomeMessage", "true"]
    for allowed_name in dict.fromkeys((*names_of(host), *allowed)):
        command += ["--server.allowedHosts", allowed_name]
    environment = {**ALLOCATOR, **os.environ, **_environment(request), ANNOUNCED: where}
    environment |= {READ_ONLY: "", FRAMED_BY: "", **(variables or {})}
    folder = app_folder()
    if os.name == "posix":
        # Replace this process with the server: this one may have loaded torch, the server must not.
        os.chdir(folder)
        os.execve(sys.executable, command, environment)
    return subprocess.call(command, cwd=folder, env=environment)


def _environment(request: SourceRequest) -> dict[str, str]:
    """Return the variables that tell the app its source (see pages/ui/load.py), with absolute paths."""
    return {
        "KERNEL_EXPLORER_CACHE": str(cache_root().absolute()),
        "KERNEL_EXPLORER_SOURCE": str(request.path.resolve()) if request.path else request.name,
        "KERNEL_EXPLORER_RUNS": str(request.run_count or ""),
        "KERNEL_EXPLORER_FILES": str(request.files or ""),
        "KERNEL_EXPLORER_PRECISION": request.precision,
        "KERNEL_EXPLORER_SMALL_MAP": os.environ.get("KERNEL_EXPLORER_SMALL_MAP", "1"),
    }
