"""Which training examples does the training process itself find similar?

`open` reads what has been built of a source into tables and images, for notebooks. `EnsembleWriter`,
`write_checkpoints` and `outputs` save an ensemble from your own training loop. Importing this package loads
nothing else: no torch, no file, no device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernel_core.ensembles.writer import EnsembleWriter
    from kernel_core.networks.checkpoints import write_checkpoints
    from kernel_core.networks.outputs import outputs
    from kernel_core.notebook import open  # noqa: A004 (called as kernel_core.open)

__version__ = "0.1.0"
__all__ = ["EnsembleWriter", "open", "outputs", "write_checkpoints"]
_HOME = {
    "EnsembleWriter": "ensembles.writer",
    "open": "notebook",
    "outputs": "networks.outputs",
    "write_checkpoints": "networks.checkpoints",
}


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` when it is first asked for: some need torch."""
    if name in _HOME:
        return getattr(importlib.import_module(f"kernel_core.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
