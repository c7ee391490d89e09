"""Open a source, and the explorer that has every table and image of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from PIL import Image

from kernel_core.errors import NotBuilt, RequestError
from kernel_core.notebook.cleaned import CleanedSet
from kernel_core.notebook.groups import GroupTables
from kernel_core.notebook.labels import LabelTables
from kernel_core.notebook.neighbors import NeighborTables
from kernel_core.notebook.unseen import UnseenTables
from kernel_core.notebook.verdicts import VerdictTables
from kernel_core.progress import progress_bar
from kernel_core.results.accuracy import accuracies
from kernel_core.results.directions import in_direction
from kernel_core.results.opening import open_results
from kernel_core.results.shown import Shown
from kernel_core.results.store import Store
from kernel_core.results.variants import with_variants
from kernel_core.shortage import shortage_said
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split


@shortage_said()
def open(  # noqa: A001 (called as kernel_core.open, like gzip.open)
    source: str | Path = "digits",
    *,
    runs: int | None = None,
    files: int | None = None,
    variants: Sequence[str] = (),
    build: bool = False,
    device: str = "auto",
    memory: int | None = None,
    verdicts: str | Path | None = None,
) -> Explorer:
    """Open what has been built of a source, named as on the command line: `digits`, a path, …

    runs: use only the first N runs; of labeled images alone, how many are trained. files: number of files of
    `cifar10-multirun`. variants: of the kernel, such as kernel.raw, or nngp, that must be there too; others
    are there if they are built. build: compute what the cache lacks, with a progress bar; device (auto, cpu,
    cuda) and memory (bytes) are as for `kernel-explorer build`. verdicts: their file, if elsewhere.
    Raises `NotBuilt` if something is missing and `build` is false, and any other `KernelExplorerError`.

    >>> import kernel_core as ke
    >>> ke.open("digits")  # doctest: +NORMALIZE_WHITESPACE
    <digits, 256 runs: 1,297 train and 500 test examples, 10 classes; kernel, penultimate,
    penultimate-euclidean, pixels>
    """
    request, store = SourceRequest(str(source), runs, files), Store()
    wanted = [request, *(replace(request, similarities=(name,)) for name in variants)]
    try:
        opened = [open_results(part, store) for part in wanted]
    except NotBuilt as missing:
        if not build:
            call = f"kernel_core.open({str(source)!r}, build=True)"
            raise NotBuilt(f"{missing} Build them with {call}.") from None
        from kernel_core import pipeline  # torch takes seconds to load

        with progress_bar() as progress:
            opened = [
                pipeline.build(part, device=device, budget=memory, progress=progress, store=store)
                for part in wanted
            ]
    return Explorer(request, with_variants(opened[0], request, store), store, verdicts)


class Explorer(NeighborTables, LabelTables, GroupTables, UnseenTables, VerdictTables, CleanedSet):
    """The neighbors, findings and images of one source.

    results: the arrays behind the tables (`kernel_core.results.results.Results`).
    """

    def __repr__(self) -> str:
        counts = " and ".join(f"{count:,} {of}" for of, count in self.results.example_counts.items())
        classes = f"{len(self.results.class_names)} classes"
        return f"<{self.results.title}: {counts} examples, {classes}; {', '.join(self.similarities)}>"

    def within(self, split: Split, by: str = "kernel", *, build: bool = False) -> Explorer:
        """Return the explorer of neighbors within one split, by the similarities that are built there.

        build: compute the neighbors by `by` if they are missing. Raises `NotBuilt` if there are none by any
        similarity, and `RequestError` if the source lacks the split.
        """
        found = in_direction(self.results, self.request, self.store, split, split)
        if build and by not in found.names:
            self._build_direction(found, by, build=True)
        if not found.names:
            why = f"No neighbors within {split} of {self.results.name} are built yet."
            raise NotBuilt(f"{why} Build them with explorer.within({split!r}, build=True).")
        return Explorer(self.request, found, self.store, self._verdict_file)

    def evaluate(self) -> pd.Series[float]:
        """Return accuracies on the query split, fractions from 0 to 1; NaN where the source offers none.

        The names are those of `kernel-explorer evaluate --json`.

        >>> import kernel_core as ke
        >>> accuracy = ke.open("digits").evaluate()
        >>> bool(accuracy["kernel_knn3"] > accuracy["single"])
        True
        """
        fractions = accuracies(self.results)
        del fractions["runs"]
        return pd.Series(fractions, name="accuracy", dtype=float)

    def image(self, example: str) -> Image.Image:
        """Return an example's image at its own size. Raises `RequestError` if the source has labels alone.

        >>> import kernel_core as ke
        >>> ke.open("digits").image("test:123").size
        (8, 8)
        """
        split, index = self._named(example)
        if not self.results.has_images:
            raise RequestError(f"{self.results.name} has labels alone; there is no image of {example}.")
        return Image.fromarray(self.results.examples[split].images[index])

    def show(self, table: pd.DataFrame) -> Shown:
        """Return a table of this explorer that Jupyter draws with its examples' images; text elsewhere."""
        return Shown(self.results, table)
