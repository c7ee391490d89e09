"""The three figures of the dataset card, drawn for any source, labeled, for print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kernel_core.errors import Unavailable
from kernel_core.files import replacing
from kernel_core.findings.pairs import (
    default_rank_window,
    expand_neighbors,
    label_mismatches,
    nearest_pairs,
    random_queries,
    rank_window,
)
from kernel_core.results.results import Results
from kernel_core.spec import ADJECTIVES, Split

TILE = 128  # about the side of a tile in pixels; images are magnified by a whole number
GAP = 12  # pixels
TEXT = 26  # pixels, the height of a line of text with its spacing
DPI = 100
MISMATCH = "#b3261e"
MATCH = "#444444"


class _Canvas:
    """A figure measured in pixels from the top left, with images drawn pixel by pixel."""

    def __init__(self, width: int, height: int) -> None:
        self.height = height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")

    def image(self, x: int, y: int, image: npt.NDArray[np.uint8], scale: int) -> None:
        big = image.repeat(scale, axis=0).repeat(scale, axis=1)
        self.figure.figimage(big, x, self.height - y - len(big), origin="upper")

    def blank(self, x: int, y: int, size: tuple[int, int], lines: Sequence[str]) -> None:
        """Draw a quiet rectangle with lines of text in its middle."""
        width, height = self.figure.get_size_inches() * DPI
        corner, size_in = (x / width, 1 - (y + size[1]) / height), (size[0] / width, size[1] / height)
        shape = Rectangle(corner, *size_in, facecolor="#f0f0f0", edgecolor="#c8c8c8", linewidth=0.7)
        shape.set_transform(self.figure.transFigure)
        self.figure.add_artist(shape)
        top = y + size[1] / 2 - len(lines) * TEXT / 2
        for n, line in enumerate(lines):
            self.text(x + size[0] / 2, top + n * TEXT, line, ha="center", color=MATCH)

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        width, height = self.figure.get_size_inches() * DPI
        baseline = 1 - (y + 0.75 * TEXT) / height
        self.figure.text(x / width, baseline, text, va="baseline", fontsize=0.68 * TEXT * 72 / DPI, **style)

    def label(self, x: float, y: float, name: str, *, differs: bool) -> None:
        """Write a neighbor's label, marked if it differs from the query example's."""
        style = {"color": MISMATCH, "weight": "bold"} if differs else {"color": MATCH}
        self.text(x, y, f"≠ {_short(name)}" if differs else _short(name), **style)

    def save(self, path: Path) -> None:
        """Write the PNG whole or not at all."""
        with replacing(path) as temporary:
            self.figure.savefig(temporary, dpi=DPI, format="png")


def _draw_example(
    canvas: _Canvas, results: Results, split: Split, index: int, corner: tuple[int, int]
) -> None:
    """Draw an example's image with its top left corner at a place, or its label and index if it has none."""
    examples = results.examples[split]
    scale, width, height = _tile(results)
    if examples.has_images:
        canvas.image(*corner, examples.images[index], scale)
    else:
        canvas.blank(
            *corner, (width, height), [_short(results.class_names[examples.labels[index]]), f"{index}"]
        )


def _short(name: str) -> str:
    return name if len(name) <= 14 else name[:13] + "…"


def _tile(results: Results) -> tuple[int, int, int]:
    """Return the magnification, and the width and height of a tile in pixels."""
    if not results.has_images:
        return 1, TILE, TILE
    height, width = results.examples[results.query].images.shape[1:3]
    scale = max(1, TILE // max(height, width))
    return scale, width * scale, height * scale


def draw_pairs(results: Results, pairs: pd.DataFrame, path: Path) -> None:
    """Draw a grid of pairs with rank, value and labels, the query example on the left."""
    first, last = pairs["rank"].iloc[0], pairs["rank"].iloc[-1]
    sides = f"left: {results.query}, right: nearest {ADJECTIVES[results.database]} example"
    title = f"{results.name}: near-duplicates ranked {first}–{last} ({sides}; value of the kernel)"
    draw_pair_grids(results, {title: pairs}, path)


def draw_pair_grids(
    results: Results, grids: Mapping[str, pd.DataFrame], path: Path, columns: int = 6
) -> None:
    """Draw grids of pairs below each other in one figure. grids: by title. columns: pairs per row."""
    _scale, width, height = _tile(results)
    cell_w, cell_h = 2 * width + 3 * GAP, height + 2 * TEXT + 2 * GAP
    heights = [-(-len(pairs) // columns) * cell_h + 3 * TEXT for pairs in grids.values()]
    canvas = _Canvas(columns * cell_w + GAP, sum(heights))
    top = 0
    for (title, pairs), grid_height in zip(grids.items(), heights, strict=True):
        canvas.text(GAP, top + GAP, title)
        for n, pair in enumerate(pairs.itertuples()):
            x, y = GAP + n % columns * cell_w, top + 2 * TEXT + GAP + n // columns * cell_h
            _draw_pair(canvas, results, pair, x, y)
        top += grid_height
    canvas.save(path)


def _draw_pair(canvas: _Canvas, results: Results, pair: Any, x: int, y: int) -> None:
    """Draw one pair, a row of a ranking, with its top left corner at (x, y)."""
    _scale, width, height = _tile(results)
    _draw_example(canvas, results, results.query, pair.query_index, (x, y))
    _draw_example(canvas, results, results.database, pair.database_index, (x + width + 4, y))
    a, b = (_short(results.class_names[label]) for label in (pair.query_label, pair.database_label))
    differ = pair.query_label != pair.database_label
    canvas.text(x, y + height + 3, f"{pair.rank}   {pair.similarity:.3f}")
    labels, color, weight = (f"{a} ≠ {b}", MISMATCH, "bold") if differ else (a, MATCH, "normal")
    canvas.text(x, y + height + 3 + TEXT, labels, color=color, weight=weight)


def draw_failures(results: Results, table: pd.DataFrame, path: Path) -> None:
    """Draw one row per label mismatch: the query example, then its nearest database examples in order.

    table: of `expand_neighbors`.
    """
    _scale, width, height = _tile(results)
    count = int(table["position"].max())
    cell_w, cell_h = width + GAP, height + 2 * TEXT + GAP
    rows = len(table) // count
    left = cell_w + 2 * GAP  # the query example stands apart
    canvas = _Canvas(left + count * cell_w + GAP, rows * cell_h + 3 * TEXT)
    canvas.text(GAP, GAP, results.query)
    nearest = f"its {count} nearest {ADJECTIVES[results.database]} examples by the kernel"
    canvas.text(left + GAP, GAP, f"{results.name}: {nearest}")
    for n, row in enumerate(table.itertuples()):
        y = 2 * TEXT + GAP + n // count * cell_h
        if row.position == 1:
            _draw_example(canvas, results, results.query, row.query_index, (GAP, y))
            canvas.text(GAP, y + height + 3, _short(results.class_names[row.query_label]), weight="bold")
            canvas.text(GAP, y + height + 3 + TEXT, f"{results.query} {row.query_index}")
        x = left + GAP + (row.position - 1) * cell_w
        _draw_example(canvas, results, results.database, row.database_index, (x, y))
        name = results.class_names[row.database_label]
        canvas.label(x, y + height + 3, name, differs=row.database_label != row.query_label)
        canvas.text(x, y + height + 3 + TEXT, f"{row.similarity:.3f}")
    canvas.save(path)


def draw_random(results: Results, seed: int, path: Path, depth: int = 2) -> None:
    """Draw ten random query examples in a row, and below them their neighbors.

    depth: rows of neighbors by the kernel, and as many by penultimate features; by pixels if there are no
    features.
    """
    _scale, width, height = _tile(results)
    query, database = ADJECTIVES[results.query], ADJECTIVES[results.database]
    queries = random_queries(len(results.labels[0]), seed)
    others = [s for s in ("penultimate", "pixels") if s in results.neighbors]
    lines: list[tuple[str, str | None, int]] = [(f"{query} example", None, 0)]
    lines += [(f"{results.title_of(s)} {n + 1}", s, n) for s in ("kernel", *others[:1]) for n in range(depth)]
    left, cell_w, cell_h = 210, width + GAP, height + TEXT + GAP
    canvas = _Canvas(left + len(queries) * cell_w + GAP, len(lines) * cell_h + 3 * TEXT)
    title = f"{results.name}: random {query} examples (seed {seed}) and their nearest {database} examples"
    canvas.text(GAP, GAP, title)
    for row, (title, similarity, n) in enumerate(lines):
        y = 2 * TEXT + GAP + row * cell_h
        canvas.text(GAP, y + height / 2 - TEXT / 2, title)
        for column, index in enumerate(queries):
            x, label = left + column * cell_w, results.labels[0][index]
            if similarity is None:
                split, drawn, shown = results.query, index, label
            else:
                nearest = results.neighbors[similarity].indices[index, n]
                split, drawn, shown = results.database, nearest, results.labels[1][nearest]
            _draw_example(canvas, results, split, drawn, (x, y))
            canvas.label(x, y + height + 3, results.class_names[shown], differs=shown != label)
    canvas.save(path)


def draw_all(results: Results, out: Path, *, seed: int = 0) -> list[Path]:
    """Write the three figures to the folder `out`, created if needed, and return their paths.

    There is no failure_mode.png if every query example has the label of its nearest database example. Raises
    `RequestError` if the folder cannot be written.
    """
    kernel = results.neighbors_by("kernel")
    pairs = nearest_pairs(kernel, *results.labels)
    window = rank_window(pairs, *default_rank_window(len(pairs)))
    mismatches = label_mismatches(kernel, *results.labels).head(8)
    table = expand_neighbors(mismatches, kernel, results.labels[1], min(9, kernel.k))
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = [out / "kernel_pairs_600_650.png", out / "random_pairs.png"]
        draw_pairs(results, window, paths[0])
        draw_random(results, seed, paths[1])
        if len(table):
            paths.append(out / "failure_mode.png")
            draw_failures(results, table, paths[2])
    except OSError as error:
        raise Unavailable(
            f"Cannot write figures to {out} ({error.strerror or error}). Choose another --out."
        ) from None
    return paths
