"""What a source gives, named by content: the cache keys of everything that is computed of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kernel_core import images
from kernel_core.descriptions import Source, TrainingRecipe
from kernel_core.errors import DataError
from kernel_core.hub import expected_sha256
from kernel_core.records import KernelSpec
from kernel_core.store import Store, hash_files, key_of

K = 50  # neighbors kept; every page and every verb slices them


@dataclass(frozen=True)
class Plan:
    """The cache keys of everything a source gives, by content. id: the key of them all together."""

    source: Source
    runs: int | None  # the first so many, None for all
    examples: str
    predictions: str
    neighbors: Mapping[KernelSpec, str]
    trained: str | None  # the ensemble's, if it is trained here

    @property
    def entries(self) -> list[tuple[str, str]]:
        """Kind and key of every entry that results are read from."""
        neighbors = [("neighbors", key) for key in sorted(self.neighbors.values())]
        return [("examples", self.examples), ("predictions", self.predictions), *neighbors]

    @property
    def id(self) -> str:
        """Equal for equal content."""
        return key_of({"parts": [key for _, key in self.entries]})


def plan_entries(source: Source, runs: int | None, store: Store) -> Plan:
    """The cache keys of a source's results; hashes its files, or remembers their hashes.

    Raises `DataError` if a file is missing, unreadable, or not what the Hub promised.
    """
    seen = {name: _hash(store, files) for name, files in images.image_units(source.images).items()}
    image_part = {"reader": source.images.reader, "files": seen}
    trained = None
    logits_part: dict[str, Any]
    features_part: dict[str, Any] = {}
    if isinstance(source.logits, TrainingRecipe):
        recipe = {"recipe": asdict(source.logits), "images": image_part}
        trained = key_of({"kind": "trained", **recipe})
        logits_part, features_part = recipe, recipe
    else:
        hashes = [[_relative(path, source.root), _hash(store, [path])] for path in source.logits]
        logits_part = {"files": hashes}
        _refuse_twins(hashes)
        if source.features:
            name = _relative(source.features, source.root)
            features_part = {"files": [[name, _hash(store, [source.features])]]}
    by_similarity = {"kernel": logits_part}
    if features_part:
        by_similarity |= {"penultimate": features_part, "penultimate-euclidean": features_part}
    by_similarity["pixels"] = image_part
    specs = {
        KernelSpec(similarity, k=K, runs=runs if similarity == "kernel" else None): part
        for similarity, part in by_similarity.items()
    }
    return Plan(
        source,
        runs,
        examples=key_of({"kind": "examples", **image_part}),
        predictions=key_of(
            {"kind": "predictions", "images": image_part, "logits": logits_part, "runs": runs}
        ),
        neighbors={
            spec: key_of({"kind": "neighbors", "spec": asdict(spec), "input": part})
            for spec, part in specs.items()
        },
        trained=trained,
    )


def _relative(path: Path, root: Path | None) -> str:
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.name


def _hash(store: Store, files: list[Path]) -> str:
    try:
        sha256 = hash_files(store, files)
    except OSError as error:
        raise DataError(
            f"{error.filename or files[0]} cannot be read ({error.strerror or error}); the source names it. "
            "Put it there, or correct the source."
        ) from None
    promised = expected_sha256(files[0]) if len(files) == 1 else None
    if promised and promised != sha256:
        raise DataError(
            f"{files[0]} is damaged: its SHA-256 is {sha256[:12]}…, the Hub promised {promised[:12]}…. "
            "Delete it and run the command again, which downloads it anew."
        )
    return sha256


def _refuse_twins(hashes: list[list[str]]) -> None:
    """The same runs twice would make every correlation look surer than it is."""
    seen: dict[str, str] = {}
    for name, sha256 in hashes:
        if sha256 in seen:
            raise DataError(
                f"{name} and {seen[sha256]} are the same file twice; leave one out of [ensemble] files."
            )
        seen[sha256] = name
