"""Encoded images → pixels: one image decoded and resized, many stacked into one array."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from kernel_core.errors import DataError
from kernel_core.looks_like import foreign
from kernel_core.progress import Progress

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # none that runs a program, as EPS does

JPEG = b"\xff\xd8\xff"  # first bytes
SIXTEEN_BIT = ("PNG", "PPM")  # formats whose mode I is 16-bit gray
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation in EXIF data → how to turn the pixels upright."""
ON_THEIR_SIDE = [turn for orientation, turn in TURNS.items() if orientation >= 5]

Pixels = npt.NDArray[np.uint8]


def decode_image(data: bytes | Path, name: str, size: int | None = None) -> Pixels:
    """Return one image as uint8 (H, W, 3), RGB, turned as its EXIF data say; of several frames, the first.

    16-bit gray is divided by 256; transparency is laid on white.
    data: the encoded bytes, or a file that holds them. name: what to call the image in an error.
    size: side in pixels of the square that the image is cropped and resized to; None to keep its size.
    Raises `DataError` if the image cannot be read, is huge, or has other pixels than these.
    """
    with _said_in_a_line(data, name), _opened(data, shrink=size is not None) as image:
        return np.asarray(resized(image, size))


def size_of(data: bytes | Path, name: str) -> tuple[int, int]:
    """Return width and height in pixels that `decode_image` gives an image; its pixels are not decoded.

    data, name: as there. Raises `DataError` if the beginning of the image cannot be read.
    """
    with _said_in_a_line(data, name), _opened(data, shrink=True) as image:
        # TIFF is turned when it is opened. Of other formats, only EXIF data before the pixels are known yet.
        turn = TURNS.get(_orientation(image)) if "exif" in image.info and image.format != "TIFF" else None
        return (image.height, image.width) if turn in ON_THEIR_SIDE else image.size


@contextlib.contextmanager
def _said_in_a_line(data: bytes | Path, name: str) -> Iterator[None]:
    """Turn every error of reading an image into one line."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and palettes, image by image; what matters is an error here.
            warnings.simplefilter("ignore")
            # Pillow only warns of such an image; 600 KB of PNG can take 800 MB of memory.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{name} is too large to be an example ({error}); expected a small image. Make it smaller."
        ) from None
    except Exception as error:  # noqa: BLE001 (a malformed image can raise anything)
        raise DataError(
            foreign(data, name, "an image file", "image")
            or f"{name} cannot be read as an image ({error}); replace it with a complete image file."
        ) from None


def _opened(data: bytes | Path, *, shrink: bool) -> Image.Image:
    """Return the image with only its header read. shrink: whether a JPEG may be of any size."""
    if shrink and _first_bytes(data) == JPEG:
        return JpegImageFile(io.BytesIO(data) if isinstance(data, bytes) else data)
    return Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=FORMATS)


def _first_bytes(data: bytes | Path) -> bytes:
    if isinstance(data, bytes):
        return data[: len(JPEG)]
    with open(data, "rb") as file:
        return file.read(len(JPEG))


def resized(image: Image.Image, size: int | None) -> Image.Image:
    """Return the image in RGB; with a size, its central square scaled to size × size pixels."""
    if size is not None:
        # Lets the JPEG decoder skip detail that the small image would not show.
        image.draft("RGB", (2 * size, 2 * size))
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or 0):
            raise Image.DecompressionBombError(f"{image.width}×{image.height} pixels")
    image.load()  # some formats turn the image themselves, and then forget its orientation
    image = _in_rgb(_upright(image))
    return image if size is None else ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)


def _upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its EXIF data say. Malformed EXIF data say nothing."""
    turn = TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> Any:
    """Return what an image's EXIF data say of its orientation. Malformed EXIF data say nothing."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (malformed metadata can raise anything)
        return None


def _in_rgb(image: Image.Image) -> Image.Image:
    """Return the image in 8-bit RGB. Raises `ValueError` if its numbers have no known scale."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in SIXTEEN_BIT):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        kind = "32-bit whole" if image.mode == "I" else "floating-point"
        raise ValueError(f"its pixels are {kind} numbers; expected 8 or 16 bits. Scale them to 8 bits")
    if "transparency" not in image.info and image.mode not in WITH_ALPHA:
        return image.convert("RGB")
    colors = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colors.size, "white"), colors).convert("RGB")


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
            refuse_too_many(total, image)
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


def refuse_too_many(count: int, image: Pixels) -> None:
    """Raise `DataError` if that many images of this size do not fit into the memory that there is."""
    memory = memory_here()
    if memory and count * image.nbytes > memory:
        height, width = image.shape[:2]
        raise DataError(
            f"{count:,} images of {width}×{height} pixels take {count * image.nbytes / 1e9:,.0f} GB, more "
            f"than the {memory / 1e9:,.0f} GB of memory here. Set a smaller size in the source's [images], "
            "as in size = 32."
        )


def memory_here(cgroup: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Return the machine's bytes of memory, or those of this process's container; 0 if they are not known."""
    if not hasattr(os, "sysconf"):
        return 0  # Windows
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # without a limit, the file says "max"
        return min(memory, int(cgroup.read_text()))
    return memory
