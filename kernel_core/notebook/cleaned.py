"""The door's cleaned set."""

from __future__ import annotations

from kernel_core.exports.decisions import LABELS, SIDES, Cleaned, Rules, clean
from kernel_core.notebook.door import Door
from kernel_core.notebook.verdicts import one_of
from kernel_core.results.pair_orders import lacks_pixels
from kernel_core.review.consensus import RULES


class CleanedSet(Door):
    """What to keep and what to drop."""

    def clean(
        self, *, drop: str = "test", labels: str = "correct", rule: str = "majority",
        machine: bool = False, build: bool = False,
    ) -> Cleaned:  # fmt: skip
        """Return the cleaned set that verdicts make, as `kernel-explorer clean` writes it.

        drop: test, train or both, of duplicates between the splits. labels: correct, drop or keep those that
        were judged wrong. rule: majority, unanimous or adjudicated. machine: count what nobody judged, too:
        copies equal in every byte, and the first band of the twin score; build: compare the pixels for it
        where that is still to be done. keep and drop of what is returned hold the indices of each split;
        dropped and corrections are tables, described at `kernel_core.exports.decisions.Cleaned`.
        Raises `RequestError` where nobody has judged anything and machine is false, `NotBuilt` where pixels
        are still to be compared and build is false, and `DataError` if the verdicts cannot be read.

        >>> import kernel_core as ke
        >>> cleaned = ke.open("digits").clean(machine=True, build=True)
        >>> len(cleaned.keep["test"]) + len(cleaned.drop["test"])
        500
        """
        one_of("drop", drop, SIDES)
        one_of("labels", labels, LABELS)
        one_of("rule", rule, RULES)
        results = self.results
        compares = machine and results.has_images and "kernel" in results.names
        if compares and lacks_pixels(results, "kernel", "twin"):
            self._compare_pixels(results, "kernel", build=build)
        return clean(results, self._standing(), Rules(rule, side=drop, labels=labels, machine=machine))
