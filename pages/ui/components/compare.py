"""Compare two images in the browser, without the server: flip, fade, or subtract them; or show two labels."""

from __future__ import annotations

from typing import Any

from kernel_core.explain.image_alignment import Alignment
from kernel_core.results.results import Results
from kernel_core.spec import Split, example_name
from pages.ui import links, load
from pages.ui.components.component import component
from pages.ui.components.gallery import Cell, gallery, tile, tile_size

LABEL_SIDE = 160  # pixels of a tile that shows a label


def show_pair(
    results: Results, a: tuple[Split, int], b: tuple[Split, int], best: Alignment | None, target: int = 256
) -> None:
    """Show both images as links to their pages, and the canvas that lays one over the other.

    best: the alignment of b on a that the "align" box applies; None if the images cannot be aligned.
    target: pixels that the longer side is magnified or shrunk to.
    """
    height, width = results.examples[results.query].images.shape[1:3]
    shown = tile_size((height, width), target)
    data: dict[str, Any] = {
        "a": _side(results, *a), "b": _side(results, *b), "size": [width, height],
        "width": shown[0], "height": shown[1], "rendering": shown[2], "aligned": "align: " + describe(best),
        "align": {"dx": best.dx, "dy": best.dy, "mirrored": best.mirrored} if best and moves(best) else None,
    }  # fmt: skip
    component("compare")(key="compare", data=data)


def show_labels(results: Results, a: tuple[Split, int], b: tuple[Split, int]) -> None:
    """Show two examples that have no images as tiles, which are links to their pages."""
    tiles = [
        tile(results, *example, note=f"{side}: {example_name(*example)}")
        for side, example in (("A", a), ("B", b))
    ]
    cell: Cell = {"id": 0, "head": "", "groups": [{"title": "", "tiles": tiles}]}
    gallery(results, [cell], layout="rows", key="two_labels", label="the two examples", px=LABEL_SIDE)


def moves(best: Alignment) -> bool:
    """Tell whether an alignment changes anything."""
    return best.mirrored or (best.dx, best.dy) != (0, 0)


def describe(best: Alignment | None) -> str:
    """Say in words what an alignment does to B."""
    if best is None or not moves(best):
        return "no small shift or mirroring of B makes them more alike"
    words = ["mirrored"] if best.mirrored else []
    words += [f"{abs(best.dx)} px {'right' if best.dx > 0 else 'left'}"] if best.dx else []
    words += [f"{abs(best.dy)} px {'down' if best.dy > 0 else 'up'}"] if best.dy else []
    return f"B {', '.join(words)}"


def _side(results: Results, split: Split, index: int) -> dict[str, str]:
    label = results.class_names[results.examples[split].labels[index]]
    name = example_name(split, index)
    return {
        "src": load.tile(results.id, split, index), "name": name, "label": label,
        "href": links.example_href(name), "alt": f"{split} example {index}, label {label}",
    }  # fmt: skip
