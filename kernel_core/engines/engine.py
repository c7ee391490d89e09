"""The choice of an engine: this machine, or a Ray cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernel_core.errors import RequestError

ENGINES = ("local", "ray")
KIND = "blocks"  # of the entries that are kept until the result that they are a part of is written
BLOCK_SECONDS = 60.0  # core-seconds per block: little is lost with a block, and few are to be merged
PLACE = re.compile(r"(?:ray://)?[\w.-]+:\d{1,5}")


@dataclass(frozen=True)
class Engine:
    """Where pieces of work are done.

    name: local, the threads of this machine, or ray.
    address: of a running Ray cluster, as host:port, as ray://host:port, or auto for the one that this machine
        is part of; None to start Ray on this machine for as long as it is needed.
    workers: how many pieces are done at once; None for one per core.
    block_seconds: about how many core-seconds a block of a neighbor search takes.

    Raises `RequestError` if these do not fit together.
    """

    name: str = "local"
    address: str | None = None
    workers: int | None = None
    block_seconds: float = BLOCK_SECONDS

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise RequestError(f"There is no engine {self.name!r}; expected {' or '.join(ENGINES)}.")
        if self.name != "ray" and self.address is not None:
            raise RequestError("An address is that of a Ray cluster; add --engine ray, or leave it out.")
        if self.address is not None and self.address != "auto" and not PLACE.fullmatch(self.address):
            raise RequestError(
                f"{self.address!r} is no address of a Ray cluster; expected auto, host:port or "
                "ray://host:port."
            )
        if self.workers is not None and self.workers < 1:
            raise RequestError(f"{self.workers} workers were asked for; ask for 1 or more.")
        if not self.block_seconds > 0:
            raise RequestError(f"Blocks of {self.block_seconds} seconds were asked for; ask for more than 0.")

    @property
    def is_ray(self) -> bool:
        """Whether the work is done by Ray."""
        return self.name == "ray"


LOCAL = Engine()
