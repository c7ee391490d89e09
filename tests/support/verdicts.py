"""Verdicts that tests plant in a file."""

import json

from kernel_core.review.judged import PixelHashes
from kernel_core.review.verdicts import Shown, Verdict


class Plant:
    """Writes verdicts on a source's examples to a file. results: of the source."""

    def __init__(self, results, path):
        self.path, self.hashes = path, PixelHashes(results.examples)
        self.shown = Shown(source=results.name)

    def verdict(self, a, b=None, verdict="different", reviewer="Ann", **fields):
        kind, other = ("label", None) if b is None else ("pair", self.hashes.item(b))
        return Verdict(kind, self.hashes.item(a), other, verdict, reviewer, **{"shown": self.shown, **fields})

    def __call__(self, a, b=None, verdict="different", reviewer="Ann", **fields):
        """Add one verdict to the file; return it."""
        made = self.verdict(a, b, verdict, reviewer, **fields)
        with self.path.open("a") as file:
            file.write(json.dumps(made.to_json()) + "\n")
        return made
