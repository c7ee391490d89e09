"""The cache keys of everything computed from a source: each names its inputs and how it is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kernel_core.did_you_mean import did_you_mean
from kernel_core.errors import DataError, RequestError
from kernel_core.explain import traces
from kernel_core.findings.map_layout import RECIPE, SPLIT_ORDER, distance_of
from kernel_core.nngp import HIDDEN_LAYERS
from kernel_core.recipes import Training
from kernel_core.records import Ensemble
from kernel_core.results.promised import hash_each_promised, hash_promised
from kernel_core.results.store import Store, key_of
from kernel_core.similarities import PATCHES, Similarity
from kernel_core.sources import images
from kernel_core.sources.ensemble_table import rows_have_names
from kernel_core.sources.given import fitting
from kernel_core.sources.source import Source, SourceRequest, penultimate
from kernel_core.spec import KernelSpec, Split

# What an entry of predictions holds. It is part of the key, so entries of older versions are not mistaken for
# it.
PREDICTED = "accuracy, mean, spread and votes of the likeliest classes, and votes run by run"
Content = dict[str, Any]  # plain JSON values that a key is made from


@dataclass(frozen=True)
class Keys:
    """The cache keys of everything that was asked for from a source.

    run_count: number of the ensemble's first runs that are used; None for all.
    examples: says what the images and labels are; labels, and by split images: keys of their entries.
    predictions: keys of each split's predictions.
    specs: the neighbors that were asked for, by similarity or variant of the kernel.
    each_class: whether the kernel of each class was asked for too.
    inputs: by similarity, the content that it is computed from; every similarity that the source offers.
    trained: key of the ensemble, if it is trained here.
    traces: by split, the key of the traces, without which results open too; empty for a variant.
    unproved: whether rows that half precision left in doubt are kept as they are.
    """

    source: Source
    run_count: int | None
    examples: str
    predictions: Mapping[Split, str]
    specs: Mapping[str, KernelSpec]
    each_class: bool
    inputs: Mapping[str, Content]
    trained: str | None
    traces: Mapping[Split, str]
    unproved: bool = False

    def key(self, spec: KernelSpec) -> str:
        """Return the key of the neighbors that a spec describes."""
        content = {"kind": "neighbors", "spec": spec.content(), "input": self.inputs[spec.similarity]}
        return key_of({**content, "unproved": True} if self.unproved else content)

    def all_specs(self, class_count: int) -> tuple[KernelSpec, ...]:
        """Return `specs`, followed by the kernel of each class alone if that was asked for.

        Raises `RequestError` if a spec has a class that the source lacks.
        """
        for spec in self.specs.values():
            if spec.classes is not None and spec.classes[-1] >= class_count:
                raise RequestError(
                    f"Class {spec.classes[-1]} was asked for, but {self.source.name} has {class_count} "
                    f"classes. Choose classes from 0 to {class_count - 1}."
                )
        if not self.each_class:
            return tuple(self.specs.values())
        kernel = self.specs["kernel"]
        return (*self.specs.values(), *(replace(kernel, classes=(c,)) for c in range(class_count)))

    def moments(self, ensemble: Ensemble, part: int, content: Content) -> str:
        """Return the key of the mean and spread over the runs of one part of the ensemble's files.

        content: what else they depend on, by name.
        """
        hashes = [self.inputs["kernel"]["files"][number][1] for number in ensemble.files_of(part)]
        file = hashes[0] if len(hashes) == 1 else key_of({"files": hashes})
        form = dict(self.inputs["kernel"].get("form", {}))
        if ensemble.floor:  # it depends on the other files too
            form["floor"] = ensemble.floor.zero
        return key_of({"kind": "moments", "file": file, **content, **({"form": form} if form else {})})

    def map(self, similarity: str) -> str:
        """Return the key of the map of all examples by a similarity, or by a variant of the kernel.

        Raises `RequestError` if the source does not offer it, or if its values are no distances.
        """
        splits = [split for split in SPLIT_ORDER if split in self.source.images.splits]
        kernels = [KernelSpec("kernel", q, d, run_count=self.run_count) for q in splits for d in splits]
        specs = [KernelSpec.named(similarity, kernel) for kernel in kernels]
        refuse_unoffered(self.source.name, specs[0].similarity, tuple(self.offered))
        recipe = {**RECIPE, "distance": distance_of(self.offered[specs[0].similarity])}
        return key_of({"kind": "map", "recipe": recipe, "neighbors": [self.key(spec) for spec in specs]})

    @property
    def offered(self) -> dict[str, Similarity]:
        """Every similarity that the source offers, by name."""
        return {similarity.name: similarity for similarity in self.source.similarities}

    @property
    def labels(self) -> str:
        """The key of the labels and class names."""
        return key_of({"kind": "examples", "images": "mapped", "of": self.examples})

    @property
    def images(self) -> dict[Split, str]:
        """The key of each split's images, and of their thumbnails."""
        return {
            split: key_of({"kind": "images", "of": self.examples, "split": split})
            for split in self.source.images.splits
        }

    @property
    def entries(self) -> list[tuple[str, str]]:
        """Kind and key of every entry that results need, except neighbors by the kernel of each class."""
        images = self.images.values() if self.source.images.has_images else ()
        return [("examples", self.labels), *(("images", key) for key in images), *self._computed]

    @property
    def _computed(self) -> list[tuple[str, str]]:
        neighbors = [("neighbors", key) for key in sorted(map(self.key, self.specs.values()))]
        return [*(("predictions", key) for key in self.predictions.values()), *neighbors]

    @property
    def id(self) -> str:
        """Name of the results; the same for the same content."""
        parts = [self.examples, *(key for _, key in self._computed)]
        return key_of({"parts": parts, "each_class": self.each_class})


def plan_keys(source: Source, request: SourceRequest, store: Store) -> Keys:
    """Return the keys of what is asked for from a source.

    Hashes the source's files, unless the cache remembers their hashes.
    Raises `DataError` if a file is missing, unreadable, or not what the Hub promised, and `RequestError` if
    the source does not offer a similarity that is asked for.
    """
    splits = source.images.splits
    image_content = _image_content(source, store)
    is_trained = isinstance(source.logits, Training)
    logits = _logits_content(source, image_content, store, request.run_count)
    predicted = {
        "kind": "predictions",
        "of": PREDICTED,
        "images": image_content,
        "logits": logits,
        "runs": request.run_count,
    }
    return Keys(
        source,
        request.run_count,
        examples=key_of({"kind": "examples", **image_content}),
        predictions={split: key_of({**predicted, "split": split}) for split in splits},
        specs=_specs(source, request),
        each_class=request.classes == "each",
        inputs={"kernel": logits, **_of_images(image_content), **_other_inputs(source, logits, store)},
        trained=key_of({"kind": "trained", **logits}) if is_trained else None,
        traces=_trace_keys(splits, request, logits),
        unproved=request.precision == "fast",
    )


def _image_content(source: Source, store: Store) -> Content:
    hashes = {name: hash_promised(store, files) for name, files in images.image_units(source.images).items()}
    content: Content = {"reader": source.images.reader, "files": hashes}
    if source.images.size is not None:
        content["size"] = source.images.size
    return content | source.images.said


def _of_images(image_content: Content) -> dict[str, Content]:
    """Return, by similarity, the content of those that are of images alone."""
    nngp = {"images": image_content, "hidden_layers": HIDDEN_LAYERS}
    return {"pixels": image_content, "nngp": nngp}


def _logits_content(source: Source, image_content: Content, store: Store, run_count: int | None) -> Content:
    if isinstance(source.logits, Training):
        return {"recipe": source.logits.content(), "images": image_content}
    of_each = hash_each_promised(store, source.logits, run_count)
    hashes = [[_relative(path, source.root), sha] for path, sha in zip(source.logits, of_each, strict=True)]
    _refuse_duplicates(hashes)
    form = source.logit_form.content()
    if rows_have_names(source.logits[0], source.logit_form):
        form["joined"] = image_content
    return {"files": hashes, **({"form": form} if form else {})}


def _other_inputs(source: Source, logits: Content, store: Store) -> dict[str, Content]:
    """Return, by similarity, the content of features and of given neighbors."""
    inputs: dict[str, Content] = {}
    if isinstance(source.logits, Training):
        inputs |= {of.name: logits for of in penultimate(None).similarities}
        if source.logits.of_heads:
            inputs[PATCHES] = {"images": logits["images"], "features": logits["recipe"]["features"]}
    for features in source.feature_sets:
        files = [_name_and_hash(source, path, store) for path in features.files.values()]
        inputs |= {similarity.name: {"files": files} for similarity in features.similarities}
    for given in source.given:
        file = _name_and_hash(source, given.file, store)
        inputs[given.name] = {"files": [file], "between": [given.query, given.database]}
    return inputs


def _trace_keys(splits: tuple[Split, ...], request: SourceRequest, logits: Content) -> dict[Split, str]:
    """Return the keys of the traces, which are the same for every number of runs beyond those kept."""
    if request.is_variant(splits) or request.similarities is not None:
        return {}
    run_count = min(request.run_count or traces.RUN_LIMIT, traces.RUN_LIMIT)
    # The words of this content are those that the cache has always known it by.
    content = {"kind": "rows", "input": logits, "runs": run_count, "bytes": traces.BYTE_LIMIT}
    return {split: key_of({**content, "split": split}) for split in splits}


def _specs(source: Source, request: SourceRequest) -> dict[str, KernelSpec]:
    """Return one spec per similarity that is asked for.

    If none is, that is the kernel alone for a variant of it, and otherwise every similarity of the source but
    those on request.
    """
    splits = source.images.splits
    offered = {similarity.name: similarity for similarity in source.similarities}
    kernel = request.kernel(splits)
    if not {kernel.query, kernel.database} <= set(splits):
        raise RequestError(
            f"Neighbors {kernel.direction} were asked for, but {source.name} has logits of the {splits[0]} "
            f"split alone, as its [ensemble] says. Ask for {splits[0]}→{splits[0]}."
        )
    fits = fitting(source, *kernel.splits)
    unasked = ["kernel"] if request.is_variant(splits) else [n for n in fits if not offered[n].on_request]
    requested = request.similarities or unasked
    specs = {name: request.spec(name, splits) for name in requested}
    for name, spec in specs.items():
        refuse_unoffered(source.name, spec.similarity, tuple(offered))
        if name in offered and name not in fits:
            ((query, database),) = ((of.query, of.database) for of in source.given if of.name == name)
            raise RequestError(
                f"{source.name} is given the neighbors by {name!r} {query}→{database} alone, but those "
                f"{kernel.direction} were asked for. Ask for {query}→{database}, or for another similarity."
            )
    order = [*offered, *specs]  # the source's own order, variants of the kernel last
    return {name: specs[name] for name in sorted(specs, key=order.index)}


def refuse_unoffered(name: str, similarity: str, offered: tuple[str, ...]) -> None:
    """Raise `RequestError` if the source called `name` does not offer a similarity."""
    if similarity not in offered:
        raise RequestError(
            f"{name} has no neighbors by {similarity!r}; it has {', '.join(offered)}."
            f"{did_you_mean(similarity, offered)} To add features, name their file under [features] in the "
            "source.toml, or run `kernel-explorer features`."
        )


def _name_and_hash(source: Source, path: Path, store: Store) -> list[str]:
    return [_relative(path, source.root), hash_promised(store, [path])]


def _relative(path: Path, root: Path | None) -> str:
    return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.name


def _refuse_duplicates(hashes: list[list[str]]) -> None:
    """Raise `DataError` if two names have one SHA-256: its runs would make every correlation look surer."""
    names: dict[str, str] = {}
    for name, sha256 in hashes:
        if sha256 in names:
            raise DataError(
                f"{name} and {names[sha256]} are the same file. Leave one of them out of [ensemble] files."
            )
        names[sha256] = name
