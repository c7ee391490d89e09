"""Trained networks that a person names: a function of theirs, or a model of torchvision."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor, nn

from kernel_core.errors import DownloadError, RequestError
from kernel_core.networks.outputs import INPUT, layer_names
from kernel_core.networks.weights import load_weights, read_weights

Transform = Callable[[Tensor], Tensor]
PLAIN = "as they are, in 0 … 1"


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network to run. run: what it is, in a few words. transform: as `inference.outputs` takes it; seen: what that
    does to the images, in words.
    """

    model: nn.Module
    run: str
    transform: Transform | None = None
    seen: str = PLAIN


def named_object(text: str) -> Any:
    """What module:function names, imported from the current folder or from what is installed.

    Raises `RequestError` if there is no such thing, or the module fails to load.
    """
    module_name, colon, name = text.partition(":")
    if not colon or not module_name or not name:
        raise RequestError(f"{text!r} names no function; expected MODULE:FUNCTION, as in mynet:make.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's: whatever it raises, they need to see it
        raise RequestError(
            f"{module_name} cannot be imported ({type(error).__name__}: {error}); expected a module in {here} or an "
            "installed one."
        ) from error
    if not callable(getattr(found, name, None)):
        known = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
        raise RequestError(
            f"{module_name} has no function {name!r}; it has {', '.join(known[:20]) or 'none'}."
        )
    return getattr(found, name)


def own_network(function: str, weights: Path | None, transform: str | None) -> LoadedNetwork:
    """The network that a function returns, with the weights of a file or as it is returned.

    transform: module:function, given uint8 (b, 3, H, W), returns what the network takes. Raises `RequestError` or
    `DataError`.
    """
    make = named_object(function)
    try:
        model = make()
    except Exception as error:  # the user's code
        raise RequestError(
            f"{function} failed ({type(error).__name__}: {error}); expected a function that takes no arguments and "
            "returns a torch.nn.Module."
        ) from error
    if not isinstance(model, nn.Module):
        raise RequestError(f"{function} returned a {type(model).__name__}; expected a torch.nn.Module.")
    if weights is not None:
        load_weights(model, weights)
    run = f"{function}, {weights.name}" if weights else function
    return _transformed(LoadedNetwork(model, run), transform)


def torchvision_network(name: str, weights: Path | None, transform: str | None) -> LoadedNetwork:
    """A model of torchvision for images, pretrained (downloaded if need be) or with the weights of a file.

    Pretrained weights, and those of a file with as many classes, see images as torchvision's own transforms make
    them. Raises `RequestError` for an unknown model, `DownloadError`, `DataError`.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=5, cutoff=0.5) or known
        raise RequestError(
            f"torchvision has no model {name!r} that classifies images; it has {', '.join(near)}"
            f"{', …' if near is not known else ''}."
        )
    pretrained = models.get_model_weights(name).DEFAULT
    if weights is None:
        model, run, of_torchvision = _downloaded(name, pretrained), f"{name}, {pretrained}", True
    else:
        model = models.get_model(name, weights=None)
        head = f".{last_linear(model)}.weight"
        sizes = [len(tensor) for key, tensor in read_weights(weights).items() if f".{key}".endswith(head)]
        of_torchvision = sizes == [len(pretrained.meta["categories"])]
        if sizes and not of_torchvision:
            model = models.get_model(name, weights=None, num_classes=sizes[0])
        load_weights(model, weights)
        run = f"{name}, {weights.name}"
    found = LoadedNetwork(model, run)
    if of_torchvision:
        found = LoadedNetwork(
            model, run, pretrained.transforms(), f"by torchvision's transforms for {pretrained}"
        )
    return _transformed(found, transform)


def _downloaded(name: str, pretrained: Any) -> nn.Module:
    from torchvision import models

    try:
        model: nn.Module = models.get_model(name, weights=pretrained)
    except (URLError, OSError, RuntimeError) as error:  # RuntimeError: what came has another checksum
        raise DownloadError(
            f"torchvision could not download {pretrained.url} ({error}). Try again; where its host is out of reach, "
            "fetch that file elsewhere and name it with --weights."
        ) from None
    return model


def _transformed(network: LoadedNetwork, transform: str | None) -> LoadedNetwork:
    """The same network, seeing images as the transform that a person names makes them, if they name one."""
    if transform is None:
        return network
    return replace(network, transform=named_object(transform), seen=f"by {transform}")


def last_linear(model: nn.Module) -> str:
    """The name of the last linear layer in the order of definition; empty if there is none."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name]
    return names[-1] if names else ""


def penultimate_layer(model: nn.Module) -> str:
    """What the last linear layer is given. Raises `RequestError`, listing the layers, if there is none."""
    name = last_linear(model)
    if not name:
        raise RequestError(
            f"The network has no linear layer whose input would be its penultimate features; name a layer with "
            f"--layer: {', '.join(layer_names(model)[:60]) or 'it has none'}."
        )
    return name + INPUT
