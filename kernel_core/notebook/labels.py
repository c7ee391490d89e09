"""The door's tables of labels in doubt."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from kernel_core.findings.label_orders import labels_in_doubt, with_labels
from kernel_core.findings.labels_to_check import DEFAULT, order_called, select_labels
from kernel_core.notebook.door import Door
from kernel_core.progress import progress_bar
from kernel_core.results.directions import in_direction
from kernel_core.results.judged_rows import wanted_of
from kernel_core.results.label_check import check_labels, direction_of
from kernel_core.spec import Split, parse_class


class LabelTables(Door):
    """Tables of examples whose labels are in doubt."""

    def failures(
        self, by: str = "kernel", *, order: str = "most similar", label: str = "", against: str = "",
        judged: str = "", reviewer: str = "",
    ) -> pd.DataFrame:  # fmt: skip
        """Return the examples whose labels are in doubt, one row per example with its nearest.

        order: of `findings.label_orders.ORDERS`. "most similar": the pairs of `pairs` whose labels differ,
        with their ranks among all pairs. "label to check": all examples, the label that the ensemble and the
        20 nearest support least first; `findings.label_support` describes the further columns. label: only
        examples of this class. against: only those whose nearest is of it, or whose neighbors vote for it.
        judged (unjudged, judged, disputed, or a verdict such as given) and reviewer (whose verdicts count)
        choose by what was judged of the label; the columns are in `kernel_core.results.judged_rows`.
        """
        neighbors, names = self.results.neighbors_by(by), self.results.class_names
        table = labels_in_doubt(neighbors, self.results.labels, self.results.predictions, order)
        numbers = [parse_class(name, names) if name else None for name in (label, against)]
        wanted = wanted_of("label", judged, reviewer)
        return self._with_names(with_labels(table, *numbers), "label", wanted)

    def labels(
        self,
        split: Split = "test",
        order: str = DEFAULT,
        by: str = "kernel",
        *,
        label: str = "",
        proposed: str = "",
        both: bool = False,
        judged: str = "",
        reviewer: str = "",
        build: bool = False,
    ) -> pd.DataFrame:
        """Return labels to check and what is proposed instead, one row per example of a split, in an order.

        order: of `findings.labels_to_check.ORDERS`; that module describes the columns. by: similarity of the
        neighbors: training examples, for a training example the others. label, proposed: only examples with
        this label, and for which this class is proposed; both: only those on which ensemble and neighbors
        agree against the label. judged, reviewer: as for `failures`. build: compute neighbors and aligned
        pixels that are missing; else `NotBuilt` is raised.

        >>> import kernel_core as ke
        >>> table = ke.open("digits").labels()
        >>> len(table), bool(table["score"].is_monotonic_increasing)
        (500, True)
        """
        directed = in_direction(self.results, self.request, self.store, *direction_of(self.results, split))
        if by not in directed.names:
            self._build_direction(directed, by, build=build)
        if order_called(order).needs_pixels and build and directed.has_images and by not in directed.aligned:
            from kernel_core import pipeline  # torch takes seconds to load

            wanted = replace(self.request, query=directed.query, database=directed.database)
            with progress_bar() as progress:
                pipeline.build_aligned(wanted, by, progress=progress, store=self.store)
        names = self.results.class_names
        numbers = [parse_class(name, names) if name else None for name in (label, proposed)]
        rows = select_labels(check_labels(directed, by, order), *numbers, both=both)
        return self._with_names(rows, "label", wanted_of("label", judged, reviewer))
