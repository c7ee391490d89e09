"""`kernel-explorer train`: train an ensemble here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from kernel_core.cli.options import device_option
from kernel_core.cli.output import say
from kernel_core.cli.progress import ProgressBars
from kernel_core.errors import RequestError
from kernel_core.recipes import CIFAR10, CIFAR10_SMALL, DEFAULT_IMAGES, RECIPES, Training
from kernel_core.sources.catalog import find_images

SIZES = ("32", "64")


@click.command()
@click.argument("recipe", type=click.Choice([*RECIPES, "imagefolder"]))
@click.argument("path", required=False)
@click.option("--runs", "run_count", type=int, required=True, help="Number of runs. More can be added later.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the ensemble.")
@click.option(
    "--images",
    help="A torchvision data set, one of the Hub as hub:OWNER/NAME, a folder with train/<class>/ and "
    "test/<class>/, a folder with train*.parquet and test*.parquet, or a source.toml whose images to use.  "
    "[default: torchvision's CIFAR10; for digits, the digits]",
)
@click.option(
    "--size",
    type=click.Choice(SIZES),
    help="Resize images to this many pixels per side.  [default: 32 for imagefolder]",
)
@click.option("--epochs", type=click.IntRange(1), help="Train for this many epochs instead of the recipe's.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the whole ensemble."
)
@device_option
@click.option(
    "--workers", type=int, help="Number of processes on a CPU, one thread each.  [default: one per core]"
)
def train(
    recipe: str, path: str | None, run_count: int, out: Path, images: str | None, size: str | None,
    epochs: int | None, seed: int, device: str, workers: int | None,
) -> None:  # fmt: skip
    """Train an ensemble into a folder, which is then a source.

    It holds every run's logits, and run 0's penultimate features. cifar10: a small CNN for a GPU.
    cifar10-small: one for a laptop. digits: the network of the built-in source. imagefolder PATH: one of the
    two CNNs, on your own images. If training is stopped or killed, run the same command again to continue.

    \b
    Example:  kernel-explorer train cifar10-small --runs 8 --out my-ensemble
    """
    if (recipe == "imagefolder") != (path is not None):
        raise RequestError(
            "imagefolder needs PATH, and only imagefolder takes it: "
            "train imagefolder PATH --runs 8 --out DIR."
        )
    from kernel_core.machine import choose_device  # torch takes seconds to load
    from kernel_core.networks.training import Order, train_folder

    device_type = choose_device(device).type
    network = RECIPES.get(recipe, CIFAR10 if device_type == "cuda" else CIFAR10_SMALL)
    if epochs is not None:
        network = replace(network, epochs=epochs)
    with ProgressBars() as bars:
        source = find_images(path or images or DEFAULT_IMAGES[recipe], Path.cwd(), bars)
    if size or path:
        source = replace(source, size=int(size or SIZES[0]))
    order = Order(recipe, Training(network, run_count, seed), source, out, device_type, workers)
    with ProgressBars() as bars:
        try:
            trained = train_folder(order, progress=bars, finished=_reporter(bars))
        except KeyboardInterrupt:
            bars.say("stopped; the finished runs are kept. Run the same command again to continue")
            sys.exit(130)
    dropped = "".join(f"; run {run} was dropped: {reason}" for run, reason in sorted(trained.dropped.items()))
    say(f"{len(trained.run_numbers):,} runs are in {out}{dropped}")
    say(f"next:  kernel-explorer serve {trained.source}")


def _reporter(bars: ProgressBars) -> Callable[[tuple[int, float | str]], None]:
    """Return a function that reports each finished run: its accuracy and the mean, or why it was dropped."""
    accuracies: list[float] = []

    def report(outcome: tuple[int, float | str]) -> None:
        run, result = outcome
        if isinstance(result, str):
            bars.say(f"run {run} was dropped: {result}")
            return
        accuracies.append(result)
        mean = sum(accuracies) / len(accuracies)
        bars.say(f"run {run}: {result:.2%}   (mean of {len(accuracies)}: {mean:.2%})")

    return report
