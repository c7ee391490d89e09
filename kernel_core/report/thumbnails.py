"""Examples as small pictures within an HTML file."""

from __future__ import annotations

import base64
import io

from PIL import Image

from kernel_core.results.results import Results
from kernel_core.spec import parse_example

SIDE = 96  # pixels a side that a picture is at most, or about magnified to


def data_uri(results: Results, name: str) -> str:
    """Return an example's image as a data URI. name: as test:12. Raises `RequestError` for another name."""
    split, index = parse_example(name, results.example_counts)
    image, file = Image.fromarray(results.examples[split].small[index]), io.BytesIO()
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE))
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
