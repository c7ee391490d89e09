"""A part of a split's encoded images, for a process that may be on another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, eq=False)
class Part:
    """Some consecutive images of a split, encoded.

    cells: returns what to call each image, and the image, encoded, or its file; it is pickled. files: all
    that are read, by the paths that the source has.
    """

    cells: Callable[[], Iterator[tuple[str, bytes | Path]]]
    files: tuple[Path, ...]
