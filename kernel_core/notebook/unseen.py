"""The door's tables of what runs say of examples that they did not train on."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.influence import ORDERS, with_intervals
from kernel_core.findings.pairs import matching_pairs
from kernel_core.notebook.door import Door
from kernel_core.results.counterfactuals import counterfactual, influence_on, memorization_of, unseen_of
from kernel_core.results.shown import readable
from kernel_core.spec import parse_class


class UnseenTables(Door):
    """Tables of a source with training masks; without them, each call raises `RequestError`."""

    def memorization(self, of_class: str = "") -> pd.DataFrame:
        """Return how much each training example is memorized, the most memorized first.

        of_class: only examples with this label. `findings.memorization` describes the columns; the example is
        in the column query.
        """
        names = self.results.class_names
        return readable(
            memorization_of(self.results, parse_class(of_class, names) if of_class else None), names
        )

    def influence(
        self,
        by: str = "kernel",
        *,
        order: str = ORDERS[0],
        top: int = 50,
        labels: str = "all",
        of_class: str = "",
    ) -> pd.DataFrame:
        """Return the training examples that change the probability of others' labels most, pair by pair.

        by: the similarity whose nearest training examples are candidates. order: helps or hurts. top: number
        of pairs. labels (all, same, different) and of_class (of either example) filter. `findings.influence`
        describes the columns; the examples are in the columns query and database.
        """
        names = self.results.class_names
        table = influence_on(self.results, by, order)
        table = matching_pairs(table, labels, parse_class(of_class, names) if of_class else None).head(top)
        return readable(with_intervals(table, unseen_of(self.results)), names)

    def counterfactual(self, train_example: str, example: str) -> pd.Series[float]:
        """Return what a training example changes on another example, by the runs with it and without it.

        train_example: as in `train:123`. example: whose label's probability it is, as in `test:5`; of a
        training example, only runs count that did not train on it.
        Entries: probability_with, probability_without, runs_with, runs_without, difference, low, high, which
        are the ends of its 95% interval; NaN where fewer than five runs are on one side.
        """
        split, index = self._named(train_example)
        if split != "train":
            raise RequestError(
                f"{train_example} is no training example; expected one such as train:123 first."
            )
        found = counterfactual(self.results, index, self._named(example))
        columns = ["probability_with", "probability_without", "runs_with", "runs_without", "difference"]
        values = asdict(found) if found else dict.fromkeys([*columns, "low", "high"], float("nan"))
        return pd.Series(values, name=f"{train_example} → {example}", dtype=float)
