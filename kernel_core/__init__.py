"""Which training examples does the training process itself find similar? The kernel, its neighbors, its findings.

Importing this package loads no torch, opens no file and touches no device; `kernel_core.pipeline` is the way in, and
the names below save ensembles of one's own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernel_core.ensembles.writer import EnsembleWriter
    from kernel_core.networks.checkpoints import write_checkpoints
    from kernel_core.networks.outputs import outputs

__version__ = "0.1.0"
__all__ = ["EnsembleWriter", "outputs", "write_checkpoints"]
_HOME = {
    "EnsembleWriter": "ensembles.writer",
    "outputs": "networks.outputs",
    "write_checkpoints": "networks.checkpoints",
}


def __getattr__(name: str) -> Any:
    """What `__all__` names, imported when it is first asked for, since it needs torch."""
    if name in _HOME:
        return getattr(importlib.import_module(f"kernel_core.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
