"""The straight line: source → embed → top-k → cache → results. `build` computes what the cache lacks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core import embed, evaluate, images, topk
from kernel_core.descriptions import TrainingRecipe
from kernel_core.ensembles import load_features, open_ensemble
from kernel_core.errors import DataError, NotBuilt, RequestError
from kernel_core.plan import Plan, plan_entries
from kernel_core.records import (
    SPLITS,
    Ensemble,
    ExampleSet,
    Features,
    KernelSpec,
    Progress,
    Results,
    Split,
    no_progress,
)
from kernel_core.results import read_examples, read_results
from kernel_core.sources import SourceRequest, open_source
from kernel_core.store import Store
from kernel_core.train import train_ensemble

# Bytes for top-k where the caller names none. A tenth of it is as fast on CIFAR-10; long rows want more.
BUDGET = {"cpu": 1_000_000_000, "cuda": 3_000_000_000}
log = logging.getLogger("kernel_core")


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
    torch_device = choose_device(device)
    source = open_source(request, progress=progress)
    progress("checking the source's files", 0, 1)
    plan = plan_entries(source, request.runs, store)
    progress("checking the source's files", 1, 1)
    try:
        return read_results(plan, store)
    except NotBuilt:
        with store.lock(plan.id, progress):
            budget = budget or BUDGET[torch_device.type]
            _Builder(plan, store, torch_device, budget, progress).run()
            return read_results(plan, store)


class _Builder:
    """One build: reads each input once, when the first missing entry asks for it, and writes entry by entry."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        device: torch.device,
        budget: int,
        progress: Progress,
    ) -> None:
        self.plan, self.store, self.progress = plan, store, progress
        self.device, self.budget = device, budget
        self._trained: tuple[Ensemble, Features] | None = None

    def run(self) -> None:
        examples = read_examples(self.plan, self.store) or self._load_examples()
        ensemble = self._ensemble(examples)
        check_alignment(ensemble, examples)
        if not self.store.has("predictions", self.plan.predictions):
            self._predict(ensemble, examples["test"])
        for spec, key in self.plan.neighbors.items():
            if not self.store.has("neighbors", key):
                self._find_neighbors(spec, key, ensemble, examples)

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
        source = self.plan.source
        if isinstance(source.logits, TrainingRecipe):
            ensemble = self._train(source.logits, examples)[0]
        else:
            ensemble = open_ensemble(source.logits, source.root)
        return ensemble.first(self.plan.runs) if self.plan.runs else ensemble

    def _train(
        self, recipe: TrainingRecipe, examples: Mapping[Split, ExampleSet]
    ) -> tuple[Ensemble, Features]:
        """The ensemble trained here and its run 0's features, from the cache if they are there."""
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
        self, spec: KernelSpec, key: str, ensemble: Ensemble, examples: Mapping[Split, ExampleSet]
    ) -> None:
        features = self._features(examples) if spec.similarity.startswith("penultimate") else None
        query, database = _rows(spec, ensemble, examples, features)
        step = f"nearest neighbors by {spec.similarity}"
        try:
            indices, values = topk.top_k(
                query,
                database,
                min(spec.k, len(database) - spec.excludes_self),
                exclude_self=spec.excludes_self,
                device=self.device,
                budget=self.budget,
                progress=lambda _, done, total: self.progress(step, done, total),
            )
        except torch.OutOfMemoryError:
            raise RequestError(
                f"The GPU ran out of memory within a budget of {self.budget / 1e9:.1f} GB, other programs may hold some; "
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
) -> tuple[topk.Rows, topk.Rows]:
    """Query rows and database rows of one similarity."""
    splits = spec.query, spec.database
    if spec.similarity == "kernel":
        query, database = (embed.KernelRows(ensemble, split) for split in splits)
        return query, database
    if features is None:
        flat = (examples[split].images.reshape(len(examples[split]), -1) for split in splits)
        pixels, database_pixels = (embed.CosineRows(values, centered=True) for values in flat)
        return pixels, database_pixels
    values, database_values = (features.values[split] for split in splits)
    if spec.similarity == "penultimate":
        return embed.CosineRows(values), embed.CosineRows(database_values)
    center = database_values.mean(0, dtype=np.float64)
    as_query = embed.EuclideanRows(values, center, is_query=True)
    return as_query, embed.EuclideanRows(database_values, center, is_query=False)


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
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise RequestError(
            "--device cuda was asked for, but torch sees no CUDA device; use --device auto or cpu."
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")
