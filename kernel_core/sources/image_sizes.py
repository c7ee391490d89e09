"""The size that images without a size of their own are brought to, from what their first bytes say.

Images of one size, of at most `LARGEST` pixels a side, stay as they are. All others become squares of `USUAL`
pixels, or of `SMALL` where half of them are smaller than `USUAL` on their shorter side.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from kernel_core.progress import Progress
from kernel_core.sources.decode import size_of

LARGEST = 96  # pixels a side of images that are taken as they are
USUAL, SMALL = 64, 32  # pixels a side of those that are not; 60,000 of 64 take 0.7 GB

log = logging.getLogger("kernel_core")


def choose_size(images: Iterable[tuple[str, bytes | Path]], total: int, progress: Progress) -> int | None:
    """Return the side in pixels of the squares that images become, or None if they stay as they are.

    images: name and encoded image, of every split, `total` of them; their first bytes are read. Raises
    `DataError` if one cannot be read.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    for number, (name, data) in enumerate(images, start=1):
        sizes[size_of(data, name)] += 1
        if number % 1000 == 0 or number == total:
            progress("reading the sizes of the images", number, total)
    if len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST:
        return None
    small = sum(count for size, count in sizes.items() if min(size) < USUAL)
    side = SMALL if 2 * small >= sizes.total() else USUAL
    log.info("images of %s are cropped and resized to %d×%d pixels", _in_words(sizes), side, side)
    return side


def _in_words(sizes: Counter[tuple[int, int]]) -> str:
    """Return the sizes, as in "12 sizes, 75×100 to 4000×3000 pixels"."""
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    first, last = ("×".join(map(str, size)) for size in (by_area[0], by_area[-1]))
    return f"{len(sizes):,} sizes, {first} to {last} pixels" if len(sizes) > 1 else f"{first} pixels"
