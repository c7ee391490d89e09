"""The door's tables of labels in doubt."""

from __future__ import annotations

import pandas as pd

from kernel_core.findings.label_orders import labels_in_doubt, with_labels
from kernel_core.notebook.door import Door
from kernel_core.results.shown import readable
from kernel_core.spec import parse_class


class LabelTables(Door):
    """Tables of examples whose labels are in doubt."""

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
