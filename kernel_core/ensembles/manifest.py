"""What the folder of an ensemble says of itself, in `ensemble.json`: what it is an ensemble of, and what made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernel_core.errors import RequestError
from kernel_core.records import ExampleSet
from kernel_core.spec import SPLITS, Split

FILE = "ensemble.json"
FORMAT = 1


@dataclass(frozen=True)
class Identity:
    """What runs must have in common to stand in one folder. Plain JSON values; None and empty are "not said".

    images: the section [images] of the folder's `source.toml`. examples: per split their number and SHA-256.
    made_by: what the runs were made by, as its maker describes it.
    """

    images: dict[str, str | int] = field(default_factory=dict)
    examples: dict[str, dict[str, Any]] = field(default_factory=dict)
    class_names: list[str] = field(default_factory=list)
    name: str | None = None
    layer: str = ""
    made_by: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of `ensemble.json`."""
        return {"format": FORMAT, **asdict(self)}

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that its examples are of."""
        return tuple(split for split in SPLITS if split in self.examples)

    def of(self, examples: Mapping[Split, ExampleSet], copies: Mapping[Split, str]) -> Identity:
        """The same, said of these examples, which are copied to those files unless they are referred to."""
        images: dict[str, str | int] = self.images or {str(split): copies[split] for split in examples}
        names = list(next(iter(examples.values())).class_names)
        return Identity(images, fingerprints(examples), names, self.name, self.layer, self.made_by or {})

    def differences(self, other: Identity) -> Iterator[str]:
        """In what the other differs from what is said here, as in "seed is 0 there, 1 here"."""
        for name, said in asdict(self).items():
            if said or (name == "made_by" and said is not None):
                yield from _differences(name, getattr(other, name), said)


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
    """What the folder says of itself; None where it says nothing.

    Raises `RequestError` if its `ensemble.json` was not written by this program.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read ({error}); {_ELSEWHERE}") from None
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise RequestError(f"{path} says of no ensemble of ours; {_ELSEWHERE}")
    try:
        return Identity(**content)
    except TypeError:
        raise RequestError(f"{path} says other things than ours do; {_ELSEWHERE}") from None


_ELSEWHERE = "nothing in the folder was touched. Name another folder."


def refuse_other(folder: Path, known: Identity, said: Identity) -> None:
    """Raise `RequestError` if what is said here is not what the folder says of itself."""
    differences = list(said.differences(known))
    if differences:
        raise RequestError(f"{folder} holds another ensemble: {'; '.join(differences)}; {_ELSEWHERE}")


def refuse_foreign(folder: Path, own: set[str]) -> None:
    """Raise `RequestError` if a folder that says nothing of itself holds other entries than those named."""
    if folder.exists() and not folder.is_dir():
        raise RequestError(
            f"{folder} is a file; expected a folder, or no such name yet. Name another folder."
        )
    try:
        found = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RequestError(f"{folder} cannot be read ({error.strerror}); {_ELSEWHERE}") from None
    foreign = [name for name in found if name not in own and not name.startswith(f"{FILE}.")]
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise RequestError(
            f"{folder} is no ensemble of ours: it has no {FILE}, but holds {', '.join(foreign[:3])}{more}; {_ELSEWHERE}"
        )


def fingerprints(examples: Mapping[Split, ExampleSet]) -> dict[str, dict[str, Any]]:
    """Per split the number of examples, and the SHA-256 of their images and labels."""
    return {str(split): _fingerprint(example_set) for split, example_set in examples.items()}


def _fingerprint(examples: ExampleSet) -> dict[str, Any]:
    digest = hashlib.sha256(repr(examples.images.shape).encode())
    digest.update(np.ascontiguousarray(examples.images).data)
    digest.update(np.ascontiguousarray(examples.labels).data)
    return {"count": len(examples), "sha256": digest.hexdigest()}


def plain(made_by: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The same values as JSON gives them back. Raises `RequestError` if they are none of JSON's."""
    if made_by is None:
        return None
    try:
        content: dict[str, Any] = json.loads(json.dumps(dict(made_by), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RequestError(f"made_by is {made_by!r} ({error}); expected texts, numbers and lists.") from None
    return content
