"""Networks of timm, an extra: pretrained, with the transforms that they were trained for."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kernel_core.errors import DownloadError, RequestError, Unavailable
from kernel_core.networks.loading import LoadedNetwork, load_weights, refuse_unknown, with_transform
from kernel_core.sources.hub import client_errors
from kernel_core.sources.network_errors import advice, reason


def _timm() -> Any:
    """Return the library, which takes seconds to load. Raises `RequestError` if it is not installed."""
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise Unavailable(
            f"timm:NAME needs the library timm, which cannot be imported ({error}). Install it with "
            "pip install 'kernel-explorer[timm]'."
        ) from None


def pretrained_weights(name: str) -> str:
    """Name the weights that a model is downloaded with, as in "resnet18.a1_in1k".

    Raises `RequestError` if timm is not installed, or has no such model or no weights for it.
    """
    timm = _timm()
    architecture, _, tag = name.partition(".")
    refuse_unknown(architecture, timm.list_models(), "timm")
    known = timm.list_pretrained(architecture)
    if (tag and name not in known) or not known:
        raise RequestError(
            f"timm has no weights {name!r}; it has {', '.join(known) or 'none for this model'}."
        )
    config = timm.models.get_pretrained_cfg(name)
    return f"{architecture}.{config.tag}" if config.tag else architecture


def timm_network(name: str, weights: Path | None, transform: str | None) -> LoadedNetwork:
    """Create an image classifier of timm with pretrained weights, downloaded if needed, or a file's.

    Images get the transforms that timm evaluates the model with, unless another is named. Raises
    `RequestError` as `pretrained_weights`, `DownloadError`, or `DataError` for a file that does not fit.
    """
    named = pretrained_weights(name)
    timm = _timm()
    if weights is None:
        model, run = _downloaded(timm, named), named
    else:
        model, run = timm.create_model(name, pretrained=False), f"{name}, {weights.name}"
        load_weights(model, weights)
    steps = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    seen = f"by timm's transforms for {named}"
    return with_transform(LoadedNetwork(model, run, _for_batches(steps), seen), transform)


def _downloaded(timm: Any, name: str) -> Any:
    try:
        return timm.create_model(name, pretrained=True)
    except client_errors() as error:
        raise DownloadError(
            f"timm could not download {name} ({reason(error)}). "
            f"{advice(error, 'the Hub (HF_ENDPOINT)', folder='HF_HOME to another folder')}, or download the "
            "file elsewhere and pass it with --weights."
        ) from None


def _for_batches(steps: Any) -> Any:
    """Return timm's transforms of one PIL image as a function of uint8 (b, 3, H, W), on any device."""
    from torchvision.transforms.functional import to_pil_image

    def transform(images: Tensor) -> Tensor:
        return torch.stack([steps(to_pil_image(image)) for image in images.cpu()]).to(images.device)

    return transform
