"""A network's weights from a file: tensors alone, never anything that would run."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kernel_core.errors import DataError

WRAPPED = (
    "state_dict",
    "model_state_dict",
    "model",
)  # under which training loops save the weights among others


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a network's weights from a `.safetensors` file, or a state_dict saved by torch, alone or in a checkpoint.

    What torch.compile, DataParallel or a Lightning module put before every name is left out. Raises `DataError` if
    the file is missing or damaged, holds more than tensors and plain values, or does not fit the network; it then
    names the first name that is missing, unexpected or of another shape.
    """
    found, expected = read_weights(path), model.state_dict()
    found = _without_prefix(found, expected)
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    if missing or unexpected:
        words = [
            f"{_first(names)} {what}"
            for names, what in ((missing, "missing from the file"), (unexpected, "unknown to the network"))
            if names
        ]
        raise DataError(
            f"{path} does not fit the network: {'; '.join(words)}. Make the network it was saved from."
        )
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise DataError(
                f"{path} does not fit the network: {name} is {tuple(tensor.shape)} in the file, "
                f"{tuple(expected[name].shape)} in the network. Make the network it was saved from."
            )
    model.load_state_dict(found)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a state_dict by name, on the CPU."""
    if not path.is_file():
        raise DataError(
            f"{path} does not exist or is no file; expected a network's weights. Correct its name."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise DataError(
            f"{path} is refused: it holds more than tensors and plain values, and nothing in it was run ({reason}). "
            "Save model.state_dict() alone."
        ) from None
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} is damaged or no file of weights ({reason}); save it again.") from None
    return _state_dict(path, content)


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    for key in WRAPPED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    others = (
        [k for k, value in content.items() if not isinstance(value, Tensor)]
        if isinstance(content, Mapping)
        else None
    )
    if others != []:
        what = f"{_first(others)} that is no tensor" if others else f"a {type(content).__name__}"
        raise DataError(
            f"{path} holds {what}; expected a state_dict, alone or under one of {', '.join(WRAPPED)}. Save "
            "model.state_dict()."
        )
    return {str(name): tensor for name, tensor in content.items()}


def _without_prefix(found: dict[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names that are expected, where all of these are there after one and the same prefix."""
    first = next(iter(expected), None)
    if first is None or first in found:
        return found
    for prefix in (name.removesuffix(first) for name in found if name.endswith(f".{first}")):
        stripped = {n.removeprefix(prefix): tensor for n, tensor in found.items() if n.startswith(prefix)}
        if set(stripped) == set(expected):
            return stripped
    return found


def _first(names: Iterable[Any]) -> str:
    """As in "'fc.weight' and 3 more"."""
    first, *more = map(str, names)
    return f"{first!r} and {len(more)} more" if more else repr(first)
