"""What must be the same on every node: the code of this package, torch, and what decodes images."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import socket
from dataclasses import dataclass
from pathlib import Path

import kernel_core


@dataclass(frozen=True)
class Versions:
    """The versions on a machine.

    package: of kernel-explorer. code: the first digits of the SHA-256 of its modules. torch, pillow: as
    installed.
    """

    package: str
    code: str
    torch: str
    pillow: str

    def __str__(self) -> str:
        return (
            f"kernel-explorer {self.package} (code {self.code}) with torch {self.torch} and Pillow "
            f"{self.pillow}"
        )


@functools.cache
def versions_here() -> Versions:
    """Return the versions on this machine, from files alone."""
    digest = hashlib.sha256()
    root = Path(kernel_core.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return Versions(
        kernel_core.__version__, digest.hexdigest()[:8], _version_of("torch"), _version_of("pillow")
    )


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def node_name() -> str:
    """Return what to call this machine in a message: its name, and its address in the cluster."""
    import ray

    return f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"
