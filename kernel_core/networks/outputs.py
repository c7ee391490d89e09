"""The outputs of a network for images: its logits and, through a forward hook, the values of one layer.

A layer is named as in `model.named_modules()`: `NAME` stands for its output, `NAME:input` for its input.
Penultimate features are the input of the last linear layer, such as `fc:input` for a torchvision ResNet.
Values (b, D) are taken as they are; (b, D, H, W) are averaged over pixels, (b, tokens, D) over tokens.
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

INPUT = ":input"  # suffix of a layer's name that stands for its input
LISTED = 60  # layers that an error lists at most


def layer_names(model: nn.Module) -> list[str]:
    """List the names of all submodules in order of definition; each may be followed by `:input`."""
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
    """Run a network on images; return its logits (N, C), and a layer's features (N, D) if one is named.

    The network runs in evaluation mode without gradients; afterwards, its mode and device are as before. It
    may return logits as a tensor, as `logits` of an object or dict, or first in a tuple.

    images: uint8 (N, H, W, 3).
    transform: turns uint8 (b, 3, H, W), on the device, into the input; by default, into floats in 0 … 1.
    layer: name of the layer; None for logits alone.
    batch: number of images per call of the network.
    device: where to compute; by default, where the network is.
    Raises `RequestError` for an unknown layer; `DataError` if the layer is never called, or if logits or
    features have another shape or are not finite.
    """
    _check_images(images)
    logits: list[npt.NDArray[np.float32]] = []
    features: list[npt.NDArray[np.float32]] = []
    with _evaluating(model, device) as place, torch.no_grad(), _recording(model, layer) as recorded:
        for start in range(0, len(images), batch):
            piece = np.ascontiguousarray(np.moveaxis(images[start : start + batch], 3, 1))
            pixels = torch.from_numpy(piece).to(place)
            recorded.clear()
            returned = model(transform(pixels) if transform else pixels.to(_dtype_of(model)) / 255)
            logits.append(_finite(_logits_of(returned), "logits", len(piece), start))
            if layer is not None:
                if not recorded:
                    raise DataError(f"The network never calls the layer {layer!r}; name another layer.")
                features.append(_finite(recorded[-1], f"{layer} features", len(piece), start))
            progress("running the network", start + len(piece), len(images))
    return np.concatenate(logits), np.concatenate(features) if features else None


def _check_images(images: npt.NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        raise DataError(
            f"The images are {images.dtype} {images.shape}; expected uint8 (N, H, W, 3) with at least one "
            "image."
        )


def _dtype_of(model: nn.Module) -> torch.dtype:
    """Return the floating dtype that the network computes with."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


@contextlib.contextmanager
def _evaluating(model: nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """Put the model into evaluation mode on a device, yield the device, and restore mode and device."""
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
def _recording(model: nn.Module, layer: str | None) -> Iterator[list[Tensor]]:
    """Yield a list to which each call of the layer appends its output, or its first input, as rows (b, D)."""
    recorded: list[Tensor] = []

    def record(values: Any) -> None:
        # A copy: the next layer may overwrite the values, as ReLU(inplace=True) does.
        recorded.append(_rows(values, str(layer)).clone())

    if layer is None:
        yield recorded
        return
    name = layer.removesuffix(INPUT)
    module = dict(model.named_modules()).get(name) if name else None
    if module is None:
        raise RequestError(_unknown_layer(layer, name, layer_names(model)))
    if layer.endswith(INPUT):
        handle = module.register_forward_pre_hook(lambda _module, inputs: record(inputs))
    else:
        handle = module.register_forward_hook(lambda _module, _inputs, returned: record(returned))
    try:
        yield recorded
    finally:
        handle.remove()


def _unknown_layer(layer: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    by_depth = sorted(known, key=lambda other: other.count("."))  # shows the head of a deep network early
    ordered = close + [other for other in by_depth if other not in close]
    more = f", and {len(ordered) - LISTED} more" if len(ordered) > LISTED else ""
    return (
        f"The network has no layer {layer!r}. Its layers: {', '.join(ordered[:LISTED]) or 'none'}{more}. "
        f"Name one of them for its output, or append {INPUT} for its input."
    )


def _logits_of(returned: Any) -> Tensor:
    """Find the logits (b, C) in what a model returned."""
    logits = returned
    if not isinstance(returned, Tensor):
        logits = getattr(returned, "logits", None)
        if logits is None and isinstance(returned, Mapping):
            logits = returned.get("logits")
        elif logits is None and isinstance(returned, tuple | list) and returned:
            logits = returned[0]
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        problem = f"a {type(returned).__name__}"
        if isinstance(returned, Mapping):
            problem += f" with the keys {', '.join(map(str, returned))}"
        if isinstance(logits, Tensor):
            problem += f" whose logits have the shape {tuple(logits.shape)}"
        raise DataError(
            f"The network returned {problem}; expected logits (examples, classes): a tensor, an entry named "
            "logits, or the first item of a tuple."
        )
    return logits


def _rows(values: Any, layer: str) -> Tensor:
    """Reduce a layer's values to one row per image, (b, D).

    (b, D) stays; (b, D, H, W), channels first, is averaged over pixels; (b, tokens, D) over tokens. Of a
    tuple or dict, the first entry is taken.
    """
    if isinstance(values, Mapping):
        values = next(iter(values.values()), None)
    if isinstance(values, tuple | list) and values:
        values = values[0]
    if not isinstance(values, Tensor) or not 2 <= values.ndim <= 5 or not values.is_floating_point():
        is_tensor = isinstance(values, Tensor)
        kind = f"{values.dtype} {tuple(values.shape)}" if is_tensor else type(values).__name__
        raise DataError(
            f"The layer {layer!r} gave {kind}; expected floating-point numbers (examples, D) or (examples, "
            "D, height, width)."
        )
    if values.ndim == 3:
        return values.mean(1)
    return values.flatten(2).mean(2) if values.ndim > 3 else values


def _finite(values: Tensor, what: str, count: int, start: int) -> npt.NDArray[np.float32]:
    """Check values and convert them to float32.

    what: the values' name in messages. count: number of images. start: index of the first one.
    Raises `DataError` unless there is one row per image and all values are finite.
    """
    if len(values) != count:
        raise DataError(
            f"The network gave {what} of {len(values)} examples for {count} images; expected one row per "
            "image."
        )
    wrong = (~torch.isfinite(values)).any(1).nonzero()
    if len(wrong):
        raise DataError(
            f"The {what} of example {start + int(wrong[0])} are NaN or infinite; expected finite numbers. "
            "Check whether training diverged, or a transform is missing."
        )
    return values.float().cpu().numpy()
