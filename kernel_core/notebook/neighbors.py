"""The door's tables of neighbors, of pairs, and of how two similarities' votes differ."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.explain.aligned_pixels import aligned_pixels
from kernel_core.findings.disagreement import ORDERS, RULES, compare_votes, select_examples
from kernel_core.findings.pairs import matching_pairs, rank_window
from kernel_core.findings.twins import pixels_last
from kernel_core.notebook.door import Door
from kernel_core.results.judged_rows import select_judged, wanted_of
from kernel_core.results.pair_orders import lacks_pixels, ordered_pairs
from kernel_core.spec import Split, example_name, parse_class


class NeighborTables(Door):
    """Tables of neighbors, pairs and votes."""

    def neighbors(
        self, example: str, k: int = 10, by: str = "kernel", database: Split | None = None
    ) -> pd.DataFrame:
        """Return the k examples nearest to any example of either split, nearest first.

        by: a similarity. database: the split whose examples are searched, by default the training set, or the
        only split there is. An example is never its own neighbor.
        Columns: rank (1 … k), example, similarity (larger is nearer), label (class number), class_name, and
        where there are images aligned (correlation of the pixels where they fit best).

        >>> import kernel_core as ke
        >>> table = ke.open("digits").neighbors("test:123", k=3)
        >>> list(table.columns), table["rank"].tolist()
        (['rank', 'example', 'similarity', 'label', 'class_name', 'aligned'], [1, 2, 3])
        """
        split, index = self._named(example)
        database = database or self.results.database
        if database not in self.results.examples:
            raise RequestError(
                f"Found no {database} split in {self.results.name}; expected "
                f"{' or '.join(self.results.examples)}."
            )
        indices, similarities = self._nearby.nearest((split, index), k, by, database)
        labels, images = self.results.examples[database].labels[indices], self.results.examples[split].images
        pixels = {}
        if self.results.has_images:
            others = self.results.examples[database].images
            pixels["aligned"] = aligned_pixels(images[index][None], others, indices[None])[0]
        return pd.DataFrame(
            {
                "rank": np.arange(1, len(indices) + 1),
                "example": [example_name(database, i) for i in indices],
                "similarity": similarities,
                "label": labels,
                "class_name": self._class_names(labels),
                **pixels,
            }
        )

    def pairs(
        self, first: int = 1, last: int | None = None, by: str = "kernel", *, labels: str = "all",
        of_class: str = "", threshold: float | None = None, order: str = "kernel",
        aligned: float | None = None, band: str | None = None, judged: str = "",
        reviewer: str = "", build: bool = False,
    ) -> pd.DataFrame:  # fmt: skip
        """Return each query example's nearest pair, most similar first: ranks first … last.

        last: None for all from first on. order: "twin" ranks by the twin score instead
        (`kernel_core.findings.twins`). build: compare aligned pixels if that is still to be done; else
        `NotBuilt` is raised where they are needed.
        Filters come first, and ranks then count among the pairs that pass: labels (same, different), of_class
        (name of either's class), threshold (least similarity), aligned (least correlation of the pixels),
        band (of the twin score: same picture, likely, look-alike), judged (unjudged, judged, disputed, or a
        verdict such as exact) and reviewer (whose verdicts count).
        Columns: rank, query and database (the two examples), similarity, query_label, database_label (class
        numbers), query_class, database_class (their names); where pixels are compared, also those of
        `kernel_core.findings.twins`; where pairs were judged, those of `kernel_core.results.judged_rows`.

        >>> import kernel_core as ke
        >>> explorer = ke.open("digits")
        >>> explorer.pairs(1, 50).shape[0], len(explorer.pairs())
        (50, 500)
        >>> list(explorer.pairs(1, 1, order="twin", build=True).columns)  # doctest: +NORMALIZE_WHITESPACE
        ['rank', 'query', 'database', 'similarity', 'query_label', 'database_label', 'query_class',
        'database_class', 'aligned', 'others', 'background', 'twin', 'band']
        """
        if lacks_pixels(self.results, by, "twin" if band else order, aligned):
            self._compare_pixels(self.results, by, build=build)
        label = parse_class(of_class, self.results.class_names) if of_class else None
        pairs = ordered_pairs(self.results, by, order)
        pairs = matching_pairs(pairs, labels, label, threshold, aligned, band)
        wanted = wanted_of("pair", judged, reviewer)
        pairs = select_judged(pairs, self._standing_for(wanted), "pair", wanted)
        if (first, last) != (1, None):
            pairs = rank_window(pairs, first, len(pairs) if last is None else last)
        return pixels_last(self._with_names(pairs, "pair", wanted))

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
