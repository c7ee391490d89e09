"""What `kernel-explorer train heads` takes: images or a source, fixed features, and shares of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kernel_core.errors import RequestError
from kernel_core.progress import Progress
from kernel_core.recipes import HEADS, HeadsRecipe
from kernel_core.similarities import PATCHES
from kernel_core.sources.catalog import MANY, find_images, open_source
from kernel_core.sources.source import FeatureSet, ImagesFrom, SourceRequest
from kernel_core.sources.source_toml import FILE, read_features_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernel_core.networks.fixed_features import FixedFeatures

PUBLISHED = ("cifar10-multirun", MANY)
F = TypeVar("F", bound="Callable[..., Any]")


def heads_options(command: F) -> F:
    """Add the options that only heads have."""
    options = (
        click.option(
            "--features", metavar="NAME|FILE",
            help=f"For heads: what they are trained on. {PATCHES}, computed from the images alone; a name "
            "that the source.toml has under [features], or penultimate; a file (.safetensors, .npz, .npy, "
            f".parquet); torchvision:NAME or timm:NAME, a pretrained network.  [default: {PATCHES}]",
        ),
        click.option(
            "--weights", type=click.Path(path_type=Path), metavar="FILE",
            help="For heads: the weights of that network, a state dict, instead of downloading them.",
        ),
        click.option(
            "--share", type=float, metavar="X",
            help="For heads: share of the features that each run sees, chosen at random for each.  "
            f"[default: {HEADS.share:g}]",
        ),
        click.option(
            "--subset", type=float, metavar="X",
            help="For heads: share of the training examples that each run is trained on, chosen at random "
            "for each; below 1, every example gets predictions of runs that did not see it.  "
            f"[default: {HEADS.subset:g}]",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def heads_recipe(options: dict[str, Any]) -> HeadsRecipe:
    """Return the recipe with the shares that the options name. Raises `RequestError` if they are none."""
    shares = {name: options[name] for name in ("share", "subset") if options[name] is not None}
    for name, value in shares.items():
        if not 0 < value <= 1:  # nan is neither
            raise RequestError(f"--{name} is {value:g}; expected a number above 0 and up to 1, as in 0.5.")
    return replace(HEADS, **shares)


def images_and_features(
    text: str, options: dict[str, Any], progress: Progress
) -> tuple[ImagesFrom, FixedFeatures]:
    """Return the images that a text stands for, and the features of the options.

    text: a `source.toml` or its folder, whose ensemble is left aside; or images alone, as `open_source` takes
    them. Raises as `open_source` and `find_features`.
    """
    from kernel_core.networks.fixed_features import find_features  # torch takes seconds to load

    path = Path(os.path.expanduser(text))
    offered: tuple[FeatureSet, ...] = ()
    toml = path / FILE if (path / FILE).is_file() else path
    if toml.suffix == ".toml":
        images = find_images(str(toml), Path.cwd(), progress)
        offered = read_features_table(toml)
    elif text.partition("/")[0] in PUBLISHED:
        raise RequestError(f"{text} has an ensemble already. For heads on its images, name cifar10.")
    else:
        images = open_source(SourceRequest(text), progress=progress).images
    return images, find_features(options["features"] or PATCHES, offered, options["weights"])
