"""Images as data URIs: small ones for tiles, and each as it is for the pages that show it large."""

from __future__ import annotations

import base64
import functools
import io
from typing import Any

from PIL import Image

from kernel_core.records import ExampleSet
from kernel_core.results.example_entries import SIDE
from kernel_core.spec import Split
from pages.ui import load

QUALITY = 85  # of WebP with loss, for thumbnails alone: 2 to 3 kB, where PNG takes 16 to 19


def is_reduced(image: tuple[int, int]) -> bool:
    """Return whether tiles show thumbnails of images of this height and width."""
    return max(image) > SIDE


@functools.lru_cache(maxsize=4_000)  # 2 to 4 kB each; images of 96 pixels 25
def tile(results_id: str, split: Split, index: int) -> str:
    """Return an image of at most `SIDE` pixels, which the browser magnifies; empty if there is none.

    Larger images are those of the thumbnails, as WebP; others are as they are, as PNG.
    """
    examples = load.by_id[results_id].examples[split]
    if examples.thumbnails is None:
        return _png(examples, index)
    return _encoded(examples.thumbnails[index], "WEBP", quality=QUALITY, method=1)


@functools.lru_cache(maxsize=64)  # 160 kB each at 224 pixels
def whole(results_id: str, split: Split, index: int) -> str:
    """Return an image as a PNG in its own size, every pixel as it is; empty if there is none."""
    return _png(load.by_id[results_id].examples[split], index)


def _png(examples: ExampleSet, index: int) -> str:
    return _encoded(examples.images[index], "PNG", compress_level=1) if examples.has_images else ""


def _encoded(pixels: Any, form: str, **how: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **how)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
