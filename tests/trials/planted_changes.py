"""Which changes of an image does each similarity survive? Changed copies of training images are planted.

A source's training images are the database. The queries are some of its test images, and changed copies of
some training images: one for each change of `CHANGES`. Heads are trained on the training images, as for any
images without an ensemble. A copy is *found* if its original is its nearest; it is *clear* if, besides, its
value is above that of all but a hundredth of the test images with their nearest. Run as

    python -m tests.trials.planted_changes SOURCE

where it prints both shares as Markdown; the same seed gives the same numbers on one machine.
"""

import io
import os
import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd
from PIL import Image, ImageFilter

from kernel_core.explain.aligned_pixels import aligned_pixels
from kernel_core.findings.twins import CANDIDATES, Aligned, twin_scores
from kernel_core.pipeline import build
from kernel_core.sources import images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.support.planted import write_parquet

SIMILARITIES = (
    "kernel", "kernel.centred", "kernel.shift", "kernel.whitened", "kernel.centred.whitened", "patches",
    "pixels",
)  # fmt: skip
FALSE = 0.01  # share of the test images whose nearest may be above the border


def _shifted(image, _rng, part):
    reach = max(1, round(image.width * part))
    pixels = np.pad(np.asarray(image), ((reach, 0), (reach, 0), (0, 0)), mode="edge")
    return Image.fromarray(pixels[: image.height, : image.width])


def _cropped(image, _rng, part):
    rim = (1 - part) / 2
    box = rim * image.width, rim * image.height, (1 - rim) * image.width, (1 - rim) * image.height
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def _scaled(image, _rng, gains, to=0.0):
    """Multiply the colors' distance to a gray level."""
    pixels = to + (np.asarray(image, np.float64) - to) * gains
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))


def _compressed(image, _rng, quality):
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    return Image.open(packed).convert("RGB")


def _noisy(image, rng, deviation):
    pixels = np.asarray(image) + rng.normal(0, deviation, (image.height, image.width, 3))
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))


def _rescaled(image, _rng):
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR)
    return small.resize(image.size, Image.Resampling.BILINEAR)


CHANGES = {
    "none": lambda image, _: image,
    "shifted by 1/16 of the side, right and down": lambda image, rng: _shifted(image, rng, 1 / 16),
    "shifted by 1/8": lambda image, rng: _shifted(image, rng, 1 / 8),
    "mirrored": lambda image, _: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "cropped to 90% of the side, resized back": lambda image, rng: _cropped(image, rng, 0.9),
    "cropped to 75%": lambda image, rng: _cropped(image, rng, 0.75),
    "brightness × 0.6": lambda image, rng: _scaled(image, rng, 0.6),
    "contrast × 0.5": lambda image, rng: _scaled(image, rng, 0.5, to=128),
    "red × 1.2, blue × 0.8": lambda image, rng: _scaled(image, rng, (1.2, 1.0, 0.8)),
    "gray": lambda image, _: image.convert("L").convert("RGB"),
    "JPEG of quality 50": lambda image, rng: _compressed(image, rng, 50),
    "JPEG of quality 10": lambda image, rng: _compressed(image, rng, 10),
    "noise of 10 levels": lambda image, rng: _noisy(image, rng, 10),
    "noise of 30 levels": lambda image, rng: _noisy(image, rng, 30),
    "blurred by 1/32 of the side": lambda image, _: image.filter(ImageFilter.GaussianBlur(image.width / 32)),
    "half the size and back": _rescaled,
}
"""A change → a function of an image and of random numbers."""


def plant(source, folder, *, train, test, originals, seed=0):
    """Write a source of images alone into `folder`: training images, test images, then copies by change.

    source: whose images. train, test: how many to take, the first. originals: number of training images that
    are copied. Returns the originals' indices.
    """
    of = images.load_splits(open_source(SourceRequest(source)).images)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(min(train, len(of["train"])))[:originals])
    copies = [
        np.asarray(change(Image.fromarray(of["train"].images[i]), rng))
        for change in CHANGES.values()
        for i in chosen
    ]
    labels = np.concatenate([of["test"].labels[:test], np.tile(of["train"].labels[chosen], len(CHANGES))])
    names = of["train"].class_names
    write_parquet(folder / "train.parquet", of["train"].images[:train], of["train"].labels[:train], names)
    write_parquet(folder / "test.parquet", np.concatenate([of["test"].images[:test], copies]), labels, names)
    return chosen


def nearest_by_all(results):
    """Return, by what ranks, the nearest of each query and its value: two arrays (n,) each."""
    found = {}
    for name, neighbors in results.neighbors.items():
        found[name] = neighbors.indices[:, 0], neighbors.values[:, 0]
    shown = {split: of_split.images for split, of_split in results.examples.items()}
    for name, title in (("kernel", "twin score"), ("kernel.centred.whitened", "twin score, whitened")):
        neighbors = results.neighbors[name]
        candidates = neighbors.indices[:, :CANDIDATES]
        px = aligned_pixels(shown["test"], shown["train"], candidates)
        if name == "kernel":
            found["aligned pixels"] = _best(candidates, px)  # of the kernel's ten
        scores = twin_scores(neighbors, Aligned(neighbors.spec, px))
        found[title] = _best(candidates, scores)
    return found


def _best(candidates, scores):
    best = scores.argmax(1)[:, None]
    return tuple(np.take_along_axis(of, best, 1)[:, 0] for of in (candidates, scores))


def shares(results, chosen, test):
    """Return the shares found and the shares clear: two tables with a row per change, in percent.

    chosen, test: the originals, and the number of test images before the copies.
    """
    found, clear = pd.DataFrame(index=list(CHANGES)), pd.DataFrame(index=list(CHANGES))
    for name, (nearest, values) in nearest_by_all(results).items():
        border = -np.sort(-values[:test])[max(1, round(FALSE * test)) - 1]
        is_found = (nearest[test:] == np.tile(chosen, len(CHANGES))).reshape(len(CHANGES), -1)
        is_clear = is_found & (values[test:] > border).reshape(len(CHANGES), -1)
        found[name], clear[name] = 100 * is_found.mean(1), 100 * is_clear.mean(1)
    return found, clear


def markdown(table):
    """Return a table of percentages as Markdown."""
    head = ["change", *table], ["---", *["--:"] * len(table.columns)]
    rows = [[change, *(f"{share:.0f}" for share in of_change)] for change, *of_change in table.itertuples()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (*head, *rows))


@click.command()
@click.argument("source", default="digits")
@click.option("--train", default=10_000, show_default=True, help="Training images, the first.")
@click.option("--test", default=2_000, show_default=True, help="Test images, the first.")
@click.option("--originals", default=100, show_default=True, help="Training images that are copied.")
@click.option("--runs", default=128, show_default=True, help="Heads that are trained.")
@click.option("--seed", default=0, show_default=True)
def main(source, train, test, originals, runs, seed):
    """Plant changed copies of training images of SOURCE, and print which are found by what."""
    with tempfile.TemporaryDirectory(prefix="planted-changes-") as folder:
        chosen = plant(source, Path(folder), train=train, test=test, originals=originals, seed=seed)
        os.environ["KERNEL_EXPLORER_CACHE"] = str(Path(folder) / "cache")
        results = build(SourceRequest(folder, run_count=runs, similarities=SIMILARITIES))
        unplanted = len(results.examples["test"]) - len(chosen) * len(CHANGES)
        for table in shares(results, chosen, unplanted):
            click.echo(markdown(table) + "\n")


if __name__ == "__main__":
    main()
