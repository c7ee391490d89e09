"""The door's tables of verdicts."""

from __future__ import annotations

import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.notebook.door import Door
from kernel_core.review.overview import unmatched_table
from kernel_core.review.verdicts import VERDICTS, Kind
from kernel_core.spec import example_name


class VerdictTables(Door):
    """What reviewers said of pairs and of labels."""

    def verdicts(self, kind: Kind = "pair", *, unmatched: bool = False) -> pd.DataFrame:
        """Return the verdicts that stand, one row per reviewer of each pair or label.

        kind: pair or label. unmatched: instead, the verdicts on examples that the source lacks, as
        `kernel_core.review.overview.unmatched_table` does. Raises `DataError` if the file cannot be read.
        Columns: a and b, or for labels example; then reviewer, verdict, proposed_label, note, at, id,
        similarity, value, rank, filter, design, stratum, inclusion_probability, blind, milliseconds and
        repeats, the fields of a verdict.

        >>> import kernel_core as ke
        >>> list(ke.open("digits").verdicts("label").columns)[:4]
        ['example', 'reviewer', 'verdict', 'proposed_label']
        """
        if kind not in VERDICTS:
            raise RequestError(f"Found the kind {kind!r}; expected {' or '.join(VERDICTS)}.")
        judged = self._standing()
        if unmatched:
            table = unmatched_table(judged)
            return table[table["kind"] == kind].reset_index(drop=True)
        table = judged.table(kind)
        sides = {"a": "a", "b": "b"} if kind == "pair" else {"a": "example"}
        names = {
            name: [
                example_name(split, index)
                for split, index in zip(table[f"{side}_split"], table[f"{side}_index"], strict=True)
            ]
            for side, name in sides.items()
        }
        rest = [column for column in table if not column.endswith(("_split", "_index"))]
        return table.assign(**names)[[*names, *rest]]
