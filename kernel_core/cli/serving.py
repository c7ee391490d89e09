"""Starting the app's server: where it lies, where it may listen, and how it learns what to serve."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from kernel_core.errors import RequestError
from kernel_core.files import cache_root
from kernel_core.sources.source import SourceRequest


def app_folder() -> Path:
    """The folder of app.py: the checkout, or the copy inside an installed package."""
    here = Path(__file__).parents[1]  # kernel_core
    return here.parent if (here.parent / "app.py").is_file() else here / "app"


def free_port(port: int) -> int:
    """The port, if it can be listened on; asked before anything is built."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RequestError(
                f"Port {port} on 127.0.0.1 cannot be used ({error.strerror}); stop the program that has it, or name "
                "another: --port 8502, make run PORT=8502."
            ) from None
    return port


def serve(request: SourceRequest, port: int) -> int:
    """Run the server for a built source until it is stopped; returns its exit status where it returns at all."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    command += ["--logger.hideWelcomeMessage", "true"]
    environment = {**os.environ, **_environment(request)}
    folder = app_folder()
    if os.name == "posix":
        # Become the server: this process has torch loaded if it built, the server must not.
        os.chdir(folder)
        os.execve(sys.executable, command, environment)
    return subprocess.call(command, cwd=folder, env=environment)


def _environment(request: SourceRequest) -> dict[str, str]:
    """What the app reads to know its source (pages/ui/load.py), the same from whatever folder it runs."""
    return {
        "KERNEL_EXPLORER_CACHE": str(cache_root().absolute()),
        "KERNEL_EXPLORER_SOURCE": str(request.path.resolve()) if request.path else request.name,
        "KERNEL_EXPLORER_RUNS": str(request.run_count or ""),
        "KERNEL_EXPLORER_FILES": str(request.files or ""),
        "KERNEL_EXPLORER_PRECISION": request.precision,
    }
