"""The straight line: source → embed → top-k → cache → results. `build` computes what the cache lacks."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch

from kernel_core.checks import refuse_single_example
from kernel_core.engines.engine import LOCAL, Engine
from kernel_core.engines.ray_cluster import kept_connection
from kernel_core.ensembles.logit_findings import logit_findings
from kernel_core.errors import NotBuilt, StoreError
from kernel_core.explain.traces import kept_run_count, why_none_kept
from kernel_core.machine import Machine, choose_device, use_allowed_cores
from kernel_core.memory import default_budget
from kernel_core.pipeline.aligned import keep_aligned
from kernel_core.pipeline.blocks import block_search, device_for, search_by_class
from kernel_core.pipeline.here import done_here
from kernel_core.pipeline.inputs import Inputs
from kernel_core.pipeline.ranges import keep_predictions, keep_traces
from kernel_core.pipeline.unseen import keep_unseen
from kernel_core.progress import Progress, no_progress, renamed
from kernel_core.recipes import Training
from kernel_core.records import Neighbors
from kernel_core.results.aligned import lacks_aligned
from kernel_core.results.entries import Entries
from kernel_core.results.flags import keep_flags, lacks_flags
from kernel_core.results.keys import Keys, plan_keys
from kernel_core.results.last_files import remember_files, warn_of_missing_files
from kernel_core.results.opening import lacks_traces, read_back, read_results
from kernel_core.results.results import Results
from kernel_core.results.run_counts import keys_of_first_runs
from kernel_core.results.store import Store
from kernel_core.results.unseen import UnseenEntries
from kernel_core.search import certified
from kernel_core.shortage import shortage_said
from kernel_core.similarities import KERNEL
from kernel_core.similarity.embed import embed
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.similarity.vectors import shown_values
from kernel_core.similarity.whitening import refuse_too_wide
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec, Split

CUDA_BUDGET = 3_000_000_000  # bytes of a GPU's memory for top-k where the caller names none
log = logging.getLogger("kernel_core")


@shortage_said()
def build(
    request: SourceRequest,
    *,
    device: str = "auto",
    budget: int | None = None,
    progress: Progress = no_progress,
    store: Store | None = None,
    engine: Engine = LOCAL,
) -> Results:
    """Compute what the cache lacks of a source, and return all its results.

    device: auto, cpu or cuda. budget: bytes that top-k may take; None for a share of those that are free.
    engine: where neighbors are found; Ray's workers compute on CPUs.

    Raises any `KernelExplorerError`; the cache then holds what was finished, and nothing half done.
    """
    store = store or Store()
    torch_device = device_for(engine, device)
    source = open_source(request, progress=progress)
    progress("checking the source's files", 0, 1)
    keys = plan_keys(source, request, store)
    progress("checking the source's files", 1, 1)
    warn_of_missing_files(request, source, store)
    with contextlib.suppress(NotBuilt):
        results = read_results(keys, store)
        is_whole = not lacks_traces(keys, results) and UnseenEntries(keys, store).is_known
        if is_whole and not lacks_aligned(request, results) and not lacks_flags(results):
            remember_files(request, source, store)
            return results
    machine = Machine(torch_device, budget or budget_on(torch_device), store.root / "products")
    precision = certified.choose_precision(request.precision, torch_device)
    with store.lock(keys.id, progress), kept_connection():
        use_allowed_cores()
        results = _Build(keys, store, machine, precision, progress, engine).results()
        remember_files(request, source, store)
        if lacks_aligned(request, results):
            keep_aligned(results, machine, progress)
        if lacks_flags(results):
            results = replace(results, flags=keep_flags(results, keys, store, progress))
        return results


@shortage_said()
def build_run_counts(
    request: SourceRequest,
    counts: Iterable[int],
    *,
    device: str = "auto",
    budget: int | None = None,
    progress: Progress = no_progress,
    store: Store | None = None,
) -> None:
    """Compute what the cache lacks of the kernel and the predictions of an ensemble's first runs.

    request: the source; of it, only name, runs, files and precision count. counts: numbers of runs, each 2
    or more and fewer than there are. The other parameters and the errors are those of `build`.
    """
    store, torch_device = store or Store(), choose_device(device)
    machine = Machine(torch_device, budget or budget_on(torch_device), store.root / "products")
    precision = certified.choose_precision(request.precision, torch_device)
    source = open_source(request, progress=progress)
    wanted = list(counts)
    for number, count in enumerate(wanted, start=1):
        keys = keys_of_first_runs(source, request, count, store)
        step = renamed(progress, f"the first {count:,} runs, {number} of {len(wanted)}")
        with store.lock(keys.id, progress):
            use_allowed_cores()
            _Build(keys, store, machine, precision, step).compute()


def budget_on(device: torch.device) -> int:
    """Return the bytes that top-k may take where the caller names none: on a CPU, a share of what is free."""
    return default_budget() if device.type == "cpu" else CUDA_BUDGET


class _Build:
    """One build: computes what is missing, entry by entry, from inputs that are each read once."""

    def __init__(
        self,
        keys: Keys,
        store: Store,
        machine: Machine,
        precision: str,
        progress: Progress,
        engine: Engine = LOCAL,
    ) -> None:
        self.keys, self.store, self.entries, self.engine = keys, store, Entries(keys, store), engine
        self.machine, self.precision, self.progress = machine, precision, progress
        self.inputs, self.unseen = Inputs(self.entries, machine, progress, engine), UnseenEntries(keys, store)

    def results(self) -> Results:
        """Write every entry that is missing, and return the results."""
        for line in done_here(self.keys, self.store, self.engine):
            log.warning("%s", line)
        self.compute()
        with contextlib.suppress(NotBuilt):
            return read_results(self.keys, self.store)
        log.warning("the cache was emptied during the build; what is missing is built again")
        _Build(self.keys, self.store, self.machine, self.precision, self.progress, self.engine).compute()
        return read_back(read_results, self.keys, self.store)

    def compute(self) -> None:
        """Write every entry that is missing."""
        examples = self.inputs.examples
        specs = self.keys.all_specs(len(next(iter(examples.values())).class_names))
        refuse_single_example(specs, examples)
        refuse_too_wide(specs, self._run_count(), len(next(iter(examples.values())).class_names))
        self.ensemble = self.inputs.ensemble
        if not all(self.store.has("predictions", key) for key in self.keys.predictions.values()):
            self._look_at_logits()
        for split, key in self.keys.predictions.items():
            if not self.store.has("predictions", key):
                self._predict(split)
        missing = [spec for spec in specs if not self.store.has("neighbors", self.keys.key(spec))]
        kernel = self.keys.specs.get("kernel")
        if self.keys.each_class and kernel and not kernel.whitened:  # whitening has no part per class
            single = [spec for spec in missing if len(spec.classes or (0,)) == 1]
            kernels = [spec for spec in single if replace(spec, classes=None) == kernel]
            if len(kernels) > 1:
                self._find_neighbors_by_class(kernels)
                missing = [spec for spec in missing if spec not in kernels]
        for spec in missing:
            self._find_neighbors(spec)
        if not all(self.store.has("rows", key) for key in self.keys.traces.values()):
            self._keep_traces()
        if not self.unseen.is_known:
            keep_unseen(self.unseen, self.ensemble, examples, self.progress)

    def _run_count(self) -> int:
        """Return how many runs there are, without training any."""
        training = self.keys.source.logits
        return training.run_count if isinstance(training, Training) else self.inputs.ensemble.run_count

    def _look_at_logits(self) -> None:
        """Warn of what looks wrong with the logits. Raises `DataError` if all runs are equal."""
        examples = self.inputs.examples
        labels = {split: of_split.labels for split, of_split in examples.items()}
        names, kind = next(iter(examples.values())).class_names, self.keys.source.logit_form.kind
        if self.ensemble.trained_on is not None:
            log.info("%s", self.ensemble.trained_on.line)
        for line in logit_findings(self.ensemble, labels, names, kind):
            log.warning("%s: %s", self.keys.source.name, line)

    def _find_neighbors(self, spec: KernelSpec) -> None:
        """Walk the line for one spec: embed, top-k, cache."""
        similarity = self.keys.offered[spec.similarity]
        if similarity.kind == "given":
            progress = renamed(self.progress, f"nearest neighbors by {spec.title}")
            top = self.inputs.given(similarity, spec.k, progress)
            self.entries.write_neighbors(Neighbors(spec, top.indices, top.values), None)
            return
        features = self.inputs.features(similarity)
        rows = self.inputs.rows(spec, similarity, features)
        top, forget = self._search(spec, *rows)
        how = (top.certified, top.redone, top.product)
        neighbors = Neighbors(spec, top.indices, shown_values(similarity, top.values), *how)
        self.entries.write_neighbors(neighbors, features)
        forget()

    def _search(
        self, spec: KernelSpec, query: SimilarityRows, database: SimilarityRows
    ) -> tuple[certified.CertifiedTopK, Callable[[], None]]:
        """Return the nearest, and what removes the blocks that they were found in once they are written."""
        k = neighbors_kept(spec, len(database))
        if self.machine.device.type == "cpu":  # where every precision is exact; blocks are for CPUs
            search = block_search(self.inputs, spec, (query, database), k)
            (found,) = search.compute()
            self.ensemble.check_unchanged()
            return certified.CertifiedTopK(found.indices, found.values, found.product), search.forget
        top = certified.nearest(
            query,
            database,
            k,
            precision=self.precision,
            exclude_self=spec.excludes_self,
            machine=self.machine,
            progress=renamed(self.progress, f"nearest neighbors by {spec.title}"),
        )
        self.ensemble.check_unchanged()
        if top.budget < self.machine.budget:
            log.warning(
                "the GPU ran out of memory; neighbors by %s were found in blocks of %.1f GB, not %.1f GB",
                spec.similarity,
                top.budget / 1e9,
                self.machine.budget / 1e9,
            )
        return top, lambda: None

    def _find_neighbors_by_class(self, missing: Sequence[KernelSpec]) -> None:
        """Find neighbors by the kernel and by single classes in one pass over the logits."""
        spec = replace(missing[0], classes=None)
        query, database = embed(
            spec, KERNEL, self.inputs.examples, self.ensemble, kept_moments=self.inputs.moments(spec)
        )
        k, class_count = neighbors_kept(spec, len(database)), self.ensemble.class_count
        (of_all, *of_class), forget = search_by_class(self.inputs, spec, (query, database), k, class_count)
        self.ensemble.check_unchanged()
        for spec in missing:
            top = of_all if spec.classes is None else of_class[spec.classes[0]]
            found = Neighbors(spec, top.indices, top.values, product=top.product)
            self.entries.write_neighbors(found, None)
        forget()

    def _predict(self, split: Split) -> None:
        accuracy = keep_predictions(self.inputs, split, self.engine).mean()
        if accuracy < 1.5 / self.ensemble.class_count:
            log.warning(
                "the runs of %s are right on only %.1f%% of the %s labels, no better than chance: %s?",
                self.keys.source.name,
                100 * accuracy,
                split,
                "do its labels fit its images"
                if isinstance(self.keys.source.logits, Training)
                else "are its images in the order of its logits",
            )

    def _keep_traces(self) -> None:
        """Write what explains a value, for as many runs as there is room; results can do without it."""
        counts = {split: self.ensemble.example_count(split) for split in self.keys.traces}
        C = self.ensemble.class_count
        M = kept_run_count(self.ensemble.run_count, sum(counts.values()) * C)
        if M < 2:
            why = why_none_kept(self.ensemble.run_count, sum(counts.values()), C)
            instead = "Pages read those of single examples from the files of logits instead, where they can."
            log.warning("%s: %s %s", self.keys.source.name, why, instead)
            return
        first_runs = self.ensemble.first(M)
        try:
            for split in counts:
                progress = renamed(self.progress, f"keeping {split} outputs")
                keep_traces(self.inputs, first_runs, split, self.engine, progress)
        except StoreError as error:
            log.warning("what explains a value could not be kept; all else works without it. %s", error)


def neighbors_kept(spec: KernelSpec, available: int) -> int:
    """Return how many neighbors are found: as many as the spec says, or as there are."""
    return min(spec.k, available - spec.excludes_self)
