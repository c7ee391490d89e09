"""A door for notebooks: what has been built of a source, as tables and images.

    import kernel_core as ke

    explorer = ke.open("digits", build=True)
    explorer.neighbors("test:123")

An example is named by its split and index, as in `test:123`. Tables are DataFrames whose columns are those of
the command line's CSV files, with class names beside labels. Nothing here computes a kernel: `open` reads the
cache, and loads torch only to build what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from kernel_core.errors import NotBuilt, RequestError
from kernel_core.findings.disagreement import ORDERS, RULES, compare_votes, select_examples
from kernel_core.findings.groups import members_of, select_groups
from kernel_core.findings.label_orders import labels_in_doubt, with_labels
from kernel_core.findings.pairs import matching_pairs, nearest_pairs, rank_window
from kernel_core.progress import progress_bar
from kernel_core.results.accuracy import accuracies
from kernel_core.results.directions import in_direction
from kernel_core.results.grouping import default_threshold, find_groups, parts_of
from kernel_core.results.nearby import Nearby
from kernel_core.results.results import Results, open_results
from kernel_core.results.shown import Shown, readable
from kernel_core.results.store import Store
from kernel_core.results.variants import with_variants
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import Split, example_name, parse_class, parse_example


def open(  # noqa: A001 (called as kernel_core.open, like gzip.open)
    source: str | Path = "digits",
    *,
    runs: int | None = None,
    files: int | None = None,
    variants: Sequence[str] = (),
    build: bool = False,
    device: str = "auto",
    memory: int | None = None,
) -> Explorer:
    """Open what has been built of a source, named as on the command line: `digits`, a path, …

    runs: use only the first N runs; of labeled images alone, how many are trained. files: number of files of
    `cifar10-multirun`. variants: of the kernel, such as kernel.raw, that must be there too; others are there
    if they happen to be built. build: compute what the cache lacks, with a progress bar; device (auto, cpu,
    cuda) and memory (bytes) are as for `kernel-explorer build`.
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
            raise NotBuilt(
                f"{missing} Build them with kernel_core.open({str(source)!r}, build=True)."
            ) from None
        from kernel_core import pipeline  # torch takes seconds to load

        with progress_bar() as progress:
            opened = [
                pipeline.build(part, device=device, budget=memory, progress=progress, store=store)
                for part in wanted
            ]
    return Explorer(request, with_variants(opened[0], request, store), store)


class Explorer:
    """The neighbors, findings and images of one source.

    results: the arrays behind the tables (`kernel_core.results.results.Results`).
    """

    def __init__(self, request: SourceRequest, results: Results, store: Store) -> None:
        self.request, self.results, self.store = request, results, store
        self._nearby = Nearby(request, results, store)

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
        return Explorer(self.request, found, self.store)

    @property
    def similarities(self) -> tuple[str, ...]:
        """The similarities, and variants of the kernel, that neighbors can be asked for by."""
        return self.results.names

    def neighbors(
        self, example: str, k: int = 10, by: str = "kernel", database: Split | None = None
    ) -> pd.DataFrame:
        """Return the k examples nearest to any example of either split, nearest first.

        by: a similarity. database: the split whose examples are searched, by default the training set, or the
        only split there is. An example is never its own neighbor.
        Columns: rank (1 … k), example, similarity (larger is nearer), label (class number), class_name.

        >>> import kernel_core as ke
        >>> table = ke.open("digits").neighbors("test:123", k=3)
        >>> list(table.columns), table["rank"].tolist()
        (['rank', 'example', 'similarity', 'label', 'class_name'], [1, 2, 3])
        """
        split, index = self._named(example)
        database = database or self.results.database
        if database not in self.results.examples:
            raise RequestError(
                f"Found no {database} split in {self.results.name}; expected "
                f"{' or '.join(self.results.examples)}."
            )
        indices, similarities = self._nearby.nearest((split, index), k, by, database)
        labels = self.results.examples[database].labels[indices]
        return pd.DataFrame(
            {
                "rank": np.arange(1, len(indices) + 1),
                "example": [example_name(database, i) for i in indices],
                "similarity": similarities,
                "label": labels,
                "class_name": self._class_names(labels),
            }
        )

    def pairs(
        self, first: int = 1, last: int | None = None, by: str = "kernel", *, labels: str = "all",
        of_class: str = "", threshold: float | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Return each query example's nearest pair, most similar first: ranks first … last.

        last: None for all from first on. Filters come first, and ranks then count among the pairs that pass:
        labels (same, different), of_class (name of either's class), threshold (least similarity).
        Columns: rank, query and database (the two examples), similarity, query_label, database_label (class
        numbers), query_class, database_class (their names).

        >>> import kernel_core as ke
        >>> explorer = ke.open("digits")
        >>> explorer.pairs(1, 50).shape, len(explorer.pairs())
        ((50, 8), 500)
        >>> list(explorer.pairs(1, 1).columns)  # doctest: +NORMALIZE_WHITESPACE
        ['rank', 'query', 'database', 'similarity', 'query_label', 'database_label', 'query_class',
        'database_class']
        """
        pairs = nearest_pairs(self.results.neighbors_by(by), *self.results.labels)
        label = parse_class(of_class, self.results.class_names) if of_class else None
        pairs = matching_pairs(pairs, labels, label, threshold)
        if (first, last) != (1, None):
            pairs = rank_window(pairs, first, len(pairs) if last is None else last)
        return readable(pairs, self.results.class_names)

    def failures(
        self, by: str = "kernel", *, order: str = "most similar", label: str = "", against: str = ""
    ) -> pd.DataFrame:
        """Return the examples whose labels are in doubt, one row per example with its nearest.

        order: of `findings.label_orders.ORDERS`. "most similar": the pairs of `pairs` whose labels differ,
        with their ranks among all pairs. "label to check": all examples, the label that the ensemble and the
        20 nearest support least first; `findings.label_support` describes the further columns. label: only
        examples of this class. against: only those whose nearest is of it, or whose neighbors vote for it.
        """
        neighbors, names = self.results.neighbors_by(by), self.results.class_names
        table = labels_in_doubt(neighbors, self.results.labels, self.results.predictions, order)
        numbers = [parse_class(name, names) if name else None for name in (label, against)]
        return readable(with_labels(table, *numbers), names)

    def groups(
        self,
        threshold: float | None = None,
        by: str = "kernel",
        *,
        aligned: float | None = None,
        labels: str = "all",
        of_class: str | int | None = None,
        crossing: bool = False,
        build: bool = False,
    ) -> pd.DataFrame:
        """Return groups of near-duplicates, one row per member; the first of each group is the one to keep.

        threshold: the least similarity of a pair that is linked; by default that at which the page of
        near-duplicates begins. aligned: also the least correlation of its pixels where the two images fit
        best, shifted by up to 2 pixels or mirrored. labels: all, same or different; of_class: a class, as
        number or name; crossing: with members in both splits; these choose groups, which keep their numbers.
        build: compute the neighbors within a split that are missing; else `NotBuilt` is raised.
        Columns: group, size, is_mixed, crosses, example, label, class_name, similarity (mean, to the other
        members), is_medoid; as `kernel_core.findings.groups` describes them.
        """
        parts = parts_of(self.results, self.request, self.store, by)
        for part in parts:
            if by not in part.names:
                self._build_direction(part, by, build=build)
        threshold = default_threshold(parts[0], by) if threshold is None else threshold
        found = find_groups(parts, by, threshold, aligned=aligned)
        label = None if of_class is None else parse_class(str(of_class), self.results.class_names)
        rows = select_groups(found, labels, label, crossing=crossing)
        table = members_of(found, rows, self.results.class_names)
        names = [example_name(*member) for member in zip(table["split"], table["index"], strict=True)]
        columns = ["group", "size", "is_mixed", "crosses", "example", "label", "class_name", "similarity"]
        return table.assign(example=names)[[*columns, "is_medoid"]]

    def _build_direction(self, part: Results, by: str, *, build: bool) -> None:
        """Build the neighbors by a similarity in the direction of some results, or raise `NotBuilt`."""
        if not build:
            raise NotBuilt(
                f"Neighbors {part.spec.direction} by {by} of {part.name} are not built. Build them with "
                "explorer.groups(build=True)."
            )
        from kernel_core import pipeline  # torch takes seconds to load

        wanted = replace(self.request, query=part.query, database=part.database, similarities=(by,))
        with progress_bar() as progress:
            pipeline.build(wanted, progress=progress, store=self.store)

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

    def disagreement(
        self, first: str, second: str, k: int = 10, vote: str = "majority of 3", order: str = ORDERS[0]
    ) -> pd.DataFrame:
        """Return how the votes of two similarities' neighbors differ, one row per query example.

        k: neighbors compared for the overlap. vote: a key of `findings.disagreement.RULES`. order: one of
        `findings.disagreement.ORDERS`; the last two keep the examples on which exactly that vote is right.
        Columns: query (the example), query_label, query_class, overlap (the share of the k nearest that both
        have, 0 … 1), and for first and second each: first_vote (a class number), first_share (its share of
        the votes' weight, 0 … 1), first_right.

        >>> import kernel_core as ke
        >>> table = ke.open("digits").disagreement("kernel", "pixels")
        >>> len(table), bool(table["overlap"].is_monotonic_increasing)
        (500, True)
        """
        if vote not in RULES:
            raise RequestError(f"Found the vote {vote!r}; expected {' or '.join(RULES)}.")
        neighbors = [self.results.neighbors_by(name) for name in (first, second)]
        table = compare_votes(neighbors[0], neighbors[1], self.results.labels, rule=RULES[vote], k=k)
        table = select_examples(table, order)
        table.insert(0, "query", [example_name(self.results.query, i) for i in table.pop("query_index")])
        table.insert(2, "query_class", self._class_names(table["query_label"]))
        return table.reset_index(drop=True)

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

    def _named(self, example: str) -> tuple[Split, int]:
        return parse_example(example, self.results.example_counts)

    def _class_names(self, labels: npt.ArrayLike) -> list[str]:
        return [self.results.class_names[label] for label in np.asarray(labels)]
