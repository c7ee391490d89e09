"""The manifest of an ensemble's folder, `ensemble.json`: the examples of its runs, and what made the runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernel_core.errors import RequestError
from kernel_core.files import read_json
from kernel_core.records import ExampleSet
from kernel_core.sources.images_table import ImagesTable
from kernel_core.sources.labels_table import labels_table
from kernel_core.spec import SPLITS, Split

FILE = "ensemble.json"
FORMAT = 1
LABELS = "labels.safetensors"  # the file of labels
UNTOUCHED = "Nothing in the folder was changed. Choose another folder."


@dataclass(frozen=True)
class Identity:
    """What all runs of a folder have in common, as plain JSON values; None and empty mean "not specified".

    images: the section [images] of the folder's `source.toml`; for labels alone, [labels].
    examples: split → their count and SHA-256.
    layer: the layer that features are taken from.
    made_by: how the runs were made, as described by whoever made them.
    """

    images: ImagesTable = field(default_factory=dict)
    examples: dict[str, dict[str, Any]] = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)
    name: str | None = None
    layer: str = ""
    made_by: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of `ensemble.json`."""
        return {"format": FORMAT, **asdict(self)}

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the examples are of."""
        return tuple(split for split in SPLITS if split in self.examples)

    def completed(self, examples: Mapping[Split, ExampleSet], copies: Mapping[Split, str]) -> Identity:
        """Fill in what these examples determine. copies: files of images that are copied, not referred to."""
        first = next(iter(examples.values()))
        names = list(first.class_names)
        copied: ImagesTable = {str(split): copies[split] for split in examples}
        images = self.images or (copied if first.has_images else labels_table(LABELS, names))
        return Identity(images, fingerprints(examples), names, self.name, self.layer, self.made_by or {})

    def differences(self, other: Identity) -> Iterator[str]:
        """Yield where `other` differs from what is specified here, as in "seed is 0 there, 1 here"."""
        for name, here in asdict(self).items():
            if here or (name == "made_by" and here is not None):
                yield from _differences(name, getattr(other, name), here)


def _differences(name: str, there: Any, here: Any) -> Iterator[str]:
    if there == here:
        return
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *(key for key in here if key not in there)]:
            yield from _differences(f"{name}.{key}", there.get(key), here.get(key))
        return
    short = [text if len(text := json.dumps(v, ensure_ascii=False)) < 200 else "other" for v in (there, here)]
    yield f"{name} is {short[0]} there, {short[1]} here"


def read_identity(folder: Path) -> Identity | None:
    """Read a folder's manifest; return None if it has none.

    Raises `RequestError` if the manifest was not written by this program.
    """
    path = folder / FILE
    try:
        content = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read ({error}). {UNTOUCHED}") from None
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise RequestError(f"{path} is not an ensemble manifest written by Kernel Explorer. {UNTOUCHED}")
    try:
        return Identity(**content)
    except TypeError:
        raise RequestError(f"{path} has unknown or missing fields. {UNTOUCHED}") from None


def refuse_other_ensemble(folder: Path, in_folder: Identity, wanted: Identity) -> None:
    """Raise `RequestError` if the folder's identity differs from what is specified in the wanted one."""
    differences = list(wanted.differences(in_folder))
    if differences:
        raise RequestError(f"{folder} holds another ensemble: {'; '.join(differences)}. {UNTOUCHED}")


def refuse_foreign_files(folder: Path, expected: set[str]) -> None:
    """Raise `RequestError` if a folder without a manifest holds other entries than the expected ones."""
    if folder.exists() and not folder.is_dir():
        raise RequestError(
            f"{folder} is a file; expected a folder, or a path that does not exist yet. Choose another "
            "folder."
        )
    try:
        entries = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RequestError(f"{folder} cannot be read ({error.strerror}). {UNTOUCHED}") from None
    foreign = [name for name in entries if name not in expected and not name.startswith(f"{FILE}.")]
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise RequestError(
            f"{folder} is not an ensemble written by Kernel Explorer: it has no {FILE}, but holds "
            f"{', '.join(foreign[:3])}{more}. {UNTOUCHED}"
        )


def fingerprints(examples: Mapping[Split, ExampleSet]) -> dict[str, dict[str, Any]]:
    """Compute, per split, the number of examples and the SHA-256 of their images and labels."""
    return {str(split): _fingerprint(example_set) for split, example_set in examples.items()}


def _fingerprint(examples: ExampleSet) -> dict[str, Any]:
    digest = hashlib.sha256(repr(examples.images.shape).encode())
    digest.update(np.ascontiguousarray(examples.images).data)
    digest.update(np.ascontiguousarray(examples.labels).data)
    return {"count": len(examples), "sha256": digest.hexdigest()}


def json_values(made_by: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the values as JSON gives them back. Raises `RequestError` if JSON cannot hold them."""
    if made_by is None:
        return None
    try:
        content: dict[str, Any] = json.loads(json.dumps(dict(made_by), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RequestError(f"made_by is {made_by!r} ({error}); expected texts, numbers and lists.") from None
    return content
