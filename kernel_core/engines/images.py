"""Images decoded by the workers of a Ray cluster, range by range; what is finished is kept.

Pixels come back to the driver, which keeps each range until all are there: a driver that dies goes on where
it was. A range is small, as many of them are on their way at once.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kernel_core.engines.engine import KIND, Engine
from kernel_core.engines.files import check_files
from kernel_core.engines.tasks import run_tasks
from kernel_core.errors import StoreError
from kernel_core.held import remove
from kernel_core.progress import Progress
from kernel_core.results.hashes import TOGETHER, hash_each
from kernel_core.results.store import Store, key_of
from kernel_core.sources.decode import Pixels
from kernel_core.sources.image_ranges import ImageRange, image_ranges
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split

SENT_BYTES = 16_000_000  # of the images of a range, decoded
log = logging.getLogger("kernel_core")


@dataclass(frozen=True, eq=False)
class ImageBlocks:
    """The images of a split, to be decoded on a cluster.

    source: images that can be cut, as `why_no_ranges` says, with a size. shape: of all, (N, H, W, 3). key: of
    their entry in the cache.
    """

    source: ImagesFrom
    split: Split
    shape: tuple[int, int, int, int]
    key: str
    store: Store
    engine: Engine

    @functools.cached_property
    def ranges(self) -> list[ImageRange]:
        """All ranges, in order."""
        most = max(1, SENT_BYTES // int(np.prod(self.shape[1:])))
        return image_ranges(self.source, self.split, self.shape, most)

    def decoded(self, progress: Progress) -> Iterator[Pixels]:
        """Yield all images in order, in blocks, once every range is decoded.

        Raises what decoding raises, and what `run_tasks` raises. Ranges that are finished are then kept.
        """
        missing = [part for part in self.ranges if self.store.read(KIND, self._key(part)) is None]
        known = len(self.ranges) - len(missing)
        if known:
            log.info("%d of %d blocks of images are known from an earlier build", known, len(self.ranges))
        self._decode(missing, progress)
        for part in self.ranges:
            entry = self.store.read(KIND, self._key(part))
            if entry is None:
                raise StoreError(
                    f"Images that were just decoded are not in the cache {self.store.root} any more. Run the "
                    "command again."
                )
            yield entry[0]["images"]

    def forget(self) -> None:
        """Remove the ranges from the cache: the images are written as a whole."""
        for path in (self.store.path(KIND, self._key(part)) for part in self.ranges):
            if path.exists():
                remove(path)

    def _decode(self, missing: list[ImageRange], progress: Progress) -> None:
        files = list(dict.fromkeys(path for part in missing for path in part.part.files))
        hashes = dict(zip(files, self._hashes(files, progress), strict=True))
        items = [(part, [hashes[path] for path in part.part.files]) for part in missing]
        task = functools.partial(decode_range, self.store.root.absolute())
        step = f"blocks of {self.split} images"
        for number, images in run_tasks(task, items, self.engine, progress, step=step):
            about = f"block {number + 1} of the {self.split} images of a build that goes on"
            self.store.write(KIND, self._key(missing[number]), {"images": images}, {}, about=about)

    def _hashes(self, files: Sequence[Path], progress: Progress) -> Iterator[str]:
        """Yield the SHA-256 of each file: the key of the images has those of whole folders alone."""
        for start in range(0, len(files), TOGETHER):
            yield from hash_each(self.store, files[start : start + TOGETHER])
            progress(f"checking the files of {self.split} images", start, len(files))

    def _key(self, part: ImageRange) -> str:
        return key_of({"kind": KIND, "images": self.key, "first": part.first, "count": part.shape[0]})


def decode_range(cache: Path, item: tuple[ImageRange, Sequence[str]]) -> Pixels:
    """Decode a range on a worker.

    cache: folder of the cache, by its path on the driver's machine. item: the range, and the SHA-256 of each
    of its files. Raises `DataError` if a file is missing or another one, or if an image cannot be read.
    """
    part, hashes = item
    check_files(part.part.files, hashes, cache)
    return part.decoded()
