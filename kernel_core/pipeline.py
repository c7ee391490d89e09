"""The straight line: source → embed → top-k → cache → results. `build` computes what the cache lacks."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.checks import alike, check_alignment, check_features, refuse_lonely
from kernel_core.ensembles.log_file import load_features, open_ensemble
from kernel_core.ensembles.predictions import predict
from kernel_core.errors import DataError, NotBuilt, StoreError
from kernel_core.explain.traces import kept_run_count
from kernel_core.findings import map_layout
from kernel_core.machine import Machine, choose_device, use_allowed_cores
from kernel_core.networks.training import train_in_memory
from kernel_core.progress import Progress, no_progress, renamed
from kernel_core.recipes import Training
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.results.keys import Keys, plan_keys
from kernel_core.results.results import Results, read_examples, read_map, read_results
from kernel_core.results.store import Store, hash_files, key_of
from kernel_core.search import certified, topk
from kernel_core.similarity.embed import embed
from kernel_core.similarity.kernel_rows import read_moments, trace_blocks
from kernel_core.similarity.moments import Moments, merge
from kernel_core.similarity.vectors import minus_distances
from kernel_core.sources import images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS, KernelSpec, Split

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

    device: auto, cpu or cuda. budget: bytes that top-k may take. On a CPU every precision is exact. Raises any
    `KernelExplorerError`; the cache then holds what was finished, and nothing half done.
    """
    store = store or Store()
    torch_device = choose_device(device)
    source = open_source(request, progress=progress)
    progress("checking the source's files", 0, 1)
    keys = plan_keys(source, request, store)
    progress("checking the source's files", 1, 1)
    with contextlib.suppress(NotBuilt):
        found = read_results(keys, store)
        if found.traces or not keys.traces:
            return found
    with store.lock(keys.id, progress):
        use_allowed_cores()
        machine = Machine(torch_device, budget or BUDGET[torch_device.type])
        precision = certified.choose_precision(request.precision, torch_device)
        _Builder(keys, store, machine, precision, progress).run()
        return read_results(keys, store)


def build_map(
    request: SourceRequest,
    *,
    device: str = "auto",
    budget: int | None = None,
    progress: Progress = no_progress,
    store: Store | None = None,
) -> map_layout.Map:
    """The map of all examples by the kernel, computed with the neighbors that it is drawn from where the cache lacks it.

    Takes and raises what `build` does; of the request only name, runs, files and precision count. Raises
    `RequestError` if there are too few examples.
    """
    store = store or Store()
    how: dict[str, Any] = {"device": device, "budget": budget, "progress": progress, "store": store}
    asked = SourceRequest(request.name, request.run_count, request.files, precision=request.precision)
    keys = plan_keys(open_source(asked, progress=progress), asked, store)
    try:
        return read_map(keys, store)
    except NotBuilt:
        pass
    by_kernel = replace(asked, similarities=("kernel",))
    examples = build(by_kernel, **how).examples
    counts = map_layout.example_counts(examples)
    found = {
        (query, database): build(replace(by_kernel, query=query, database=database), **how).neighbors[
            "kernel"
        ]
        for query, database in map_layout.search_directions(counts)
    }
    with store.lock(keys.map, progress):
        if not store.has("map", keys.map):
            near, values = map_layout.merge_neighbors(found)
            xy = map_layout.layout(near, values, progress)
            meta = {"counts": counts, "kept": map_layout.share_kept(xy, near)}
            about = f"{keys.source.name}: map of {sum(counts):,} examples"
            arrays = {"xy": xy, "nearest": near[:, : map_layout.LINE_COUNT]}
            store.write("map", keys.map, arrays, meta, about=about)
    return read_map(keys, store)


class _Builder:
    """One build: reads each input once, when the first missing entry asks for it, and writes entry by entry."""

    def __init__(
        self,
        keys: Keys,
        store: Store,
        machine: Machine,
        precision: str,
        progress: Progress,
    ) -> None:
        self.keys, self.store, self.progress = keys, store, progress
        self.machine, self.precision = machine, precision
        self._trained: tuple[Ensemble, Features] | None = None

    def run(self) -> None:
        examples = read_examples(self.keys, self.store) or self._load_examples()
        specs = self.keys.all_specs(len(next(iter(examples.values())).class_names))
        refuse_lonely(specs, examples)
        ensemble = self._ensemble(examples)
        check_alignment(ensemble, examples)
        for split, key in self.keys.predictions.items():
            if not self.store.has("predictions", key):
                self._predict(ensemble, examples[split], key)
        missing = [spec for spec in specs if not self.store.has("neighbors", self.keys.key(spec))]
        if self.keys.each_class:
            kernels = [spec for spec in missing if spec.similarity == "kernel"]
            missing = [spec for spec in missing if spec.similarity != "kernel"]
            self._find_class_neighbors(kernels, ensemble, examples)
        for spec in missing:
            self._find_neighbors(spec, ensemble, examples)
        if not all(self.store.has("rows", key) for key in self.keys.traces.values()):
            self._keep_rows(ensemble)

    def _load_examples(self) -> dict[Split, ExampleSet]:
        source = self.keys.source.images
        examples = alike({s: images.load_examples(source, s, self.progress) for s in source.splits})
        arrays = {
            f"{s}_{part}": getattr(e, part) for s, e in examples.items() for part in ("images", "labels")
        }
        meta = {"class_names": next(iter(examples.values())).class_names}
        self._write("examples", self.keys.examples, arrays, meta, "images and labels")
        return examples

    def _write(
        self, kind: str, key: str, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any], about: str
    ) -> None:
        self.store.write(kind, key, arrays, meta, about=f"{self.keys.source.name}: {about}")

    def _ensemble(self, examples: Mapping[Split, ExampleSet]) -> Ensemble:
        source = self.keys.source
        if isinstance(source.logits, Training):
            ensemble = self._train(source.logits, examples)[0]
        else:
            ensemble = open_ensemble(source.logits, source.root, source.images.splits)
            for path, (name, sha256) in zip(source.logits, self.keys.inputs["kernel"]["files"], strict=True):
                if hash_files(self.store, [path]) != sha256:
                    raise DataError(f"{name} was replaced during the build; run the command again.")
        return ensemble.first(self.keys.run_count) if self.keys.run_count else ensemble

    def _train(self, training: Training, examples: Mapping[Split, ExampleSet]) -> tuple[Ensemble, Features]:
        """The ensemble trained here and its run 0's features, from the cache if they are there."""
        assert self.keys.trained is not None
        if self._trained is None:
            entry = self.store.read("trained", self.keys.trained)
            if entry is None:
                ensemble, features = train_in_memory(training, examples, self.progress)
                arrays = {f"{s}_logits": logits for s, logits in ensemble.parts[0].items()}
                arrays |= {f"{s}_features": values for s, values in features.values.items()}
                meta = {"layer": features.layer, "run": features.run}
                self._write(
                    "trained", self.keys.trained, arrays, meta, f"{ensemble.run_count} networks trained here"
                )
            else:
                arrays, meta = entry
                names = ("the ensemble trained here",)
                ensemble = Ensemble(names, ({s: arrays[f"{s}_logits"] for s in SPLITS},))
                features = Features({s: arrays[f"{s}_features"] for s in SPLITS}, **meta)
            self._trained = ensemble, features
        return self._trained

    def _features(self, examples: Mapping[Split, ExampleSet]) -> Features:
        source = self.keys.source
        if isinstance(source.logits, Training):
            return self._train(source.logits, examples)[1]
        assert source.features is not None
        features = load_features(source.features, source.images.splits)
        check_features(features, str(source.features), examples)
        return features

    def _predict(self, ensemble: Ensemble, of: ExampleSet, key: str) -> None:
        predictions = predict(ensemble, of.split, of.labels, self.progress)
        if predictions.single.mean() < 1.5 / ensemble.class_count:
            log.warning(
                "the runs of %s are right on only %.1f %% of the %s labels, as by chance: are its images in the "
                "order of its logits?", self.keys.source.name, 100 * predictions.single.mean(), of.split,
            )  # fmt: skip
        about = f"{of.split} predictions of {ensemble.run_count} runs"
        self._write("predictions", key, asdict(predictions), {}, about)

    def _keep_rows(self, ensemble: Ensemble) -> None:
        """Write what explains a value, of as many runs as there is room for; a failure leaves results without it."""
        examples = {split: ensemble.example_count(split) for split in self.keys.traces}
        C, M = (
            ensemble.class_count,
            kept_run_count(ensemble.run_count, sum(examples.values()) * ensemble.class_count),
        )
        if M < 2:
            log.warning("%s is too large to keep what explains its values", self.keys.source.name)
            return
        first = ensemble.first(M)
        try:
            for split, key in self.keys.traces.items():
                blocks = trace_blocks(first, split, self._step(f"keeping {split} outputs"))
                about = f"{self.keys.source.name}: {split} outputs of {M} runs"
                self.store.write_blocks("rows", key, "rows", (examples[split], C, M), blocks, about=about)
                ensemble.check_unchanged()
        except StoreError as error:
            log.warning("what explains a value could not be kept; all else works without it. %s", error)

    def _find_class_neighbors(
        self, missing: list[KernelSpec], ensemble: Ensemble, examples: Mapping[Split, ExampleSet]
    ) -> None:
        """Neighbors by the kernel and by those of single classes, in one pass over the logits."""
        if len(missing) < 2:
            for spec in missing:
                self._find_neighbors(spec, ensemble, examples)
            return
        spec = replace(missing[0], classes=None)
        query, database = embed(spec, examples, ensemble, moments=self._moments(spec, ensemble))
        tops = topk.top_k_by_class(
            query, database, neighbors_kept(spec, len(database)), exclude_self=spec.excludes_self,
            machine=self.machine, progress=self._step("nearest neighbors by each class"),
        )  # fmt: skip
        ensemble.check_unchanged()
        for spec in missing:
            self._keep(spec, tops[0] if spec.classes is None else tops[1 + spec.classes[0]], None, {})

    def _find_neighbors(
        self, spec: KernelSpec, ensemble: Ensemble, examples: Mapping[Split, ExampleSet]
    ) -> None:
        features = self._features(examples) if spec.similarity.startswith("penultimate") else None
        moments = self._moments(spec, ensemble) if spec.similarity == "kernel" else None
        query, database = embed(spec, examples, ensemble, features, moments)
        found = certified.nearest(
            query, database, neighbors_kept(spec, len(database)), precision=self.precision,
            exclude_self=spec.excludes_self, machine=self.machine,
            progress=self._step(f"nearest neighbors by {spec.title}"),
        )  # fmt: skip
        ensemble.check_unchanged()
        if found.budget < self.machine.budget:
            log.warning(
                "the GPU ran out of memory; neighbors by %s were found in blocks of %.1f GB instead of %.1f",
                spec.similarity, found.budget / 1e9, self.machine.budget / 1e9,
            )  # fmt: skip
        how = {} if found.certified is None else {"certified": found.certified, "redone": found.redone}
        self._keep(spec, found, features, how)

    def _keep(
        self, spec: KernelSpec, top: topk.TopK, features: Features | None, how: Mapping[str, int]
    ) -> None:
        """Write neighbors to the cache; how: further fields of `Neighbors`."""
        values = minus_distances(top.values) if spec.similarity == "penultimate-euclidean" else top.values
        meta: dict[str, Any] = {"spec": spec.to_json(), "how": dict(how)}
        if features is not None:
            meta |= {"layer": features.layer, "run": features.run}
        arrays = {"indices": top.indices, "values": values.astype(np.float32)}
        about = f"{spec.direction} neighbors by {spec.title}"
        self._write("neighbors", self.keys.key(spec), arrays, meta, about)

    def _step(self, name: str) -> Progress:
        """Progress under another name."""
        return renamed(self.progress, name)

    def _moments(self, spec: KernelSpec, ensemble: Ensemble) -> dict[Split, Moments] | None:
        """Mean and spread over all the runs, file by file from the cache or read once; None for runs trained here."""
        files = self.keys.inputs["kernel"].get("files")
        if files is None:
            return None
        found: dict[Split, Moments] = {}
        for split in {spec.query, spec.database}:
            parts = [
                self._moments_of_file(ensemble, f, sha256, split, spec.transform)
                for f, (_, sha256) in enumerate(files[: len(ensemble.parts)])
            ]
            found[split] = merge(parts)
        return found

    def _moments_of_file(
        self, ensemble: Ensemble, file: int, sha256: str, split: Split, transform: str
    ) -> Moments:
        runs, name = len(ensemble.parts[file][split]), ensemble.names[file]
        content = {"file": sha256, "runs": runs, "split": split, "transform": transform}
        key = key_of({"kind": "moments", **content})
        entry = self.store.read("moments", key)
        if entry is not None:
            return Moments.from_arrays(runs, entry[0])
        count = f", file {file + 1} of {len(ensemble.parts)}" if len(ensemble.parts) > 1 else ""
        step = self._step(f"checking {split} logits{count}")
        moments = read_moments(ensemble, file, split, transform, self.machine.device, step)
        self._write("moments", key, moments.arrays(), {}, f"mean and spread of {runs} runs, {split}, {name}")
        return moments


def neighbors_kept(spec: KernelSpec, available: int) -> int:
    """As many as the spec says, or as there are."""
    return min(spec.k, available - spec.excludes_self)
