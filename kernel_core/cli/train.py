"""The verb `train`: an ensemble of one's own, trained here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from kernel_core.errors import RequestError
from kernel_core.progress import ProgressBars
from kernel_core.recipes import CIFAR10, CIFAR10_SMALL, IMAGES, RECIPES, Training
from kernel_core.sources.catalog import find_images

SIZES = ("32", "64")


@click.command("train")
@click.argument("recipe", type=click.Choice([*RECIPES, "imagefolder"]))
@click.argument("path", required=False)
@click.option("--runs", type=int, required=True, help="How many networks; more can be added later.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the ensemble.")
@click.option(
    "--images",
    help="A torchvision name, a folder with train/<class>/ and test/<class>/, one with train*.parquet and "
    "test*.parquet, or a source.toml for its images.  [default: CIFAR10 by torchvision; the digits for digits]",
)
@click.option(
    "--size",
    type=click.Choice(SIZES),
    help="Pixels a side that images are resized to.  [default: 32 for imagefolder]",
)
@click.option("--epochs", type=click.IntRange(1), help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="One seed, one ensemble.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--workers", type=int, help="Processes on a CPU, one thread each.  [default: one a core]")
def train(
    recipe: str, path: str | None, runs: int, out: Path, images: str | None, size: str | None,
    epochs: int | None, seed: int, device: str, workers: int | None,
) -> None:  # fmt: skip
    """Train RECIPE many times; DIR becomes a source: logits of every run, penultimate features of run 0.

    cifar10: a small CNN for a GPU. cifar10-small: one for a laptop's cores. digits: the embedded default's.
    imagefolder PATH: one of the two CNNs, on your own images. Stopped or killed, the same command goes on.

    \b
    Example:  kernel-explorer train cifar10-small --runs 8 --out my-ensemble
    """
    if (recipe == "imagefolder") != (path is not None):
        raise RequestError(
            "PATH goes with imagefolder, and imagefolder needs it: train imagefolder PATH --runs 8 --out DIR."
        )
    from kernel_core.machine import choose_device  # torch takes seconds to load
    from kernel_core.networks.training import Order, train_folder

    where = choose_device(device).type
    network = RECIPES.get(recipe, CIFAR10 if where == "cuda" else CIFAR10_SMALL)
    chosen = replace(network, epochs=epochs) if epochs else network
    source = find_images(path or images or IMAGES[recipe], Path.cwd())
    if size or path:
        source = replace(source, size=int(size or SIZES[0]))
    order = Order(recipe, Training(chosen, runs, seed), source, out, where, workers)
    with ProgressBars() as bars:
        try:
            trained = train_folder(order, progress=bars, finished=_told(bars))
        except KeyboardInterrupt:
            bars.say("stopped; the finished runs are kept, and the same command goes on from them")
            sys.exit(130)
    gone = "".join(f"; run {run} was dropped: {why}" for run, why in sorted(trained.dropped.items()))
    click.echo(f"{len(trained.run_numbers):,} runs are in {out}{gone}")
    click.echo(f"next:  kernel-explorer serve {trained.source}")


def _told(bars: ProgressBars) -> Callable[[tuple[int, float | str]], None]:
    """What says of each finished run how accurate it is, and the mean so far; or why it was dropped."""
    accuracies: list[float] = []

    def finished(outcome: tuple[int, float | str]) -> None:
        run, result = outcome
        if isinstance(result, str):
            bars.say(f"run {run} was dropped: {result}")
            return
        accuracies.append(result)
        mean = sum(accuracies) / len(accuracies)
        bars.say(f"run {run}: {result:.2%}   (mean of {len(accuracies)}: {mean:.2%})")

    return finished
