"""The door's table of groups of near-duplicates."""

from __future__ import annotations

import pandas as pd

from kernel_core.findings.groups import Groups, members_of, select_groups
from kernel_core.notebook.door import Door
from kernel_core.results.grouping import default_threshold, find_groups, parts_of
from kernel_core.results.judged_rows import (
    GROUP_COLUMNS,
    Wanted,
    select_groups_judged,
    wanted_of,
    with_judged_pairs,
)
from kernel_core.results.pair_orders import lacks_pixels
from kernel_core.spec import example_name, parse_class


class GroupTables(Door):
    """The table of groups."""

    def groups(
        self, threshold: float | None = None, by: str = "kernel", *, order: str = "kernel",
        aligned: float | None = None, labels: str = "all", of_class: str | int | None = None,
        crossing: bool = False, judged: str = "", reviewer: str = "", build: bool = False,
    ) -> pd.DataFrame:  # fmt: skip
        """Return groups of near-duplicates, one row per member; the first of each group is the one to keep.

        threshold: the least similarity of a pair that is linked; by default that at which the page of
        near-duplicates begins. order: "twin" links pairs by the twin score
        (`kernel_core.findings.twins`), of which threshold is the least one, 0.8 or more by default. aligned:
        also the least correlation of a pair's pixels where the two images fit best, shifted or mirrored.
        labels: all, same or different; of_class: a class, as number or name; crossing: with members in both
        splits; judged, reviewer: with a pair judged so (judged, disputed, exact …), or unjudged, without one;
        these choose groups, which keep their numbers.
        build: compute what is missing, such as the neighbors within a split; else `NotBuilt` is raised.
        Columns: group, size, is_mixed, crosses, example, label, class_name, similarity (mean, to the other
        members), is_medoid; as `kernel_core.findings.groups` describes them. Where pairs were judged, also
        judged_pairs and verdicts, of `kernel_core.results.judged_rows`.
        """
        parts = parts_of(self.results, self.request, self.store, by)
        for part in parts:
            if by not in part.names:
                self._build_direction(part, by, build=build)
            if lacks_pixels(part, by, order):
                self._compare_pixels(part, by, build=build)
        threshold = default_threshold(parts[0], by, order) if threshold is None else threshold
        found = find_groups(parts, by, threshold, order=order, aligned=aligned)
        label = None if of_class is None else parse_class(str(of_class), self.results.class_names)
        rows = select_groups(found, labels, label, crossing=crossing)
        table = self._judged_members(found, rows, wanted_of("pair", judged, reviewer))
        names = [example_name(*member) for member in zip(table["split"], table["index"], strict=True)]
        columns = ["group", "size", "is_mixed", "crosses", "example", "label", "class_name", "similarity"]
        columns += ["is_medoid", *(name for name in GROUP_COLUMNS if name in table)]
        return table.assign(example=names)[columns]

    def _judged_members(self, found: Groups, rows: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
        """Return the members of those groups that pass, with what was judged of pairs in them."""
        stands = self._standing_for(wanted)
        rows = select_groups_judged(rows, found.members, stands, wanted)
        return with_judged_pairs(members_of(found, rows, self.results.class_names), stands)
