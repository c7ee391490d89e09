"""Trained networks: a user's function or a torchvision model, with weights from a file.

Only tensors are read from such a file; nothing in it is ever run.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kernel_core.ensembles.torch_file import load_torch_file
from kernel_core.errors import DataError, DownloadError, RequestError
from kernel_core.files import regular_file
from kernel_core.looks_like import foreign
from kernel_core.networks.outputs import INPUT, LISTED, layer_names
from kernel_core.sources.network_errors import advice, reason

Transform = Callable[[Tensor], Tensor]
SCALED = "scaled to 0–1"
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training loops save the weights in a checkpoint."""


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network that is ready to run.

    run: a few words that describe it.
    transform: as in `outputs`.
    seen: a few words that complete "it sees images …".
    """

    model: nn.Module
    run: str
    transform: Transform | None = None
    seen: str = SCALED


def named_object(text: str) -> Any:
    """Import the function or class named `module:name`, from the current folder or an installed package.

    Raises `RequestError` if it does not exist or its module cannot be imported.
    """
    module_name, colon, name = text.partition(":")
    if not colon or not module_name or not name:
        raise RequestError(f"{text!r} does not name a function; expected MODULE:FUNCTION, as in mynet:make.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's: whatever it raises, they need to see it
        raise RequestError(
            f"{module_name} cannot be imported ({type(error).__name__}: {error}); expected a module in "
            f"{here} or an installed one."
        ) from error
    if not callable(getattr(module, name, None)):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise RequestError(
            f"{module_name} has no function {name!r}; it has {', '.join(known[:20]) or 'none'}."
        )
    return getattr(module, name)


def own_network(function: str, weights: Path | None, transform: str | None) -> LoadedNetwork:
    """Call a user's function for a network, and load weights into it if a file is given.

    function: `module:name`, called without arguments.
    transform: `module:name` of a function from uint8 (b, 3, H, W) to the network's input.
    Raises `RequestError` or `DataError`.
    """
    make = named_object(function)
    try:
        model = make()
    except Exception as error:  # the user's code
        raise RequestError(
            f"{function} failed ({type(error).__name__}: {error}); expected a function that takes no "
            "arguments and returns a torch.nn.Module."
        ) from error
    if not isinstance(model, nn.Module):
        raise RequestError(f"{function} returned a {type(model).__name__}; expected a torch.nn.Module.")
    if weights is not None:
        load_weights(model, weights)
    run = f"{function}, {weights.name}" if weights else function
    return with_transform(LoadedNetwork(model, run), transform)


def torchvision_network(name: str, weights: Path | None, transform: str | None) -> LoadedNetwork:
    """Create a torchvision image classifier with pretrained weights, downloaded if needed, or a file's.

    Pretrained weights, and a file's with the same number of classes, get torchvision's own transforms for
    their images. Raises `RequestError` for an unknown model, `DownloadError`, or `DataError`.
    """
    pretrained = pretrained_weights(name)
    if weights is None:
        network = LoadedNetwork(_downloaded(name, pretrained), f"{name}, {pretrained}")
        as_pretrained = True
    else:
        pretrained_classes = len(pretrained.meta["categories"])
        model, as_pretrained = _torchvision_from_file(name, weights, pretrained_classes)
        network = LoadedNetwork(model, f"{name}, {weights.name}")
    if as_pretrained:
        seen = f"by torchvision's transforms for {pretrained}"
        network = replace(network, transform=pretrained.transforms(), seen=seen)
    return with_transform(network, transform)


def pretrained_weights(name: str) -> Any:
    """Return torchvision's entry of the best weights of a model. Raises `RequestError` for an unknown one."""
    from torchvision import models

    refuse_unknown(name, models.list_models(module=models), "torchvision")
    return models.get_model_weights(name).DEFAULT


def refuse_unknown(name: str, known: Sequence[str], library: str) -> None:
    """Raise `RequestError`, listing those that are alike, for a model that a library does not have."""
    if name not in known:
        close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
        names = f"{', '.join(close)}, …" if close else ", ".join(known)
        raise RequestError(f"{library} has no image classification model {name!r}; it has {names}.")


def _torchvision_from_file(name: str, weights: Path, pretrained_classes: int) -> tuple[nn.Module, bool]:
    """Create a model with a file's weights; return it, and whether it has as many classes as pretrained."""
    from torchvision import models

    model: nn.Module = models.get_model(name, weights=None)
    head = f".{last_linear(model)}.weight"
    sizes = [len(tensor) for key, tensor in read_weights(weights).items() if f".{key}".endswith(head)]
    as_pretrained = sizes == [pretrained_classes]
    if sizes and not as_pretrained:
        model = models.get_model(name, weights=None, num_classes=sizes[0])
    load_weights(model, weights)
    return model, as_pretrained


def _downloaded(name: str, pretrained: Any) -> nn.Module:
    from torchvision import models

    try:
        model: nn.Module = models.get_model(name, weights=pretrained)
    except (URLError, OSError, RuntimeError) as error:  # RuntimeError: the checksum differs
        raise DownloadError(
            f"torchvision could not download {pretrained.url} ({reason(error)}). "
            f"{advice(error, 'its host', folder='TORCH_HOME to another folder')}, or download the file "
            "elsewhere and pass it with --weights."
        ) from None
    return model


def with_transform(network: LoadedNetwork, transform: str | None) -> LoadedNetwork:
    """Replace the network's transform by the one that a person names, if any."""
    if transform is None:
        return network
    return replace(network, transform=named_object(transform), seen=f"by {transform}")


def last_linear(model: nn.Module) -> str:
    """Return the name of the linear layer that is defined last, or an empty string if there is none."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name]
    return names[-1] if names else ""


def penultimate_layer(model: nn.Module) -> str:
    """Name the input of the last linear layer. Raises `RequestError`, listing layers, if there is none."""
    name = last_linear(model)
    if not name:
        raise RequestError(
            "The network has no linear layer to take penultimate features from. Name another layer with "
            f"--layer; it has {', '.join(layer_names(model)[:LISTED]) or 'none'}."
        )
    return name + INPUT


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights into a network from a `.safetensors` file, or a state_dict or checkpoint saved by torch.

    A prefix that torch.compile, DataParallel or a Lightning module put before every name is removed. Raises
    `DataError` if the file is missing or damaged, holds more than tensors and plain values, or does not fit
    the network; the message then names the first weight that is missing, unexpected or of another shape.
    """
    expected = model.state_dict()
    weights = _without_prefix(read_weights(path), expected)
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    problems = [f"{_first(missing)} missing from the file"] if missing else []
    problems += [f"{_first(unexpected)} unknown to the network"] if unexpected else []
    if not problems:
        problems = [
            f"{name} is {tuple(tensor.shape)} in the file, {tuple(expected[name].shape)} in the network"
            for name, tensor in weights.items()
            if tensor.shape != expected[name].shape
        ][:1]
    if problems:
        raise DataError(
            f"{path} does not fit the network: {'; '.join(problems)}. Use the network that it was saved from."
        )
    model.load_state_dict(weights)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a state_dict, by name, on the CPU. Raises `DataError` as `load_weights`."""
    if path.suffix != ".safetensors":
        return _state_dict(path, load_torch_file(path, "a network's model.state_dict()", mmap=False))
    try:
        return load_file(regular_file(path))
    except (SafetensorError, OSError) as error:
        raise DataError(
            foreign(path, str(path), "a safetensors file of weights", "safetensors")
            or f"{path} is damaged or not a file of weights ({error}). Save it again."
        ) from None


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    """Return the state_dict in a file's content, out of its wrappers."""
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    problem = "" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    if not problem:
        others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
        problem = f"{_first(others)} that is not a tensor" if others else ""
    if problem:
        raise DataError(
            f"{path} holds {problem}; expected a state_dict, alone or under one of {', '.join(WRAPPERS)}. "
            "Save model.state_dict()."
        )
    return {str(name): tensor for name, tensor in content.items()}


def _without_prefix(weights: dict[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove a prefix that all expected names have in the file; without one, return the weights unchanged."""
    first = next(iter(expected), None)
    if first is None or first in weights:
        return weights
    for prefix in (name.removesuffix(first) for name in weights if name.endswith(f".{first}")):
        stripped = {n.removeprefix(prefix): tensor for n, tensor in weights.items() if n.startswith(prefix)}
        if set(stripped) == set(expected):
            return stripped
    return weights


def _first(names: Sequence[str]) -> str:
    """Quote the first name and count the others, as in "'fc.weight' and 3 more"."""
    first, *others = names
    return f"{first!r} and {len(others)} more" if others else repr(first)
