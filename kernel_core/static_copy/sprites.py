"""Sheets of many small images: one request for a page of tiles, and half the bytes of single PNG files.

Measured on CIFAR-10 (32×32), per image: 2,304 bytes as a PNG of its own, 2,201 in a sheet of 256 as PNG,
1,470 as lossless WebP, which is decoded as fast (9 ms per sheet). WebP with loss has 414 bytes, but then a
difference shows what the encoder did; only larger images are stored so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from kernel_core.progress import Progress, no_progress
from kernel_core.static_copy.numbered import Numbered

LOSSLESS = 64  # pixels; images up to this side are stored exactly
LARGEST = 256  # pixels; larger images are scaled down to this side
SHEET = 1_024  # pixels of a sheet's side, at most
ACROSS = 16  # images in a row of a sheet, at most
QUALITY = 85  # of WebP with loss


@dataclass(frozen=True)
class Sheets:
    """How images are laid out: sheet i // (across²), row by row.

    width, height: pixels of an image as stored. across: images in a row, and rows. scaled: whether images are
    smaller than they were. exact: whether pixels are as they were.
    """

    width: int
    height: int
    across: int
    scaled: bool
    exact: bool

    @property
    def per_sheet(self) -> int:
        """Number of images in a sheet."""
        return self.across**2


def plan_sheets(height: int, width: int) -> Sheets:
    """Return how images of a size are laid out.

    >>> plan_sheets(32, 32).across, plan_sheets(512, 256).width, plan_sheets(512, 256).across
    (16, 128, 4)
    """
    side = max(height, width)
    shrink = min(1.0, LARGEST / side)
    width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    across = max(1, min(ACROSS, SHEET // max(width, height)))
    return Sheets(width, height, across, shrink < 1, side <= LOSSLESS)


def write_sheets(numbered: Numbered, folder: Path, progress: Progress = no_progress) -> Sheets:
    """Write the images of all examples to `0.webp`, `1.webp`, … in a new folder. Raises `OSError`."""
    first = next(iter(numbered.examples.values())).images
    sheets = plan_sheets(*first.shape[1:3])
    folder.mkdir()
    begins = range(0, len(numbered.listed), sheets.per_sheet)
    for number, begin in enumerate(begins):
        progress("writing images", number, len(begins))
        sheet = _sheet(numbered, range(len(numbered.listed))[begin : begin + sheets.per_sheet], sheets)
        how = {"lossless": True, "method": 4} if sheets.exact else {"quality": QUALITY, "method": 4}
        sheet.save(folder / f"{number}.webp", "WEBP", **how)
    progress("writing images", len(begins), max(1, len(begins)))
    return sheets


def _sheet(numbered: Numbered, numbers: Sequence[int], sheets: Sheets) -> Image.Image:
    rows = -(-len(numbers) // sheets.across)
    across = min(len(numbers), sheets.across) if rows == 1 else sheets.across
    sheet = Image.new("RGB", (across * sheets.width, rows * sheets.height))
    for place, number in enumerate(numbers):
        split, index = numbered.listed[number]
        image = Image.fromarray(numbered.examples[split].images[index])
        if image.size != (sheets.width, sheets.height):
            image = image.resize((sheets.width, sheets.height), Image.Resampling.LANCZOS)
        row, column = divmod(place, sheets.across)
        sheet.paste(image, (column * sheets.width, row * sheets.height))
    return sheet
