"""What a source gives, named by content: the cache keys of everything that is computed of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kernel_core.errors import DataError, RequestError
from kernel_core.explain import traces
from kernel_core.findings.map_layout import RECIPE, SPLIT_ORDER
from kernel_core.recipes import Training
from kernel_core.results.store import Store, hash_files, key_of
from kernel_core.sources import images
from kernel_core.sources.hub import expected_sha256
from kernel_core.sources.source import Source, SourceRequest
from kernel_core.spec import KernelSpec, Split

PREDICTED = "accuracy, mean, spread, votes, and votes run by run"  # what an entry of predictions holds


@dataclass(frozen=True)
class Keys:
    """The cache keys, by content, of everything that was asked for of a source.

    specs: one a similarity that was asked for. each_class: whether the kernel of each class was asked for too.
    inputs: similarity → by content, what it is computed from; one for every similarity that the source gives.
    traces: split → the key of what explains the kernel's values, which results can do without; empty for a variant.
    """

    source: Source
    run_count: int | None  # the first so many, None for all
    examples: str
    predictions: Mapping[Split, str]
    specs: tuple[KernelSpec, ...]
    each_class: bool
    inputs: Mapping[str, Mapping[str, Any]]
    trained: str | None  # the key of the ensemble, if it is trained here
    traces: Mapping[Split, str]
    unproved: bool = False  # whether rows that half precision left in doubt are kept as they are

    def key(self, spec: KernelSpec) -> str:
        """The key of the neighbors that a spec describes, of this source."""
        content = {"kind": "neighbors", "spec": spec.content(), "input": self.inputs[spec.similarity]}
        return key_of({**content, "unproved": True} if self.unproved else content)

    def all_specs(self, classes: int) -> tuple[KernelSpec, ...]:
        """`specs`, then where each class was asked for, the kernel's of class 0, 1 … alone; classes: how many.

        Raises `RequestError` for a class that there is none of.
        """
        for spec in self.specs:
            if spec.classes is not None and spec.classes[-1] >= classes:
                raise RequestError(
                    f"Class {spec.classes[-1]} was asked for, but {self.source.name} has {classes} classes; "
                    f"expected classes from 0 to {classes - 1}."
                )
        if not self.each_class:
            return self.specs
        (kernel,) = (spec for spec in self.specs if spec.similarity == "kernel")
        return (*self.specs, *(replace(kernel, classes=(c,)) for c in range(classes)))

    @property
    def map(self) -> str:
        """The key of the map of all examples by the kernel of these runs and all classes."""
        order = [split for split in SPLIT_ORDER if split in self.source.images.splits]
        specs = [KernelSpec("kernel", q, d, run_count=self.run_count) for q in order for d in order]
        return key_of(
            {"kind": "map", "recipe": dict(RECIPE), "neighbors": [self.key(spec) for spec in specs]}
        )

    @property
    def offered(self) -> tuple[str, ...]:
        """Every similarity that the source gives."""
        return tuple(self.inputs)

    @property
    def entries(self) -> list[tuple[str, str]]:
        """Kind and key of every entry that results are read from, but for those of each class."""
        neighbors = [("neighbors", key) for key in sorted(map(self.key, self.specs))]
        predictions = [("predictions", key) for key in self.predictions.values()]
        return [("examples", self.examples), *predictions, *neighbors]

    @property
    def id(self) -> str:
        """Equal for equal content."""
        return key_of({"parts": [key for _, key in self.entries], "each_class": self.each_class})


def plan_keys(source: Source, request: SourceRequest, store: Store) -> Keys:
    """The cache keys of what was asked for of a source; hashes its files, or remembers their hashes.

    Raises `DataError` if a file is missing, unreadable, or not what the Hub promised, `RequestError` if a similarity
    was asked for that the source does not give.
    """
    seen = {name: _hash(store, files) for name, files in images.image_units(source.images).items()}
    image_part: dict[str, Any] = {"reader": source.images.reader, "files": seen}
    if source.images.size is not None:
        image_part["size"] = source.images.size
    trained = None
    logits_part: dict[str, Any]
    features_part: dict[str, Any] = {}
    if isinstance(source.logits, Training):
        recipe = {"recipe": source.logits.content(), "images": image_part}
        trained = key_of({"kind": "trained", **recipe})
        logits_part, features_part = recipe, recipe
    else:
        hashes = [[_relative(path, source.root), _hash(store, [path])] for path in source.logits]
        logits_part = {"files": hashes}
        _refuse_twins(hashes)
        if source.features:
            name = _relative(source.features, source.root)
            features_part = {"files": [[name, _hash(store, [source.features])]]}
    inputs = {"kernel": logits_part}
    if features_part:
        inputs |= {"penultimate": features_part, "penultimate-euclidean": features_part}
    inputs["pixels"] = image_part
    predicted = {"kind": "predictions", "of": PREDICTED, "images": image_part, "logits": logits_part, "runs": request.run_count}  # fmt: skip
    return Keys(
        source,
        request.run_count,
        examples=key_of({"kind": "examples", **image_part}),
        predictions={split: key_of({**predicted, "split": split}) for split in source.images.splits},
        specs=_specs(source, request, tuple(inputs)),
        each_class=request.classes == "each",
        inputs=inputs,
        trained=trained,
        traces=_trace_keys(source.images.splits, request, logits_part),
        unproved=request.precision == "fast",
    )


def _trace_keys(
    splits: tuple[Split, ...], request: SourceRequest, logits_part: Mapping[str, Any]
) -> dict[Split, str]:
    """The keys of the rows kept, the same for every number of runs beyond those kept."""
    if request.is_variant(splits) or request.similarities is not None:
        return {}
    first = min(request.run_count or traces.RUN_LIMIT, traces.RUN_LIMIT)
    content = {"kind": "rows", "input": logits_part, "runs": first, "bytes": traces.BYTE_LIMIT}
    return {split: key_of({**content, "split": split}) for split in splits}


def _specs(source: Source, request: SourceRequest, offered: tuple[str, ...]) -> tuple[KernelSpec, ...]:
    """One spec a similarity: those asked for; if none was, the kernel, and all others where nothing else was either."""
    splits = source.images.splits
    asked = request.similarities or (("kernel",) if request.is_variant(splits) else offered)
    for similarity in asked:
        refuse_unoffered(source.name, similarity, offered)
    kernel = request.kernel(splits)
    if not {kernel.query, kernel.database} <= set(splits):
        raise RequestError(
            f"Neighbors {kernel.direction} were asked for, but {source.name} has logits of the {splits[0]} split alone, "
            f"as its [ensemble] says; ask for {splits[0]}→{splits[0]}."
        )
    others = replace(kernel, run_count=None, transform="log_softmax", classes=None)
    return tuple(
        kernel if similarity == "kernel" else replace(others, similarity=similarity)
        for similarity in offered
        if similarity in asked
    )


def refuse_unoffered(name: str, similarity: str, offered: tuple[str, ...]) -> None:
    """Raise `RequestError` if the source of that name does not give a similarity."""
    if similarity not in offered:
        raise RequestError(
            f"{name} has no neighbors by {similarity!r}; it has {', '.join(offered)}. Penultimate features come with "
            "the source: name their file under [features] in its source.toml, or let `kernel-explorer features` make "
            "them."
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
