"""The neighbors of any example and its rank, from any split to any split: as built, else found on demand."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kernel_core.errors import KernelExplorerError, NotBuilt, RequestError
from kernel_core.explain import on_demand
from kernel_core.explain.on_demand import Vectors
from kernel_core.nngp import gray_inputs
from kernel_core.recipes import Training
from kernel_core.records import Neighbors
from kernel_core.results.directions import in_direction
from kernel_core.results.keys import Keys, plan_keys
from kernel_core.results.outputs import Example, Outputs
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.results.trained_here import features_trained_here
from kernel_core.similarities import PATCHES, PENULTIMATE, Similarity
from kernel_core.sources.catalog import open_source
from kernel_core.sources.features import load_features
from kernel_core.sources.given import GivenNeighbors, open_given
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import KernelSpec, Split

Found = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


class Rank(NamedTuple):
    """Where an example is among the neighbors of another, and the similarity of the two.

    place: from 1; None if nothing tells it. beyond: then, the number of neighbors known that it is behind.
    """

    place: int | None
    value: float
    beyond: int = 0


class Nearby:
    """Neighbors of single examples by every similarity of some results.

    request, store: those that the results came from. Methods may be called from any thread. They raise
    `NotBuilt` where the cache lacks what they compare, and `DataError` where a file of features or of given
    neighbors cannot be read.
    """

    def __init__(self, request: SourceRequest, results: Results, store: Store) -> None:
        self.request, self.results, self.store = request, results, store
        self._lock = threading.Lock()
        self._vectors: dict[str, dict[Split, Vectors]] = {}
        self._given: dict[str, GivenNeighbors] = {}
        self._directions: dict[tuple[Split, Split], Results] = {}

    @cached_property
    def outputs(self) -> Outputs:
        """What every run says of single examples."""
        return Outputs(self.request, self.results, self.store)

    def kept_nearest(self, example: Example, similarity: str, among: Split) -> Found | None:
        """Return all neighbors of an example that a build kept, as `nearest`; None if it kept none."""
        split, index = example
        kept = self._kept(similarity, split, among)
        if (split, among) != kept.spec.splits:
            return None
        return kept.indices[index], kept.values[index]

    def nearest(self, example: Example, k: int, similarity: str, among: Split) -> Found:
        """Return the k examples of a split nearest to one example: indices and values, nearest first.

        There are fewer if no more are kept or given. Raises `RequestError` if the similarity is unknown.
        """
        if k < 1:
            raise RequestError(f"Found k = {k}; expected at least 1 neighbor.")
        split, index = example
        kept = self._kept(similarity, split, among)
        is_kept = (split, among) == kept.spec.splits
        if is_kept and k <= kept.k:
            return kept.indices[index, :k], kept.values[index, :k]
        if self.results.similarity(similarity).kind == "given":
            scores = self._scores(example, similarity, among)
            if scores is None and is_kept:
                return kept.indices[index], kept.values[index]
            return on_demand.nearest_of_scores(self._refuse_none(scores, similarity), k)
        by_split = self.vectors(similarity)
        return on_demand.nearest(by_split[split], index, by_split[among], k, excludes_self=split == among)

    def nearest_of_class(self, example: Example, k: int, similarity: str, among: Split, label: int) -> Found:
        """Return the k examples of one class of a split nearest to one example, as `nearest` does.

        Where the kept neighbors lack k of the class and nothing else can be compared, those that are kept.
        """
        split, index = example
        kept = self._kept(similarity, split, among)
        labels = self.results.examples[among].labels
        places = np.flatnonzero(labels[kept.indices[index]] == label)[:k]
        of_kept = kept.indices[index, places], kept.values[index, places]
        is_kept = (split, among) == kept.spec.splits
        if is_kept and len(places) == k:
            return of_kept
        members = np.flatnonzero(labels == label)
        members = members[members != index] if split == among else members
        try:
            if self.results.similarity(similarity).kind == "given":
                scores = self._refuse_none(self._scores(example, similarity, among), similarity)
                found, values = on_demand.nearest_of_scores(scores[members], k)
            else:
                by_split = self.vectors(similarity)
                of_class = on_demand.some(by_split[among], members)
                found, values = on_demand.nearest(by_split[split], index, of_class, k, excludes_self=False)
        except NotBuilt:
            if is_kept:
                return of_kept
            raise
        return members[found].astype(np.int32), values

    def rank(self, example: Example, similarity: str, other: Example) -> Rank:
        """Return another example's rank in its split by similarity to this one, and that similarity.

        By the kernel of a source too large for its outputs to be kept, of all runs or of any, the similarity
        is exact, and the place of an example beyond the neighbors that a build kept is not told.
        """
        (split, index), (among, other_index) = example, other
        kept = self.kept_nearest(example, similarity, among)
        if kept is not None:
            positions = np.flatnonzero(kept[0] == other_index)
            if positions.size:  # the rank that the lists show
                return Rank(int(positions[0]) + 1, float(kept[1][positions[0]]))
        if self.results.similarity(similarity).kind == "given":
            scores = self._scores(example, similarity, among)
            return Rank(*on_demand.rank_of_scores(self._refuse_none(scores, similarity), other_index))
        is_exact = similarity == "kernel" and self.outputs.is_exact
        if is_exact and (kept is not None or not self.results.traces):
            beyond = 0 if kept is None else len(kept[0])
            return Rank(None, self.outputs.value(example, other), beyond)
        by_split = self.vectors(similarity)
        place, value = on_demand.rank_of(
            by_split[split], index, by_split[among], other_index, excludes_self=split == among
        )
        return Rank(place, self.outputs.value(example, other) if is_exact else value)

    def _kept(self, similarity: str, query: Split, database: Split) -> Neighbors:
        """Return the neighbors that are built in a direction; where none are, those of the results."""
        own = self.results.neighbors_by(similarity)
        if (query, database) == own.spec.splits:
            return own
        with self._lock, contextlib.suppress(KernelExplorerError):  # a source that is gone has no more
            if (query, database) not in self._directions:
                self._directions[query, database] = in_direction(
                    self.results, self.request, self.store, query, database
                )
            other = self._directions[query, database]
            if similarity in other.names:
                return other.neighbors_by(similarity)
        return own

    def vectors(self, similarity: str) -> dict[Split, Vectors]:
        """Return the vectors that a similarity compares, by split; read once. Given neighbors have none."""
        with self._lock:
            if similarity not in self._vectors:
                prepared = self.results.similarity(similarity)
                spec = self.results.neighbors_by(similarity).spec
                self._vectors[similarity] = {
                    split: on_demand.prepare_vectors(
                        prepared, values, of_some_runs=self._is_cut(prepared, split, values)
                    )
                    for split, values in self._read_values(spec, prepared).items()
                }
            return self._vectors[similarity]

    def _scores(self, example: Example, similarity: str, among: Split) -> npt.NDArray[np.float64] | None:
        """Return an example's scores with all of a split, itself at minus infinity; None if not given."""
        split, index = example
        with self._lock:
            if similarity not in self._given:
                sources = {given.name: given for given in self._keys().source.given}
                self._given[similarity] = open_given(sources[similarity], self.results.example_counts)
        scores = self._given[similarity].scores_of(split, index, among)
        if scores is not None and split == among:
            scores[index] = -np.inf
        return scores

    def _refuse_none(
        self, scores: npt.NDArray[np.float64] | None, similarity: str
    ) -> npt.NDArray[np.float64]:
        if scores is None:
            kept = self.results.neighbors_by(similarity)
            raise NotBuilt(
                f"{self.results.name} is given the {kept.k} nearest {kept.spec.direction} alone; a matrix of "
                "scores would tell the rest."
            )
        return scores

    def _keys(self) -> Keys:
        """Return the keys of these results. Raises `NotBuilt` if the source's files are others by now."""
        keys = plan_keys(open_source(self.request, offline=True), self.request, self.store)
        if keys.id != self.results.id:
            raise NotBuilt(f"The files of {keys.source.name} changed since these results were built.")
        return keys

    def _read_values(self, spec: KernelSpec, similarity: Similarity) -> Mapping[Split, Any]:
        """Return by split features or inputs (N, D), images (N, H, W, 3), or traces (N, C, M)."""
        examples = self.results.examples
        if similarity.kind == "pixels":
            return {split: of_split.images for split, of_split in examples.items()}
        if similarity.kind == "nngp":
            return gray_inputs(examples)
        keys = self._keys()
        if similarity.kind == "kernel":
            return self._read_traces(spec)
        if isinstance(keys.source.logits, Training) and similarity.of in (PENULTIMATE, PATCHES):
            values = features_trained_here(keys, self.store, similarity.of)
            if values is None:
                raise self._lacks("features")
            return {split: values[split] for split in examples}
        (features,) = (of for of in keys.source.feature_sets if of.name == similarity.of)
        return dict(load_features(features, tuple(examples)).values)

    def _read_traces(self, spec: KernelSpec) -> dict[Split, npt.NDArray[Any]]:
        """Return the kept outputs of the runs and classes that a kernel is of."""
        if spec.transform != "log_softmax" or spec.whitened:
            raise NotBuilt(
                f"Of {spec.title}, only the neighbors {spec.direction} are kept; nothing else is computed."
            )
        if not self.results.traces and self.results.why_no_traces:
            raise NotBuilt(
                f"{self.results.why_no_traces} So no neighbors by the kernel are found on demand; those of "
                "every direction can be built: `kernel-explorer build` with --query and --database."
            )
        if not self.results.traces:
            raise self._lacks("traces")
        classes = slice(None) if spec.classes is None else list(spec.classes)
        runs = slice(spec.run_count)
        return {split: traces.values[:, :, runs][:, classes] for split, traces in self.results.traces.items()}

    def _is_cut(self, similarity: Similarity, split: Split, values: npt.NDArray[Any]) -> bool:
        """Return whether values are kept outputs of fewer runs than are kept."""
        return similarity.kind == "kernel" and values.shape[-1] < self.results.traces[split].run_count

    def _lacks(self, what: str) -> NotBuilt:
        return NotBuilt(f"The {what} of {self.results.name} are not in the cache {self.store.root}.")
