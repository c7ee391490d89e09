"""Compare two images in the browser, without the server: flip, fade, or subtract them; or show two labels."""

from __future__ import annotations

from typing import Any

from kernel_core.explain.image_alignment import Alignment
from kernel_core.results.results import Results
from kernel_core.spec import Split, example_name
from pages.ui import links, look, pictures
from pages.ui.components.component import component
from pages.ui.components.gallery import Cell, gallery, tile, tile_size
from pages.ui.links import Example

LABEL_SIDE = 160  # pixels of a tile that shows a label
ALIKE = 0.8  # correlation from which a pair opens with the difference
CLEARLY = 0.05  # more correlation than without the alignment
VISIBLE = 40  # mean of the amplified difference, of 255, at most


def show_pair(
    results: Results, a: Example, b: Example, plain: Alignment, best: Alignment, *, target: int = 256
) -> None:
    """Show the canvas that lays one image over the other, and both beside it.

    plain, best: how alike they are without an alignment of b on a, and with the one that the "align" box
    applies. target: pixels that the longer side is magnified or shrunk to.
    """
    height, width = results.examples[results.query].images.shape[1:3]
    shown = tile_size((height, width), target)
    data: dict[str, Any] = {
        "a": _side(results, *a), "b": _side(results, *b), "size": [width, height],
        "width": shown[0], "height": shown[1], "rendering": look.rendering(shown[2]),
        "aligned": "align: " + describe(best),
        "align": {"dx": best.dx, "dy": best.dy, "mirrored": best.mirrored} if moves(best) else None,
        "start": start(plain, best),
    }  # fmt: skip
    component("compare")(key="compare", data=data)


def start(plain: Alignment, best: Alignment) -> dict[str, str | int | bool]:
    """Return what a pair opens with: the difference of images that are much alike, else an overlay.

    The difference of other images is noise. It is amplified until it can be seen, and aligned where that
    makes the images clearly more alike.

    >>> start(Alignment(0, 0, False, 0.9, 12.0, 0.1), Alignment(1, 0, False, 0.99, 3.0, 0.5))
    {'mode': 'absolute', 'amplify': 8, 'aligned': True}
    """
    aligned = best.correlation - plain.correlation > CLEARLY
    shown = best if aligned else plain
    alike = shown.correlation >= ALIKE
    bright = [times for times in (8, 4, 2) if alike and times * shown.difference <= VISIBLE]
    return {"mode": "absolute" if alike else "overlay", "amplify": (*bright, 1)[0], "aligned": aligned}


def show_labels(results: Results, a: Example, b: Example) -> None:
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


def describe(best: Alignment) -> str:
    """Say in words what an alignment does to B."""
    if not moves(best):
        return "no small shift or mirroring of B makes them more alike"
    words = ["mirrored"] if best.mirrored else []
    words += [f"{abs(best.dx)} px {'right' if best.dx > 0 else 'left'}"] if best.dx else []
    words += [f"{abs(best.dy)} px {'down' if best.dy > 0 else 'up'}"] if best.dy else []
    return f"B {', '.join(words)}"


def _side(results: Results, split: Split, index: int) -> dict[str, str]:
    label = results.class_names[results.examples[split].labels[index]]
    name = example_name(split, index)
    return {
        "src": pictures.whole(results.id, split, index), "name": name, "label": label,
        "href": links.example_href(name), "alt": f"{split} example {index}, label {label}",
    }  # fmt: skip
