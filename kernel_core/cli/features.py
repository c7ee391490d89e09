"""`kernel-explorer features`: penultimate features for a source that has none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kernel_core.errors import RequestError
from kernel_core.progress import Progress, ProgressBars
from kernel_core.recipes import RECIPES
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS

if TYPE_CHECKING:
    from kernel_core.records import Features
    from kernel_core.sources.source import Source


@click.command("features")
@click.argument("source")
@click.option(
    "--train",
    "recipe",
    type=click.Choice(list(RECIPES)),
    help="Train one run of this recipe and take its features.",
)
@click.option("--model", metavar="MODULE:FUNCTION", help="A function of yours that returns the network.")
@click.option("--torchvision", metavar="NAME", help="A model of torchvision, as resnet18; pretrained.")
@click.option(
    "--weights", type=click.Path(path_type=Path),
    help="Its weights: a state dict in a .pt, .pth or .safetensors file.",
)  # fmt: skip
@click.option(
    "--layer", metavar="NAME",
    help="Take this layer's output, or as NAME:input what it is given.  [default: the last linear layer's input]",
)  # fmt: skip
@click.option(
    "--transform", metavar="MODULE:FUNCTION",
    help="Makes of uint8 images (b, 3, H, W) what the network takes.  [default: numbers in 0 … 1; torchvision's own "
    "for its weights]",
)  # fmt: skip
@click.option("--seed", type=int, help="Of --train.  [default: 0]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--replace", is_flag=True, help="Replace the features that SOURCE has.")
def features_command(
    source: str,
    recipe: str | None,
    seed: int | None,
    device: str,
    replace: bool,
    **network: Path | str | None,
) -> None:
    """Compute penultimate features of all images by one network, and store them beside SOURCE for the app to show.

    Name the network by one of --train, --model and --torchvision. Only run a --model that you trust: it is code.

    \b
    Example:  kernel-explorer features my/source.toml --model mynet:make --weights run0.pt --layer fc:input
    """
    _check_usage({"--train": recipe, **{f"--{name}": value for name, value in network.items()}}, seed)
    from kernel_core.networks.features import find_place, store_features

    with ProgressBars() as bars:
        place = find_place(SourceRequest(source), replace=replace, progress=bars)
        if recipe is not None:
            features, how = _trained(recipe, place.source, seed or 0, device, bars), f"one run of {recipe}"
        else:
            features, how = _run(network, place.source, device, bars)
        store_features(features, place)
    named = f"; {place.toml} names it" if place.toml else ""
    width = features.values["test"].shape[1]  # which every source has
    click.echo(f"{features.layer} of {how}: {width:,} numbers an example\nstored in {place.file}{named}")
    click.echo(f"See them beside the kernel:  kernel-explorer serve {source}")


def _check_usage(given: dict[str, Path | str | None], seed: int | None) -> None:
    """One way of naming a network, and only the options that go with it."""
    ways = [name for name in ("--train", "--model", "--torchvision") if given[name] is not None]
    if len(ways) != 1:
        raise click.UsageError(
            f"{' and '.join(ways) or 'No network'} given; expected one of --train, --model, --torchvision."
        )
    stray = [name for name in ("--weights", "--layer", "--transform") if given[name] is not None]
    if ways == ["--train"] and stray:
        raise click.UsageError(f"{stray[0]} is for --model and --torchvision; leave it out with --train.")
    if ways != ["--train"] and seed is not None:
        raise click.UsageError("--seed is for --train; leave it out.")


def _trained(recipe: str, source: Source, seed: int, device: str, progress: Progress) -> Features:
    from kernel_core.networks import training  # torch takes seconds to load
    from kernel_core.networks.features import load_images

    if source.images.splits != SPLITS:
        raise RequestError(
            f"{source.name} has no training images, so no run can be trained; name your network by --model, or "
            "torchvision's by --torchvision."
        )
    examples = load_images(source, progress)
    features: Features = training.train_features(
        RECIPES[recipe], examples, seed=seed, device=device, progress=progress
    )
    return features


def _run(
    given: dict[str, Path | str | None], source: Source, device: str, progress: Progress
) -> tuple[Features, str]:
    """The features by a network that the options name, and in words how they came about."""
    from kernel_core.machine import choose_device
    from kernel_core.networks.features import load_images, network_features
    from kernel_core.networks.loading import own_network, penultimate_layer, torchvision_network

    place = choose_device(device)
    weights, transform, layer = (given[name] for name in ("weights", "transform", "layer"))
    make, name = (
        (own_network, given["model"]) if given["model"] else (torchvision_network, given["torchvision"])
    )
    network = make(str(name), Path(weights) if weights else None, str(transform) if transform else None)
    layer = str(layer) if layer else penultimate_layer(network.model)
    features, accuracy = network_features(
        network, load_images(source, progress), layer, device=place, progress=progress
    )
    right = "" if accuracy is None else f" (right on {accuracy:.2%} of the test labels)"
    return features, f"{network.run}{right}, images seen {network.seen}"
