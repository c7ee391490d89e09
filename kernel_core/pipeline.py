"""The straight line: source → embed → top-k → cache → results. The only reader and writer of the cache.

`build` computes what the cache lacks (it imports torch, when called); `open_results` only reads, imports no torch
and touches no network, so that a web process can call it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kernel_core import evaluate, images
from kernel_core.errors import DataError, NotBuilt, RequestError
from kernel_core.hub import expected_sha256
from kernel_core.records import (
    SPLITS,
    Ensemble,
    ExampleSet,
    Features,
    KernelSpec,
    Neighbors,
    Predictions,
    Progress,
    Results,
    Source,
    Split,
    TrainingRecipe,
    no_progress,
)
from kernel_core.sources import SourceRequest, open_source
from kernel_core.store import Store, hash_files, key_of

if TYPE_CHECKING:
    import torch

    from kernel_core.topk import Rows

K = 50  # neighbors kept; every page and every verb slices them
BUDGET = {
    "cpu": 1_000_000_000,
    "cuda": 3_000_000_000,
}  # bytes for top-k; more gains little, see topk.DATABASE_BLOCK
log = logging.getLogger("kernel_core")


@dataclass(frozen=True)
class Plan:
    """The cache keys of everything a source gives, by content. id: the key of them all together."""

    source: Source
    examples: str
    predictions: str
    neighbors: Mapping[KernelSpec, str]
    trained: str | None  # the ensemble's, if it is trained here

    @property
    def id(self) -> str:
        """Equal for equal content."""
        return key_of({"parts": [self.examples, self.predictions, *sorted(self.neighbors.values())]})


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


def open_results(request: SourceRequest, store: Store | None = None) -> Results:
    """What has been built of a source. Raises `NotBuilt` if anything is missing; never computes or downloads."""
    store = store or Store()
    return _read_results(plan_entries(open_source(request, offline=True), request.runs, store), store)


def build(
    request: SourceRequest,
    *,
    device: str = "auto",
    budget: int | None = None,
    progress: Progress = no_progress,
    store: Store | None = None,
) -> Results:
    """Compute what the cache lacks of a source, and return it all.

    device: auto, cpu or cuda. budget: bytes that top-k may take. Raises any `KernelExplorerError`; the cache then
    holds what was finished, and nothing half done.
    """
    store = store or Store()
    source = open_source(request, progress=progress)
    progress("checking the source's files", 0, 1)
    plan = plan_entries(source, request.runs, store)
    try:
        return _read_results(plan, store)
    except NotBuilt:
        with store.lock(plan.id, progress):
            _Builder(plan, request.runs, store, device, budget, progress).run()
            return _read_results(plan, store)


def _read_results(plan: Plan, store: Store) -> Results:
    missing = NotBuilt(f"The results of {plan.source.name} are not in the cache {store.root}.")
    examples = _read_examples(plan, store)
    predictions = store.read("predictions", plan.predictions)
    if examples is None or predictions is None:
        raise missing
    neighbors, layer, run = {}, "", ""
    for spec, key in plan.neighbors.items():
        entry = store.read("neighbors", key)
        if entry is None:
            raise missing
        arrays, meta = entry
        neighbors[spec.similarity] = Neighbors(spec, arrays["indices"], arrays["values"])
        layer, run = meta.get("layer", layer), meta.get("run", run)
    return Results(plan.id, plan.source.name, examples, Predictions(**predictions[0]), neighbors, layer, run)


def _read_examples(plan: Plan, store: Store) -> dict[Split, ExampleSet] | None:
    entry = store.read("examples", plan.examples)
    if entry is None:
        return None
    arrays, meta = entry
    names = tuple(meta["class_names"])
    return {s: ExampleSet(s, arrays[f"{s}_images"], arrays[f"{s}_labels"], names) for s in SPLITS}


class _Builder:
    """One build: reads each input once, when the first missing entry asks for it, and writes entry by entry."""

    def __init__(
        self, plan: Plan, runs: int | None, store: Store, device: str, budget: int | None, progress: Progress
    ) -> None:
        self.plan, self.runs, self.store, self.progress = plan, runs, store, progress
        self.device, self.budget = device, budget
        self._trained: tuple[Ensemble, Features] | None = None

    def run(self) -> None:
        device = choose_device(self.device)
        budget = self.budget or BUDGET[device.type]
        examples = _read_examples(self.plan, self.store) or self._load_examples()
        ensemble = self._ensemble(examples)
        check_alignment(ensemble, examples)
        if not self.store.has("predictions", self.plan.predictions):
            self._predict(ensemble, examples["test"])
        for spec, key in self.plan.neighbors.items():
            if not self.store.has("neighbors", key):
                self._find_neighbors(spec, key, ensemble, examples, device, budget)

    def _load_examples(self) -> dict[Split, ExampleSet]:
        examples = {s: images.load_examples(self.plan.source.images, s, self.progress) for s in SPLITS}
        train, test = examples["train"], examples["test"]
        if train.images.shape[1:] != test.images.shape[1:]:
            raise DataError(
                f"Train images are {train.images.shape[1:3]} pixels, test images {test.images.shape[1:3]}; "
                "expected one size. Resize the images first."
            )
        if train.class_names != test.class_names:
            # Without names in the files, classes are counted from the labels: the longer list covers both.
            names = max(train.class_names, test.class_names, key=len)
            if not all(name.isdigit() for name in names):
                raise DataError(
                    f"Train classes are {train.class_names}, test classes {test.class_names}; expected the same."
                )
            examples = {s: ExampleSet(s, e.images, e.labels, names) for s, e in examples.items()}
        arrays = {
            f"{s}_{part}": getattr(e, part) for s, e in examples.items() for part in ("images", "labels")
        }
        meta = {"class_names": examples["train"].class_names}
        self._write("examples", self.plan.examples, arrays, meta, "images and labels")
        return examples

    def _write(
        self, kind: str, key: str, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any], about: str
    ) -> None:
        self.store.write(kind, key, arrays, meta, about=f"{self.plan.source.name}: {about}")

    def _ensemble(self, examples: Mapping[Split, ExampleSet]) -> Ensemble:
        from kernel_core.ensembles import open_ensemble

        source = self.plan.source
        if isinstance(source.logits, TrainingRecipe):
            ensemble = self._train(source.logits, examples)[0]
        else:
            ensemble = open_ensemble(source.logits, source.root)
        return ensemble.first(self.runs) if self.runs else ensemble

    def _train(
        self, recipe: TrainingRecipe, examples: Mapping[Split, ExampleSet]
    ) -> tuple[Ensemble, Features]:
        """The ensemble trained here and its run 0's features, from the cache if they are there."""
        from kernel_core.train import train_ensemble

        assert self.plan.trained is not None
        if self._trained is None:
            entry = self.store.read("trained", self.plan.trained)
            if entry is None:
                ensemble, features = train_ensemble(recipe, dict(examples), self.progress)
                arrays = {f"{s}_logits": logits for s, logits in ensemble.parts[0].items()}
                arrays |= {f"{s}_features": values for s, values in features.values.items()}
                meta = {"layer": features.layer, "run": features.run}
                self._write(
                    "trained", self.plan.trained, arrays, meta, f"{ensemble.runs} networks trained here"
                )
            else:
                arrays, meta = entry
                names = ("the ensemble trained here",)
                ensemble = Ensemble(names, ({s: arrays[f"{s}_logits"] for s in SPLITS},))
                features = Features({s: arrays[f"{s}_features"] for s in SPLITS}, **meta)
            self._trained = ensemble, features
        return self._trained

    def _features(self, examples: Mapping[Split, ExampleSet]) -> Features:
        from kernel_core.ensembles import load_features

        source = self.plan.source
        if isinstance(source.logits, TrainingRecipe):
            return self._train(source.logits, examples)[1]
        assert source.features is not None
        features = load_features(source.features)
        for split, values in features.values.items():
            if len(values) != len(examples[split]):
                raise DataError(
                    f"{source.features} has features of {len(values):,} {split} examples, but there are "
                    f"{len(examples[split]):,} {split} images; expected one row an image, in the same order."
                )
        return features

    def _predict(self, ensemble: Ensemble, test: ExampleSet) -> None:
        predictions = evaluate.predict(ensemble, "test", test.labels, self.progress)
        if predictions.single.mean() < 1.5 / ensemble.classes:
            log.warning(
                "the runs of %s are right on only %.1f %% of the test labels, as by chance: are its images in the "
                "order of its logits?", self.plan.source.name, 100 * predictions.single.mean(),
            )  # fmt: skip
        arrays = asdict(predictions)
        self._write("predictions", self.plan.predictions, arrays, {}, f"predictions of {ensemble.runs} runs")

    def _find_neighbors(
        self, spec: KernelSpec, key: str, ensemble: Ensemble, examples: Mapping[Split, ExampleSet],
        device: torch.device, budget: int,
    ) -> None:  # fmt: skip
        import torch

        from kernel_core import embed, topk

        features = self._features(examples) if spec.similarity.startswith("penultimate") else None
        query, database = _rows(spec, ensemble, examples, features)
        step = f"nearest neighbors by {spec.similarity}"
        try:
            indices, values = topk.top_k(
                query,
                database,
                min(spec.k, len(database) - spec.excludes_self),
                exclude_self=spec.excludes_self,
                device=device,
                budget=budget,
                progress=lambda _, done, total: self.progress(step, done, total),
            )
        except torch.OutOfMemoryError:
            raise RequestError(
                f"The GPU ran out of memory within a budget of {budget / 1e9:.1f} GB, other programs may hold some; "
                "give less with --memory, or use --device cpu."
            ) from None
        if spec.similarity == "penultimate-euclidean":
            values = embed.distance(values)
        meta = {"spec": spec.to_json()}
        if features is not None:
            meta |= {"layer": features.layer, "run": features.run}
        arrays = {"indices": indices, "values": values.float().numpy()}
        self._write(
            "neighbors", key, arrays, meta, f"{spec.query}→{spec.database} neighbors by {spec.similarity}"
        )


def _rows(
    spec: KernelSpec, ensemble: Ensemble, examples: Mapping[Split, ExampleSet], features: Features | None
) -> tuple[Rows, Rows]:
    """Query rows and database rows of one similarity."""
    from kernel_core import embed

    if spec.similarity == "kernel":
        return embed.KernelRows(ensemble, spec.query), embed.KernelRows(ensemble, spec.database)
    if features is None:
        flat = {s: examples[s].images.reshape(len(examples[s]), -1) for s in (spec.query, spec.database)}
        return embed.CosineRows(flat[spec.query], centered=True), embed.CosineRows(
            flat[spec.database], centered=True
        )
    query, database = features.values[spec.query], features.values[spec.database]
    if spec.similarity == "penultimate":
        return embed.CosineRows(query), embed.CosineRows(database)
    center = database.mean(0, dtype=np.float64)
    return embed.EuclideanRows(query, center, is_query=True), embed.EuclideanRows(
        database, center, is_query=False
    )


def check_alignment(ensemble: Ensemble, examples: Mapping[Split, ExampleSet]) -> None:
    """Raise `DataError` unless the logits have one row an image and one column a class."""
    for split, example_set in examples.items():
        if ensemble.examples(split) != len(example_set):
            raise DataError(
                f"{ensemble.names[0]}: its {split} logits are of {ensemble.examples(split):,} examples, but there are "
                f"{len(example_set):,} {split} images and labels; expected one each, in the same order."
            )
    names = examples["train"].class_names
    if ensemble.classes != len(names):
        raise DataError(
            f"{ensemble.names[0]}: its logits have {ensemble.classes} classes, but the images have {len(names)} class "
            f"names ({', '.join(names[:12])}{', …' if len(names) > 12 else ''}); expected as many."
        )


def choose_device(name: str) -> torch.device:
    """auto → CUDA if there is one, else the CPU. Raises `RequestError` if cuda is asked for and absent."""
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise RequestError(
            "--device cuda was asked for, but torch sees no CUDA device; use --device auto or cpu."
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def evaluation(results: Results) -> dict[str, float | int | None]:
    """The accuracies on the test split, as fractions; None where the source gives no penultimate features."""
    predictions, labels = results.predictions, results.labels
    accuracy: dict[str, float | int | None] = {
        "runs": len(predictions.single),
        "single": float(predictions.single.mean()),
        "ensemble": float((predictions.predicted == labels[0]).mean()),
    }
    for name, similarity in (("kernel", "kernel"), ("penultimate", "penultimate"), ("pixels", "pixels")):
        neighbors = results.neighbors.get(similarity)
        accuracy[f"{name}_knn3"] = evaluate.knn_accuracy(neighbors, *labels) if neighbors else None
        if name == "kernel":
            accuracy["kernel_weighted20"] = evaluate.weighted_knn_accuracy(
                results.neighbors["kernel"], *labels
            )
    return accuracy
