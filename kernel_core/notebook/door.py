"""What every topic of the door stands on: the results, names of examples, and builds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kernel_core.errors import NotBuilt
from kernel_core.progress import progress_bar
from kernel_core.results.nearby import Nearby
from kernel_core.results.results import Results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split, parse_example


class Door:
    """The results of one source, and the examples in them by their names."""

    def __init__(self, request: SourceRequest, results: Results, store: Store) -> None:
        self.request, self.results, self.store = request, results, store
        self._nearby = Nearby(request, results, store)

    @property
    def similarities(self) -> tuple[str, ...]:
        """The similarities, and variants of the kernel, that neighbors can be asked for by."""
        return self.results.names

    def _named(self, example: str) -> tuple[Split, int]:
        return parse_example(example, self.results.example_counts)

    def _class_names(self, labels: npt.ArrayLike) -> list[str]:
        return [self.results.class_names[label] for label in np.asarray(labels)]

    def _build_direction(self, part: Results, by: str, *, build: bool) -> None:
        """Build the neighbors by a similarity in the direction of some results, or raise `NotBuilt`."""
        if not build:
            raise NotBuilt(
                f"Neighbors {part.spec.direction} by {by} of {part.name} are not built. Ask again with "
                "build=True."
            )
        from kernel_core import pipeline  # torch takes seconds to load

        with progress_bar() as progress:
            pipeline.build(self._request_of(part, by), progress=progress, store=self.store)

    def _compare_pixels(self, part: Results, by: str, *, build: bool) -> None:
        """Build the aligned pixels of neighbors by a similarity in a direction, or raise `NotBuilt`."""
        if not build:
            raise NotBuilt(
                f"The aligned pixels of {part.name}, {part.spec.direction} by {by}, are not built. Ask again "
                "with build=True."
            )
        from kernel_core import pipeline  # torch takes seconds to load

        with progress_bar() as progress:
            pipeline.build_aligned(self._request_of(part, by), by, progress=progress, store=self.store)

    def _request_of(self, part: Results, by: str) -> SourceRequest:
        return replace(self.request, query=part.query, database=part.database, similarities=(by,))
