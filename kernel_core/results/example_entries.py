"""The cache entries of examples: labels, and images with their thumbnails, which are mapped."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from kernel_core.block_array import unmap_large
from kernel_core.progress import Progress
from kernel_core.records import ExampleSet, no_images
from kernel_core.results.keys import Keys
from kernel_core.results.store import Store
from kernel_core.review.verdicts import pixel_hash
from kernel_core.sources.decode import Pixels
from kernel_core.sources.decode_blocks import (
    BLOCK_BYTES,
    Blocks,
    cores,
    counted,
    in_threads,
    refuse_beyond_disk,
)
from kernel_core.spec import Split

SIDE = 96  # pixels a side that thumbnails have at most
LABELS, IMAGES, THUMBNAILS = "examples", "images", "thumbnails"  # kinds of entries


def thumbnail_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width of the thumbnails of images of a size.

    >>> thumbnail_size(32, 32), thumbnail_size(224, 336)
    ((32, 32), (64, 96))
    """
    shrink = min(1.0, SIDE / max(height, width, 1))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def read_examples(keys: Keys, store: Store) -> dict[Split, ExampleSet] | None:
    """Return the examples of every split, their images mapped, or None if they are not in the cache."""
    entry = store.read(LABELS, keys.labels)
    if entry is None:
        return None
    (arrays, meta), found = entry, {}
    for split in keys.source.images.splits:
        labels = arrays[f"{split}_labels"]
        images, thumbnails = no_images(len(labels)), None
        if keys.source.images.has_images:
            mapped = read_images(keys, split, store)
            if mapped is None:
                return None
            images = mapped
            if max(images.shape[1:3]) > SIDE:
                thumbnails = store.map(THUMBNAILS, keys.images[split], THUMBNAILS)
                if thumbnails is None:
                    return None
        hashes = arrays.get(f"{split}_sha256")
        found[split] = ExampleSet(split, images, labels, tuple(meta["class_names"]), thumbnails, hashes)
    return found


def read_images(keys: Keys, split: Split, store: Store) -> Pixels | None:
    """Return the images of a split, mapped, or None if they are not in the cache."""
    return store.map(IMAGES, keys.images[split], IMAGES)


def write_images(keys: Keys, split: Split, images: Blocks, store: Store) -> None:
    """Write the images of a split as they come. Raises `DataError` if the disk lacks room, or as they do."""
    refuse_beyond_disk(images.shape, store.root)
    about = f"{keys.source.name}: {split} images"
    store.write_blocks(
        IMAGES, keys.images[split], IMAGES, images.shape, images.each, about=about, dtype=np.uint8
    )


def write_labels(keys: Keys, examples: Mapping[Split, ExampleSet], store: Store) -> None:
    """Write labels, class names, and the hashes of images."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, of_split in examples.items():
        arrays[f"{split}_labels"] = of_split.labels
        if of_split.sha256 is not None:
            arrays[f"{split}_sha256"] = of_split.sha256
    class_names = next(iter(examples.values())).class_names
    about = f"{keys.source.name}: labels"
    store.write(LABELS, keys.labels, arrays, {"class_names": class_names}, about=about)


def keep_looks(keys: Keys, of_split: ExampleSet, store: Store, progress: Progress) -> Pixels:
    """Write the thumbnails of a split, where its images are larger; return the hashes, uint8 (N, 32).

    Each image is read once, in threads. Raises `StoreError` as `Store.write_blocks` does.
    """
    images, key = of_split.images, keys.images[of_split.split]
    size = thumbnail_size(*images.shape[1:3])
    is_done = size == images.shape[1:3] or store.has(THUMBNAILS, key)
    hashes = np.empty((len(images), 32), np.uint8)
    step = max(1, BLOCK_BYTES // images[0].size)

    def look(start: int) -> Pixels:
        block = images[start : start + step]
        for place, image in enumerate(block, start):
            hashes[place] = np.frombuffer(bytes.fromhex(pixel_hash(image)), np.uint8)
        small = np.empty((len(block), 0, 0, 3), np.uint8) if is_done else _shrunk(block, size)
        unmap_large(images)
        return small

    looks = in_threads(range(0, len(images), step), look, cores())
    blocks = counted(looks, len(images), f"looking at {of_split.split} images", progress)
    if is_done:
        deque(blocks, 0)  # for the hashes alone
    else:
        shape, about = (len(images), *size, 3), f"{keys.source.name}: {of_split.split} thumbnails"
        store.write_blocks(THUMBNAILS, key, THUMBNAILS, shape, blocks, about=about, dtype=np.uint8)
    return hashes


def _shrunk(images: Pixels, size: tuple[int, int]) -> Pixels:
    """Return images (b, H, W, 3) brought down to a size, (h, w)."""
    small = np.empty((len(images), *size, 3), np.uint8)
    for place, image in enumerate(images):
        shrunk = Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)
        small[place] = np.asarray(shrunk)
    return small
