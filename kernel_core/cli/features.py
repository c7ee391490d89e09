"""`kernel-explorer features`: compute penultimate features for a source that has none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kernel_core.cli.options import device_option
from kernel_core.cli.output import say
from kernel_core.cli.progress import ProgressBars
from kernel_core.errors import RequestError
from kernel_core.progress import Progress
from kernel_core.recipes import RECIPES
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS

if TYPE_CHECKING:
    from kernel_core.records import Features
    from kernel_core.sources.source import Source


@click.command()
@click.argument("source")
@click.option(
    "--train",
    "recipe",
    type=click.Choice(list(RECIPES)),
    help="Train one run of this recipe, and use its features.",
)
@click.option("--model", metavar="MODULE:FUNCTION", help="Your own function that returns the network.")
@click.option("--torchvision", metavar="NAME", help="A torchvision model such as resnet18, pretrained.")
@click.option(
    "--weights", type=click.Path(path_type=Path),
    help="The network's weights: a state dict in a .pt, .pth or .safetensors file.",
)  # fmt: skip
@click.option(
    "--layer", metavar="NAME",
    help="Use this layer's output, or with NAME:input its input.  [default: the last linear layer's input]",
)  # fmt: skip
@click.option(
    "--transform", metavar="MODULE:FUNCTION",
    help="Function that turns uint8 images (b, 3, H, W) into the network's input.  [default: scale to 0 … 1; "
    "for torchvision's weights, their own]",
)  # fmt: skip
@click.option("--seed", type=int, help="Seed for --train.  [default: 0]")
@device_option
@click.option("--replace", is_flag=True, help="Replace the features that SOURCE has.")
def features(
    source: str,
    recipe: str | None,
    seed: int | None,
    device: str,
    replace: bool,
    **network: Path | str | None,
) -> None:
    """Compute penultimate features for a source without them.

    Run one network on all images, and store its features beside SOURCE for the app.
    Choose the network with --train, --model or --torchvision. Only use a --model that you trust: its code is
    run.

    \b
    Example:  kernel-explorer features my/source.toml --model mynet:make --weights run0.pt --layer fc:input
    """
    _check_usage({"--train": recipe, **{f"--{name}": value for name, value in network.items()}}, seed)
    from kernel_core.networks.features import find_destination, store_features

    with ProgressBars() as bars:
        destination = find_destination(SourceRequest(source), replace=replace, progress=bars)
        if recipe is not None:
            computed = _train(recipe, destination.source, seed or 0, device, bars)
            origin = f"one run of {recipe}"
        else:
            computed, origin = _run_network(network, destination.source, device, bars)
        store_features(computed, destination)
    width = computed.values["test"].shape[1]  # every source has a test split
    named_in = f", named in {destination.toml}" if destination.toml else ""
    say(f"{computed.layer} of {origin}: {width:,} numbers per example")
    say(f"stored in {destination.file}{named_in}")
    say(f"Compare them with the kernel:  kernel-explorer serve {source}")


def _check_usage(options: dict[str, Path | str | None], seed: int | None) -> None:
    """Raise `click.UsageError` unless one option names a network, and the others go with it."""
    networks = [option for option in ("--train", "--model", "--torchvision") if options[option] is not None]
    if len(networks) != 1:
        raise click.UsageError(
            f"{' and '.join(networks) or 'No network'} given; "
            "expected one of --train, --model, --torchvision."
        )
    extra = [option for option in ("--weights", "--layer", "--transform") if options[option] is not None]
    if networks == ["--train"] and extra:
        raise click.UsageError(f"{extra[0]} needs --model or --torchvision; leave it out with --train.")
    if networks != ["--train"] and seed is not None:
        raise click.UsageError("--seed needs --train; leave it out.")


def _train(recipe: str, source: Source, seed: int, device: str, progress: Progress) -> Features:
    """Train one run on the source's images, and return its features.

    Raises `RequestError` if there are no training images.
    """
    from kernel_core.networks import training  # torch takes seconds to load
    from kernel_core.networks.features import load_images

    if source.images.splits != SPLITS:
        raise RequestError(
            f"{source.name} has no training images, so no run can be trained. Name a network with --model or "
            "--torchvision."
        )
    examples = load_images(source, progress)
    return training.train_features(RECIPES[recipe], examples, seed=seed, device=device, progress=progress)


def _run_network(
    options: dict[str, Path | str | None], source: Source, device: str, progress: Progress
) -> tuple[Features, str]:
    """Return the features of the network that the options name, and in words where they come from."""
    from kernel_core.machine import choose_device
    from kernel_core.networks.features import load_images, network_features
    from kernel_core.networks.loading import own_network, penultimate_layer, torchvision_network

    torch_device = choose_device(device)
    weights = Path(options["weights"]) if options["weights"] else None
    transform = str(options["transform"]) if options["transform"] else None
    if options["model"]:
        network = own_network(str(options["model"]), weights, transform)
    else:
        network = torchvision_network(str(options["torchvision"]), weights, transform)
    layer = str(options["layer"]) if options["layer"] else penultimate_layer(network.model)
    computed, accuracy = network_features(
        network, load_images(source, progress), layer, device=torch_device, progress=progress
    )
    correct = "" if accuracy is None else f" (right on {accuracy:.2%} of the test labels)"
    return computed, f"{network.run}{correct}, images seen {network.seen}"
