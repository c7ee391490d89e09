"""Tables of examples as a notebook gives them, with names, and draws them, with images."""

from __future__ import annotations

import base64
import html
import io

import pandas as pd
from PIL import Image

from kernel_core.findings.pairs import with_class_names
from kernel_core.results.results import Results
from kernel_core.spec import example_name, parse_example

SHOWN = 48  # pixels a side that an image in a notebook is at least magnified to


def readable(table: pd.DataFrame, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return a table of examples or pairs with their names after the rank, class names after all others."""
    named = with_class_names(table, class_names)
    examples = {
        side: [
            example_name(split, i)
            for split, i in zip(table[f"{side}_split"], table[f"{side}_index"], strict=True)
        ]
        for side in ("query", "database")
        if f"{side}_split" in table
    }
    columns = [column for column in named if not column.endswith(("_split", "_index"))]
    columns[1:1] = examples
    return named.assign(**examples)[columns].reset_index(drop=True)


class Shown:
    """A table whose examples a notebook shows as images."""

    def __init__(self, results: Results, table: pd.DataFrame) -> None:
        self.results, self.table = results, table

    def __repr__(self) -> str:
        return str(self.table.to_string(index=False))

    def _repr_html_(self) -> str:
        """The table as HTML, each example's image above its name, or its label if it has no image."""
        shown = self.table.copy()
        for column in {"example", "query", "database"} & set(shown.columns):
            shown[column] = [self._figure(example) for example in shown[column]]
        for column in {"class_name", "query_class", "database_class"} & set(shown.columns):
            shown[column] = shown[column].map(html.escape)
        return str(shown.to_html(index=False, escape=False, float_format="{:.3f}".format))

    def _figure(self, example: str) -> str:
        results = self.results
        split, index = parse_example(example, results.example_counts)
        if not results.has_images:
            return f"{html.escape(results.class_names[results.examples[split].labels[index]])}<br>{example}"
        image, file = Image.fromarray(results.examples[split].small[index]), io.BytesIO()
        image.save(file, "PNG")
        scale = max(1, -(-SHOWN // max(image.size)))
        width, height = (side * scale for side in image.size)
        data = base64.b64encode(file.getvalue()).decode()
        return (
            f'<img alt="{example}" width="{width}" height="{height}" style="image-rendering: pixelated" '
            f'src="data:image/png;base64,{data}"><br>{example}'
        )
