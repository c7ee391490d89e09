"""Encoded images → pixels: one image decoded and resized, many stacked into one array."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from kernel_core.errors import DataError
from kernel_core.looks_like import foreign
from kernel_core.progress import Progress

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # none that runs a program, as EPS does

Pixels = npt.NDArray[np.uint8]


def decode_image(data: bytes | Path, name: str, size: int | None = None) -> Pixels:
    """Return one image as uint8 (H, W, 3), RGB.

    data: the encoded bytes, or a file that holds them. name: what to call the image in an error.
    size: side in pixels of the square that the image is cropped and resized to; None to keep its size.
    Raises `DataError` if the image cannot be read or is huge.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns of such an image; 600 KB of PNG can take 800 MB of memory.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=FORMATS) as image:
                return np.asarray(resized(image, size))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is too large to be an example ({error}); expected a small image.") from None
    except Exception as error:  # noqa: BLE001 (a malformed image can raise anything)
        raise DataError(
            foreign(data, name, "an image file", "image")
            or f"{name} cannot be read as an image ({error}); replace it with a complete image file."
        ) from None


def resized(image: Image.Image, size: int | None) -> Image.Image:
    """Return the image in RGB; with a size, its central square scaled to size × size pixels."""
    if size is None:
        return image.convert("RGB")
    # Lets the JPEG decoder skip detail that the small image would not show.
    image.draft("RGB", (2 * size, 2 * size))
    return ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)


def stack_images(
    images: Iterable[tuple[str, bytes | Path]], total: int, step: str, size: int | None, progress: Progress
) -> Pixels:
    """Decode images into one array, uint8 (total, H, W, 3).

    images: name and encoded image, `total` of them. step: what to call this in progress and errors.
    size: as `decode_image` takes it. Raises `DataError` if an image cannot be read, if their sizes differ, or
    if there are none.
    """
    stacked: Pixels | None = None
    for i, (name, data) in enumerate(images):
        image = decode_image(data, name, size)
        if stacked is None:
            _refuse_too_many(total, image)
            stacked = np.empty((total, *image.shape), np.uint8)
        if image.shape != stacked.shape[1:]:
            height, width = stacked.shape[1:3]
            raise DataError(
                f"{name} is {image.shape[1]}×{image.shape[0]} pixels, the images before it {width}×{height}; "
                "expected one size. Set one in the source's [images], as in size = 32, or resize the images."
            )
        stacked[i] = image
        if i % 500 == 499 or i + 1 == total:
            progress(step, i + 1, total)
    if stacked is None:
        raise DataError(f"{step}: found no images; expected at least one.")
    return stacked


def _refuse_too_many(count: int, image: Pixels) -> None:
    """Raise `DataError` if that many images of this size do not fit into the machine's memory."""
    if not hasattr(os, "sysconf"):
        return  # Windows
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if count * image.nbytes > memory:
        height, width = image.shape[:2]
        raise DataError(
            f"{count:,} images of {width}×{height} pixels take {count * image.nbytes / 1e9:,.0f} GB, more "
            f"than the {memory / 1e9:,.0f} GB of memory here. Set a smaller size in the source's [images], "
            "as in size = 32."
        )
