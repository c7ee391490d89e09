"""What every topic of the door stands on: the results, names of examples, and builds."""

from __future__ import annotations

import inspect
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.errors import DataError, NotBuilt
from kernel_core.progress import progress_bar
from kernel_core.results.judged_rows import COLUMNS, Wanted, select_judged, with_verdicts
from kernel_core.results.nearby import Nearby
from kernel_core.results.results import Results
from kernel_core.results.shown import readable
from kernel_core.results.store import Store
from kernel_core.results.verdicts import Followed, verdicts_path
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import Kind
from kernel_core.shortage import shortage_said
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split, parse_example


class Door:
    """The results of one source, and the examples in them by their names.

    Of every table, a lack of memory is said in one line, as `OutOfMemory`.
    """

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if not name.startswith("_") and inspect.isfunction(method):
                setattr(cls, name, shortage_said()(method))

    def __init__(
        self, request: SourceRequest, results: Results, store: Store, verdicts: str | Path | None = None
    ) -> None:
        self.request, self.results, self.store = request, results, store
        self._verdict_file = Path(verdicts).expanduser().absolute() if verdicts else verdicts_path(request)
        self._followed: Followed | None = None
        self._nearby = Nearby(request, results, store)

    @property
    def similarities(self) -> tuple[str, ...]:
        """The similarities, and variants of the kernel, that neighbors can be asked for by."""
        return self.results.names

    def _named(self, example: str) -> tuple[Split, int]:
        return parse_example(example, self.results.example_counts)

    def _class_names(self, labels: npt.ArrayLike) -> list[str]:
        return [self.results.class_names[label] for label in np.asarray(labels)]

    def _standing(self) -> Judged:
        """Return the verdicts that stand now. Raises `DataError` if their file cannot be read."""
        if self._followed is None:
            if not os.path.lexists(self._verdict_file):
                return Judged(PixelHashes({}))
            self._followed = Followed(VerdictFile(self._verdict_file), PixelHashes(self.results.examples))
        return self._followed.now()

    def _standing_for(self, wanted: Wanted) -> Judged:
        """Return the same; where nothing is chosen by verdicts, warn if they cannot be read."""
        try:
            return self._standing()
        except DataError as error:
            if wanted:
                raise
            warnings.warn(str(error), stacklevel=3)
            return Judged(PixelHashes({}))

    def _with_names(self, table: pd.DataFrame, kind: Kind, wanted: Wanted) -> pd.DataFrame:
        """Return the rows of a table of pairs or labels that pass, with names and what was judged."""
        stands = self._standing_for(wanted)
        rows = select_judged(table, stands, kind, wanted)
        shown, marked = readable(rows, self.results.class_names), with_verdicts(rows, stands, kind)
        return shown.assign(**{name: marked[name].to_numpy() for name in COLUMNS if name in marked})

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
