"""One encoded image → pixels: decoded, turned upright, resized."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from kernel_core.errors import DataError
from kernel_core.looks_like import foreign

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


class _Quiet(contextlib.AbstractContextManager[None]):
    """Hold Pillow's warnings back, in every thread from the first that enters until the last has left.

    `warnings.catch_warnings` alone would not do: two threads would restore each other's filters.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._filters = threading.Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            self._filters = warnings.catch_warnings()
            self._filters.__enter__()
            # Pillow warns of odd metadata and palettes, image by image; what matters is an error here.
            warnings.simplefilter("ignore")
            # Pillow only warns of such an image; 600 KB of PNG can take 800 MB of memory.
            warnings.simplefilter("error", Image.DecompressionBombWarning)

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_QUIET = _Quiet()


def quiet() -> _Quiet:
    """Return the context in which Pillow does not warn: images are refused, or decoded in silence."""
    return _QUIET


@contextlib.contextmanager
def _said_in_a_line(data: bytes | Path, name: str) -> Iterator[None]:
    """Turn every error of reading an image into one line."""
    try:
        with quiet():
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


def memory_here(cgroup: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Return the machine's bytes of memory, or those of this process's container; 0 if they are not known."""
    if not hasattr(os, "sysconf"):
        return 0  # Windows
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # without a limit, the file says "max"
        return min(memory, int(cgroup.read_text()))
    return memory
