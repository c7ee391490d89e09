"""What every run says of single examples: as a build kept it, or read anew from the files of logits.

A source of very many examples and classes has no room for all of it, but an example and its 50 nearest are
few: they are read where the files lie, and their traces are exact.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from kernel_core.block_array import BlockArray
from kernel_core.ensembles.opening import open_light
from kernel_core.errors import KernelExplorerError, NotBuilt
from kernel_core.explain import traces
from kernel_core.explain.exact_traces import exact_traces
from kernel_core.explain.traces import standardize
from kernel_core.recipes import Training
from kernel_core.records import Ensemble
from kernel_core.results.keys import plan_keys
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split

NUMBERS = 2_000_000  # logits read and standardized at a time: 16 MB of float64 each, of which a few are held

Example = tuple[Split, int]


class Outputs:
    """The traces of single examples of some results.

    request, store: those that the results came from. Methods may be called from any thread; they raise
    `NotBuilt` where a build can keep what is missing, where the files of logits changed or are gone, and
    where single examples cannot be read from them.
    """

    def __init__(self, request: SourceRequest, results: Results, store: Store) -> None:
        self.request, self.results, self.store = request, results, store
        self._lock = threading.Lock()
        self._ensemble: Ensemble | None = None
        kept = results.traces.get(results.database)
        self._kept_count = 0 if kept is None else kept.run_count
        wanted = min(results.run_count, traces.RUN_LIMIT)
        if self._kept_count < wanted and (self._kept_count or results.why_no_traces):
            try:
                self._ensemble = self._opened().first(wanted)
                self._unreadable = ""
            except KernelExplorerError as error:  # then what is kept is all there is
                self._unreadable = str(error)

    @property
    def is_exact(self) -> bool:
        """Whether traces are read anew, from more runs than are kept."""
        return self._ensemble is not None

    @property
    def run_count(self) -> int:
        """Number of runs that traces are of: the ensemble's first; 0 if there are none."""
        return self._kept_count if self._ensemble is None else self._ensemble.run_count

    def raw(self, example: Example) -> npt.NDArray[np.float64]:
        """Return the trace of an example, (C, M)."""
        split, index = example
        if self._ensemble is not None:
            (trace,) = exact_traces(self._read(self._ensemble, split, [index]))
            return np.asarray(trace)
        self.refuse_none()
        return self.results.traces[split].raw(index)

    def standardized(self, example: Example) -> npt.NDArray[np.float64]:
        """Return the trace with mean 0 and unbiased variance 1 in every class, (C, M).

        A class that does not vary is 0.
        """
        standardized: npt.NDArray[np.float64] = standardize(self.raw(example))
        return standardized

    def several(self, split: Split, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Return the traces of some examples, (n, C, M)."""
        if self._ensemble is None:
            self.refuse_none()
            return np.asarray(self.results.traces[split].values[indices], np.float32)
        C, M = self._ensemble.class_count, self._ensemble.run_count
        found = np.empty((len(indices), C, M), np.float32)
        size = max(1, NUMBERS // (C * M))
        for start in range(0, len(found), size):
            some = indices[start : start + size].tolist()
            found[start : start + size] = exact_traces(self._read(self._ensemble, split, some))
        return found

    def value(self, a: Example, b: Example) -> float:
        """Return the kernel's value of a pair, in [-1, 1)."""
        x, y = self.standardized(a), self.standardized(b)
        return float((x * y).mean())

    def refuse_none(self) -> None:
        """Raise `NotBuilt` if there are no traces."""
        if self.run_count:
            return
        if too_large := self.results.why_no_traces:
            raise NotBuilt(f"{too_large} Nor can they be read one by one: {self._unreadable}")
        raise NotBuilt(f"The traces of {self.results.name} are not in the cache {self.store.root}.")

    def _opened(self) -> Ensemble:
        keys = plan_keys(open_source(self.request, offline=True), self.request, self.store)
        source = keys.source
        if keys.id != self.results.id:
            raise self._changed()
        if isinstance(source.logits, Training):
            raise NotBuilt("its networks were trained here, not read from files.")
        return open_light(source.logits, source.root, source.images.splits, source.logit_form)

    def _changed(self) -> NotBuilt:
        return NotBuilt(f"The files of {self.results.name} changed since these results were built.")

    def _read(self, ensemble: Ensemble, split: Split, indices: Iterable[int]) -> npt.NDArray[np.floating]:
        """Return the logits of some examples, (M, n, C)."""
        if not all(file.unchanged() for file in ensemble.files):
            raise self._changed()
        chosen = list(indices)
        dtype = np.result_type(*(part[split].dtype for part in ensemble.parts))
        raw = np.empty((ensemble.run_count, len(chosen), ensemble.class_count), dtype)
        first = 0
        with self._lock:  # a disk does one thing after the other
            for part in (part[split] for part in ensemble.parts):
                for place, index in enumerate(chosen):
                    block = part[:, index : index + 1]
                    read = block.read() if isinstance(block, BlockArray) else block
                    raw[first : first + len(part), place] = read[:, 0]
                first += len(part)
        return raw
