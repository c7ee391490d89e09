"""What every question needs of a source: its runs, labels and twins, and the neighbors by any of its runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.findings.twins import BANDS, twin_pairs
from kernel_core.findings.votes import neighbor_weights, weighted_vote
from kernel_core.lab.function_rows import rows_of
from kernel_core.lab.functions import FUNCTIONS
from kernel_core.lab.run_sets import Runs, logits_of, runs_of
from kernel_core.machine import Machine
from kernel_core.progress import Progress
from kernel_core.records import Ensemble, Neighbors
from kernel_core.results.keys import Content, Keys
from kernel_core.results.results import Results
from kernel_core.results.store import Arrays, Store, key_of
from kernel_core.search.topk import TopKSearch
from kernel_core.spec import KernelSpec

K = 20  # neighbors that a point keeps: as many as vote by weight
POINTS = "lab"  # kind of the entries that keep a point's neighbors
FORMAT = 1  # of such an entry
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Point:
    """What one ensemble's kernel finds.

    nearest: int32 (n,), the nearest of each query example. right: by vote, bool (n,), whether it is right;
    "knn3", "weighted20", and "ensemble" for the averaged logits; and "twin_first", bool (t,), of the query
    examples that have a known twin, whether the nearest is one.
    """

    nearest: npt.NDArray[np.int32]
    right: Mapping[str, npt.NDArray[np.bool_]]

    def share(self, measure: str) -> float:
        """Return a measure, a key of `right`, as a share of its examples, 0 … 1; NaN where there are none."""
        right = self.right[measure]
        return float(right.mean()) if len(right) else np.nan


class Setting:
    """A source to which questions are put.

    results: by all runs. ensemble: the runs. query_count: number of query examples that are drawn, by `seed`;
    None for all of them. sets: most disjoint sets of runs of one size. known: the query and the
    database index of each pair of twins, if a list of them is given; else they are found.
    """

    def __init__(
        self,
        results: Results,
        ensemble: Ensemble,
        keys: Keys,
        store: Store,
        machine: Machine,
        progress: Progress,
        *,
        query_count: int | None,
        sets: int,
        seed: int,
        known: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.results, self.ensemble, self.keys, self.store = results, ensemble, keys, store
        self.machine, self.progress, self.known = machine, progress, known
        self.sets, self.seed = sets, seed
        everyone = np.arange(len(results.labels[0]))
        if query_count is not None and query_count < len(everyone):
            drawn = np.random.default_rng(seed).choice(everyone, query_count, replace=False)
            everyone = np.sort(drawn)
        self.queries: Indices = everyone

    @property
    def labels(self) -> tuple[Indices, Indices]:
        """Labels of the drawn query examples and of the database."""
        query, database = self.results.labels
        return query[self.queries], database

    @cached_property
    def twins(self) -> npt.NDArray[np.int64]:
        """Pairs (query, database) in one number each: those that are known, or found here.

        They are found by pixels and the kernel of all runs, as the same picture.
        """
        if self.known:
            return np.unique(self._codes(*np.array(self.known).T))
        if "kernel" not in self.results.aligned:
            return np.empty(0, np.int64)
        kernel = self.results.neighbors_by("kernel")
        table = twin_pairs(kernel, self.results.aligned["kernel"], *self.results.labels)
        same = table[table["band"] == BANDS[0]]
        return self._codes(same["query_index"].to_numpy(), same["database_index"].to_numpy())

    def _codes(self, query: Indices, database: Indices) -> Indices:
        return query.astype(np.int64) * len(self.results.labels[1]) + database

    def point(self, function: str, runs: Runs, classes: tuple[int, ...] | None = None) -> Point:
        """Return what the kernel of some runs finds, from the cache if it is known.

        function: a key of `FUNCTIONS`. classes: those averaged over; None for all.
        """
        content = {
            "format": FORMAT,
            "logits": self.keys.inputs["kernel"],
            "direction": self.results.spec.direction,
            "queries": [len(self.queries), self.seed if len(self.queries) < self.query_total else None],
            "function": function,
            "runs": list(runs),
            "classes": None if classes is None else list(classes),
        }
        about = f"neighbors by {function} of {len(runs)} runs"
        return self._measured(self.kept(content, lambda: self._search(function, runs, classes), about))

    def kept(self, content: Content, compute: Callable[[], Arrays], about: str) -> Arrays:
        """Return what was computed for a question, from the cache or now; it is kept then.

        content: all that it depends on, as plain JSON values. about: what it is, in words.
        """
        key = key_of({"kind": POINTS, **content})
        entry = self.store.read(POINTS, key)
        if entry is not None:
            return entry[0]
        arrays = compute()
        self.store.write(POINTS, key, arrays, {}, about=f"{self.results.name}: {about}, for a question")
        return arrays

    def counter(self, step: str, total: int) -> Callable[[], None]:
        """Return what reports one more of `total` parts of a step as done, each time that it is called."""
        done = itertools.count(1)
        return lambda: self.progress(step, next(done), total)

    @property
    def query_total(self) -> int:
        """Number of query examples that could be drawn."""
        return len(self.results.labels[0])

    def _measured(self, found: Mapping[str, npt.NDArray[Any]]) -> Point:
        (of_query, of_database), C = self.labels, len(self.results.class_names)
        spec = KernelSpec("kernel", *self.results.spec.splits)
        neighbors = Neighbors(spec, found["indices"], found["values"])
        labels = of_database[neighbors.indices]  # (n, k)
        nearest = neighbors.indices[:, 0]
        right = {"ensemble": found["predicted"] == of_query}
        for name, k, weighted in (("knn3", 3, False), ("weighted20", K, True)):
            weights = neighbor_weights(neighbors, k, weighted=weighted)
            right[name] = weighted_vote(labels[:, :k], weights, C) == of_query
        has_twin = np.isin(self.queries, self.twins // len(of_database))
        is_twin = np.isin(self._codes(self.queries, nearest.astype(np.int64)), self.twins)
        return Point(nearest, {**right, "twin_first": is_twin[has_twin]})

    def _search(
        self, function: str, runs: Runs, classes: Sequence[int] | None
    ) -> dict[str, npt.NDArray[Any]]:
        of = FUNCTIONS[function]
        query, database = self.results.spec.splits
        asked = logits_of(self.ensemble, query, runs, self.queries)
        rows = [
            rows_of(of, ensemble, split, classes)
            for ensemble, split in (
                (Ensemble(("the runs of a question",), ({query: asked},)), query),
                (runs_of(self.ensemble, database, runs), database),
            )
        ]
        own = torch.from_numpy(self.queries) if query == database else None
        k = min(K, len(rows[1]) - (own is not None))
        top = TopKSearch(rows[0], rows[1], k, own=own, machine=self.machine).compute()[0]
        self.ensemble.check_unchanged()
        predicted = asked.sum(0, dtype=np.float64).argmax(-1)
        return {"indices": top.indices, "values": top.values, "predicted": predicted.astype(np.int32)}
