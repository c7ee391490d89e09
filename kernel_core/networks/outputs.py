"""What a network says of images: its logits and, by a forward hook, what one of its layers puts out or is given.

A layer is named as in `model.named_modules()`: `NAME` is its output, `NAME:input` what it is given. Penultimate
features are the input of the last linear layer, as in `fc:input` for a torchvision ResNet.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kernel_core.errors import DataError, RequestError
from kernel_core.progress import Progress, no_progress

INPUT = ":input"  # how a layer's name ends where its input is meant
LISTED = 60  # layers that an error lists at most


def layer_names(model: nn.Module) -> list[str]:
    """The names of all submodules, in the order of their definition; each may be followed by `:input`."""
    return [name for name, _ in model.named_modules() if name]


def outputs(
    model: nn.Module,
    images: npt.NDArray[np.uint8],
    *,
    transform: Callable[[Tensor], Tensor] | None = None,
    layer: str | None = None,
    batch: int = 500,
    device: torch.device | str | None = None,
    progress: Progress = no_progress,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """A network's logits (N, C) of images, uint8 (N, H, W, 3), and a layer's features (N, D) if one is named.

    transform: uint8 (b, 3, H, W) on the device → what the model takes; without one, float in 0 … 1. layer: see
    `_vectors` for how its values become rows. device: where to compute, None for where the model is. The model may
    return a tensor, an object or dict with `logits`, or a tuple that begins with them. It runs without gradients in
    evaluation mode; afterwards its mode and device are as before. Raises `RequestError` for an unknown layer,
    `DataError` if the layer never ran, or if what comes out has another shape or is not finite.
    """
    _check_images(images)
    logits: list[npt.NDArray[np.float32]] = []
    features: list[npt.NDArray[np.float32]] = []
    with _evaluating(model, device) as place, torch.no_grad(), _tapped(model, layer) as tapped:
        for start in range(0, len(images), batch):
            piece = np.ascontiguousarray(np.moveaxis(images[start : start + batch], 3, 1))
            pixels = torch.from_numpy(piece).to(place)
            tapped.clear()
            returned = model(transform(pixels) if transform else pixels.to(_dtype_of(model)) / 255)
            logits.append(_finite(_logits_of(returned), "logits", len(piece), start))
            if layer is not None:
                if not tapped:
                    raise DataError(
                        f"The layer {layer!r} did not run when the network was given images; name one that does."
                    )
                features.append(_finite(tapped[-1], f"{layer} features", len(piece), start))
            progress("running the network", start + len(piece), len(images))
    return np.concatenate(logits), np.concatenate(features) if features else None


def _check_images(images: npt.NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise DataError(
            f"The images are {images.dtype} {images.shape}; expected uint8 (N, H, W, 3) with at least one image."
        )


def _dtype_of(model: nn.Module) -> torch.dtype:
    """The kind of floating numbers that the network computes with."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


@contextlib.contextmanager
def _evaluating(model: nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """The model in evaluation mode on a device, which is yielded; each module's mode and the device come back."""
    home = next((p.device for p in model.parameters()), torch.device("cpu"))
    place = home if device is None else torch.device(device)
    modes = [(module, module.training) for module in model.modules()]  # a frozen layer's may differ
    try:
        if place != home:
            model.to(place)
        model.eval()
        yield place
    finally:
        for module, mode in modes:
            module.training = mode
        if place != home:
            model.to(home)


@contextlib.contextmanager
def _tapped(model: nn.Module, layer: str | None) -> Iterator[list[Tensor]]:
    """A list to which every call of the layer appends its output, or its first input, as rows (b, D)."""
    seen: list[Tensor] = []

    def keep(values: Any) -> None:
        seen.append(
            _vectors(values, str(layer)).clone()
        )  # the next layer may write over it, as ReLU(inplace=True)

    if layer is None:
        yield seen
        return
    name = layer.removesuffix(INPUT)
    module = dict(model.named_modules()).get(name) if name else None
    if module is None:
        raise RequestError(_unknown_layer(layer, name, layer_names(model)))
    if layer.endswith(INPUT):
        handle = module.register_forward_pre_hook(lambda _module, given: keep(given))
    else:
        handle = module.register_forward_hook(lambda _module, _given, returned: keep(returned))
    try:
        yield seen
    finally:
        handle.remove()


def _unknown_layer(layer: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    by_depth = sorted(known, key=lambda other: other.count("."))  # so that the head of a deep network is seen
    ordered = near + [other for other in by_depth if other not in near]
    more = f", and {len(ordered) - LISTED} more" if len(ordered) > LISTED else ""
    return (
        f"The network has no layer {layer!r}. Its layers: {', '.join(ordered[:LISTED]) or 'none'}{more}. Name one of "
        f"them for its output, or with {INPUT} after it for what it is given."
    )


def _logits_of(returned: Any) -> Tensor:
    """The logits (b, C) in what a model returns."""
    found = returned
    if not isinstance(returned, Tensor):
        found = getattr(returned, "logits", None)
        if found is None and isinstance(returned, Mapping):
            found = returned.get("logits")
        elif found is None and isinstance(returned, tuple | list) and returned:
            found = returned[0]
    if not isinstance(found, Tensor) or found.ndim != 2:
        what = f"a {type(returned).__name__}"
        if isinstance(returned, Mapping):
            what += f" with the keys {', '.join(map(str, returned))}"
        if isinstance(found, Tensor):
            what += f" whose logits have the shape {tuple(found.shape)}"
        raise DataError(
            f"The network returned {what}; expected logits (examples, classes), as a tensor, under the name logits, "
            "or first in a tuple."
        )
    return found


def _vectors(values: Any, layer: str) -> Tensor:
    """What a layer gave → one row an image, (b, D).

    (b, D) stays; (b, D, H, W), channels first, is averaged over the pixels; (b, tokens, D) over the tokens. A tuple
    or a dict stands for its first entry.
    """
    if isinstance(values, Mapping):
        values = next(iter(values.values()), None)
    if isinstance(values, tuple | list) and values:
        values = values[0]
    if not isinstance(values, Tensor) or not 2 <= values.ndim <= 5 or not values.is_floating_point():
        what = (
            f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        )
        raise DataError(
            f"The layer {layer!r} gave {what}; expected floating numbers (examples, D) or (examples, D, height, width)."
        )
    if values.ndim == 3:
        return values.mean(1)
    return values.flatten(2).mean(2) if values.ndim > 3 else values


def _finite(values: Tensor, what: str, expected: int, start: int) -> npt.NDArray[np.float32]:
    """The values as float32, one row for each of `expected` images, of which the first is example `start`."""
    if len(values) != expected:
        raise DataError(
            f"The network gave {what} of {len(values)} examples for {expected} images; expected one row an image."
        )
    wrong = (~torch.isfinite(values)).any(1).nonzero()
    if len(wrong):
        raise DataError(
            f"The {what} of example {start + int(wrong[0])} are NaN or infinite; expected finite numbers. Has the "
            "training diverged, or is a transform missing?"
        )
    return values.float().cpu().numpy()
