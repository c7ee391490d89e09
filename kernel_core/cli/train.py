"""`kernel-explorer train`: train an ensemble here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kernel_core.cli.engine_options import address_option, engine_option
from kernel_core.cli.options import device_option
from kernel_core.cli.output import say
from kernel_core.cli.progress import ProgressBars
from kernel_core.cli.train_heads import heads_options, heads_recipe, images_and_features
from kernel_core.engines.engine import Engine
from kernel_core.engines.ray_cluster import refuse_missing
from kernel_core.errors import RequestError
from kernel_core.recipes import CIFAR10, CIFAR10_SMALL, DEFAULT_IMAGES, HEADS_RUNS, RECIPES, Recipe, Training
from kernel_core.sources.catalog import find_images
from kernel_core.sources.images_table import SIZES as ANY_SIZE

if TYPE_CHECKING:
    from kernel_core.networks.training import Order, Outcome

SIZES = (32, 64)  # that the CNNs take


@click.command()
@click.argument("recipe", type=click.Choice([*RECIPES, "imagefolder", "heads"]))
@click.argument("path", required=False)
@click.option(
    "--runs", "run_count", type=int,
    help=f"Number of runs. More can be added later.  [required; {HEADS_RUNS} for heads]",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the ensemble.")
@click.option(
    "--images",
    help="A torchvision data set, one of the Hub as hub:OWNER/NAME, a folder with a folder per class, in "
    "train/ and test/ or not, Parquet files, or a source.toml whose images to use.  "
    "[default: torchvision's CIFAR10; for digits, the digits]",
)
@click.option(
    "--size", type=int, metavar="N",
    help=f"Resize images to N pixels per side: {SIZES[0]} or {SIZES[1]}; for heads, {ANY_SIZE[0]} to "
    f"{ANY_SIZE[1]}.  [default: {SIZES[0]} for imagefolder]",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Train for this many epochs instead of the recipe's.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the whole ensemble."
)
@heads_options
@device_option
@click.option(
    "--checkpoints", type=click.IntRange(1), metavar="K",
    help="Also keep the trained weights of the first K runs, in the folder checkpoints. Asked for later, "
    "these runs are trained again.",
)  # fmt: skip
@click.option(
    "--workers", type=int, help="Number of processes on a CPU, one thread each.  [default: one per core]"
)
@engine_option
@address_option
@click.option(
    "--num-gpus-per-run", type=click.FloatRange(0), default=0.0, metavar="F",
    help="On Ray: GPUs that a run is given, or a group of runs that are trained together; 0.5 lets two share "
    "one. The networks are then trained on CUDA.  [default: 0, a CPU core]",
)  # fmt: skip
def train(
    recipe: str, path: str | None, run_count: int | None, out: Path, images: str | None, size: int | None,
    epochs: int | None, seed: int, device: str, checkpoints: int | None, workers: int | None, engine: str,
    address: str | None, num_gpus_per_run: float, **of_heads: Any,
) -> None:  # fmt: skip
    """Train an ensemble into a folder, which is then a source.

    It holds every run's logits, and run 0's penultimate features. heads PATH: small heads on fixed features
    of your own images, which are a folder, another form of --images, or a source; a hundred take minutes
    without a GPU. cifar10: a small CNN for a GPU. cifar10-small: one for a laptop. digits: the network of the
    built-in source. imagefolder PATH: one of the two CNNs, on your own images. If training is stopped or
    killed, run the same command again to continue.

    \b
    Example:  kernel-explorer train heads my-images --out my-ensemble
    """
    _refuse_misfits(recipe, path, images, size, of_heads)
    trained_by = _engine(engine, address, workers, num_gpus_per_run)
    if run_count is None and recipe != "heads":
        raise click.UsageError("Missing option '--runs'.")
    from kernel_core.machine import choose_device  # torch takes seconds to load
    from kernel_core.networks.training import Order

    device_type = choose_device(device).type
    on_gpu = num_gpus_per_run > 0 if trained_by.is_ray else device_type == "cuda"
    network: Recipe = RECIPES.get(recipe, CIFAR10 if on_gpu else CIFAR10_SMALL)
    features = None
    with ProgressBars() as bars:
        if recipe == "heads":
            network = heads_recipe(of_heads)
            source, features = images_and_features(str(path or images), of_heads, bars)
        else:
            source = find_images(path or images or DEFAULT_IMAGES[recipe], Path.cwd(), bars)
    if epochs is not None:
        network = replace(network, epochs=epochs)
    if size or recipe == "imagefolder":
        source = replace(source, size=size or SIZES[0])
    training = Training(network, HEADS_RUNS if run_count is None else run_count, seed)
    order = Order(recipe, training, source, out, device_type, workers, features, trained_by, num_gpus_per_run)
    _train(replace(order, checkpoints=checkpoints or 0))


def _engine(name: str, address: str | None, workers: int | None, gpus: float) -> Engine:
    """Return the engine that the options stand for.

    Raises `RequestError` if they do not fit together, `Unavailable` if Ray is asked for and not installed.
    """
    if gpus and name != "ray":
        raise RequestError("--num-gpus-per-run is for --engine ray; here, --device cuda trains on the GPU.")
    engine = Engine(name, address, workers)
    refuse_missing(engine)
    return engine


def _refuse_misfits(
    recipe: str, path: str | None, images: str | None, size: int | None, of_heads: dict[str, Any]
) -> None:
    """Raise `RequestError` for arguments that the recipe does not take, or lacks."""
    if recipe == "imagefolder" and path is None:
        raise RequestError("imagefolder needs PATH: train imagefolder PATH --runs 8 --out DIR.")
    if recipe == "heads" and (path is None) == (images is None):
        found = "--images too" if path else "neither it nor --images"
        raise RequestError(
            f"heads needs PATH, images or a source, and there is {found}: train heads PATH --out DIR."
        )
    if path is not None and recipe not in ("imagefolder", "heads"):
        raise RequestError(
            f"{recipe} takes no PATH, only imagefolder and heads do. Name other images with --images."
        )
    given = next((f"--{name}" for name, value in of_heads.items() if value is not None), None)
    if given and recipe != "heads":
        raise RequestError(f"{given} is for heads, not for {recipe}. Leave it out, or train heads.")
    first, last = ANY_SIZE
    if size is not None and (not first <= size <= last if recipe == "heads" else size not in SIZES):
        expected = f"{first} to {last}" if recipe == "heads" else f"{SIZES[0]} or {SIZES[1]}"
        raise RequestError(f"--size is {size}; expected {expected} pixels per side for {recipe}.")


def _train(order: Order) -> None:
    from kernel_core.networks.training import train_folder

    with ProgressBars() as bars:
        try:
            trained = train_folder(order, progress=bars, finished=_reporter(bars))
        except KeyboardInterrupt:
            bars.say("stopped; the finished runs are kept. Run the same command again to continue")
            sys.exit(130)
    dropped = "".join(f"; run {run} was dropped: {reason}" for run, reason in sorted(trained.dropped.items()))
    say(f"{len(trained.run_numbers):,} runs are in {order.folder}{dropped}")
    if order.checkpoints:
        say(f"their weights, of the first {order.checkpoints:,}, are in {order.folder / 'checkpoints'}")
    say(f"next:  kernel-explorer serve {trained.source}")


def _reporter(bars: ProgressBars) -> Callable[[list[Outcome]], None]:
    """Return a function that reports each finished group: its accuracy and the mean, and what was dropped."""
    accuracies: list[float] = []

    def report(outcomes: list[Outcome]) -> None:
        for run, result in outcomes:
            if isinstance(result, str):
                bars.say(f"run {run} was dropped: {result}")
        found = {run: result for run, result in outcomes if not isinstance(result, str)}
        if not found:
            return
        accuracies.extend(found.values())
        here, mean = sum(found.values()) / len(found), sum(accuracies) / len(accuracies)
        runs = f"runs {min(found)} to {max(found)}" if len(found) > 1 else f"run {min(found)}"
        bars.say(f"{runs}: {here:.2%}   (mean of {len(accuracies)}: {mean:.2%})")

    return report
