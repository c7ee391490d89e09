"""Many encoded images → pixels, block by block and in threads, so that memory does not grow with them."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from kernel_core.errors import DataError, StoreError
from kernel_core.files import cache_root
from kernel_core.progress import Progress
from kernel_core.sources.decode import Pixels, decode_image, quiet

Cell = tuple[str, bytes | Path]
"""What to call an image, and the image, encoded, or its file."""
T = TypeVar("T")
BLOCK_BYTES = 4_000_000  # of a block, decoded or encoded; two such blocks per thread are held
BLOCK = 500  # images of a block, at most
THREADS_FROM = 10_000  # numbers in an image; smaller ones take longer in threads, which wait for each other
HELD = 256_000_000  # bytes of images that are held in memory where there is no entry to map


@dataclass(frozen=True, eq=False)
class Blocks:
    """The images of a split, block by block: uint8 (b, H, W, 3), in order, to be taken once.

    shape: of all, (N, H, W, 3). whole: all of them, where they are in memory anyhow.
    """

    shape: tuple[int, int, int, int]
    each: Iterator[Pixels]
    whole: Pixels | None = None


def of_array(images: Pixels) -> Blocks:
    """Return images that are in memory, (N, H, W, 3), in blocks."""
    count, height, width, channels = images.shape
    step = max(1, BLOCK_BYTES // max(1, height * width * channels))
    starts = range(0, count, step)
    blocks = (images[start : start + step] for start in starts)
    return Blocks((count, height, width, channels), blocks, images)


def decode_blocks(
    cells: Iterable[Cell],
    total: int,
    step: str,
    size: int | None,
    progress: Progress,
    *,
    threads: int | None = None,
) -> Blocks:
    """Return encoded images as blocks, decoded while they are taken; the first image tells the shape.

    cells: `total` of them. step: what to call this in progress and errors. size: as `decode_image` takes it.
    threads: None for as many as there are cores; the pixels do not depend on it. Raises `DataError` if an
    image cannot be read, if their sizes differ, or if there are none; the first such image is named.
    """
    cells = iter(cells)
    first = next(cells, None)
    if first is None:
        raise DataError(f"{step}: found no images; expected at least one.")
    first_image = decode_image(first[1], first[0], size)
    shape = first_image.shape

    def decode(block: list[Cell]) -> Pixels:
        pixels = np.empty((len(block), *shape), np.uint8)
        with quiet():
            for place, cell in enumerate(block):
                image = first_image if cell is first else decode_image(cell[1], cell[0], size)
                refuse_other_size(cell[0], image.shape, shape)
                pixels[place] = image
        return pixels

    groups = _groups(itertools.chain([first], cells), int(np.prod(shape)))
    threads = threads or (cores() if _is_worth_threads(first[1], shape) else 1)
    height, width, channels = shape
    blocks = counted(in_threads(groups, decode, threads), total, step, progress)
    return Blocks((total, height, width, channels), blocks)


def refuse_other_size(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise `DataError` if an image has another shape, (H, W, 3), than those before it."""
    if found != expected:
        raise DataError(
            f"{name} is {found[1]}×{found[0]} pixels, the images before it {expected[1]}×{expected[0]}; "
            "expected one size. Set one in the source's [images], as in size = 32, or resize the images."
        )


def _is_worth_threads(data: bytes | Path, shape: tuple[int, ...]) -> bool:
    """Return whether an image takes so long that threads, of which one runs Python, gain something."""
    encoded = len(data) if isinstance(data, bytes) else os.path.getsize(data)
    return max(encoded, int(np.prod(shape))) >= THREADS_FROM


def cores() -> int:
    """Return how many cores this process may use, as the system says; torch is not asked, nor loaded."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(cells: Iterable[Cell], nbytes: int) -> Iterator[list[Cell]]:
    """Yield cells in lists of about `BLOCK_BYTES`; nbytes: of a decoded image."""
    group: list[Cell] = []
    decoded = encoded = 0
    for cell in cells:
        group.append(cell)
        decoded += nbytes
        encoded += len(cell[1]) if isinstance(cell[1], bytes) else 0
        if len(group) >= BLOCK or max(decoded, encoded) >= BLOCK_BYTES:
            yield group
            group, decoded, encoded = [], 0, 0
    if group:
        yield group


def in_threads(items: Iterable[T], work: Callable[[T], Pixels], threads: int) -> Iterator[Pixels]:
    """Yield what becomes of each item, in order, computed a few items ahead of the one that is taken."""
    if threads == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Pixels]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="images") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def counted(blocks: Iterable[Pixels], total: int, step: str, progress: Progress) -> Iterator[Pixels]:
    """Yield blocks, and report the progress as they are taken. step: what to call it."""
    done = 0
    for block in blocks:
        done += len(block)
        yield block
        progress(step, done, total)


def gathered(blocks: Blocks) -> Pixels:
    """Return all images, uint8 (N, H, W, 3): in memory, or many as a read-only map of a file without a name.

    That file is in the cache folder, and is gone when the array is. Raises `DataError` if the disk lacks room
    for it, and `StoreError` if it cannot be written.
    """
    if blocks.whole is not None:
        return blocks.whole
    if np.prod(blocks.shape) <= HELD:
        images, filled = np.empty(blocks.shape, np.uint8), 0
        for block in blocks.each:
            images[filled : filled + len(block)] = block
            filled += len(block)
        return images
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        refuse_beyond_disk(blocks.shape, root)
        with tempfile.TemporaryFile(dir=root) as file:
            for block in blocks.each:
                file.write(np.ascontiguousarray(block).data)
            file.flush()
            return np.memmap(file, np.uint8, "r", shape=blocks.shape)
    except OSError as error:
        raise StoreError(
            f"Cannot write {blocks.shape[0]:,} decoded images to {root} ({error.strerror or error}). Free "
            "some space, or set KERNEL_EXPLORER_CACHE to a folder that can be written."
        ) from None


def refuse_beyond_disk(shape: tuple[int, ...], folder: Path, copies: int = 1) -> None:
    """Raise `DataError` if images, uint8 (N, H, W, 3), take more than is free where a folder will be.

    copies: how many times they will be there for a while. Where it is not known what is free, nothing is
    refused.
    """
    there = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    free = shutil.disk_usage(there).free if there else float("inf")
    needed = copies * float(np.prod(shape, dtype=np.float64))
    if needed > free:
        often = ", kept twice for a while," if copies > 1 else ""
        raise DataError(
            f"{shape[0]:,} images of {shape[2]}×{shape[1]} pixels{often} take {needed / 1e9:,.1f} GB, "
            f"more than the {free / 1e9:,.1f} GB free in {folder}. Set a smaller size in the source's "
            "[images], as in size = 32, or KERNEL_EXPLORER_CACHE to a folder with more room."
        )
