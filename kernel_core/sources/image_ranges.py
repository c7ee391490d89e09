"""Images of a split in ranges, each of which any process decodes that sees the same files.

A range names the files that are read for it, so that a process reads no listing and no label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import numpy.typing as npt

from kernel_core.progress import no_progress
from kernel_core.sources import held_out
from kernel_core.sources.decode import Pixels
from kernel_core.sources.decode_blocks import decode_blocks, gathered, refuse_other_size
from kernel_core.sources.images import rows_of_part
from kernel_core.sources.part import Part
from kernel_core.sources.readers import READERS
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split


@dataclass(frozen=True, eq=False)
class ImageRange:
    """Images first … first + shape[0] - 1 of a split, still to be decoded.

    shape: of the decoded images, (n, H, W, 3). size: as `decode_image` takes it. part: the encoded images.
    kept: bool, which of these are of the split; None for all.
    """

    split: Split
    first: int
    shape: tuple[int, int, int, int]
    size: int | None
    part: Part
    kept: npt.NDArray[np.bool_] | None = None

    def decoded(self) -> Pixels:
        """Return the images, uint8 (n, H, W, 3), decoded in this thread.

        Raises `DataError` as `open_examples` does while blocks are taken.
        """
        cells = self.part.cells()
        if self.kept is not None:
            cells = compress(cells, self.kept.tolist())
        step = f"reading {self.split} images"
        blocks = decode_blocks(cells, self.shape[0], step, self.size, no_progress, threads=1)
        refuse_other_size(f"{self.split} image {self.first}", blocks.shape[1:], self.shape[1:])
        return gathered(blocks)


def absolute(source: ImagesFrom) -> ImagesFrom:
    """Return the same images by absolute paths, which processes that start in other folders understand."""
    paths = {name: path.absolute() for name, path in source.paths.items()}
    shards = {split: tuple(path.absolute() for path in files) for split, files in source.shards.items()}
    return replace(source, paths=paths, shards=shards)


def why_no_ranges(source: ImagesFrom, split: Split) -> str:
    """Return why the images of a split cannot be decoded by ranges; empty if they can."""
    reader = READERS[source.reader]
    if reader.parts is None:
        return "a data set of this kind is read at once"
    return reader.why_no_parts(*_undivided(source, split))


def image_ranges(
    source: ImagesFrom, split: Split, shape: tuple[int, int, int, int], most: int
) -> list[ImageRange]:
    """Return all images of a split in ranges of at most so many, in order.

    source: with a size of its own, or with the one that `with_size` chose; one that `why_no_ranges` finds
    nothing against. shape: of all decoded images, (N, H, W, 3).
    """
    source, (N, H, W, _) = absolute(source), shape
    parts = READERS[source.reader].parts
    assert parts is not None
    part = parts(*_undivided(source, split))
    rows = rows_of_part(source, split)[2] if source.held_out else None
    places = None if rows is None else np.flatnonzero(rows)
    found = []
    for start in range(0, N, most):
        n = min(most, N - start)
        first, last, kept = start, start + n, None
        if rows is not None and places is not None:
            first, last = int(places[start]), int(places[start + n - 1]) + 1
            kept = rows[first:last]
        found.append(ImageRange(split, start, (n, H, W, 3), source.size, part(first, last), kept))
    return found


def _undivided(source: ImagesFrom, split: Split) -> tuple[ImagesFrom, Split]:
    return (held_out.undivided(source), "train") if source.held_out else (source, split)
