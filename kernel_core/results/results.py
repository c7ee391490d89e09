"""What has been built of a source, in one direction: examples, predictions and neighbors by similarity.

`results.opening` reads it from the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError
from kernel_core.explain.traces import Traces, why_none_kept
from kernel_core.findings.twins import Aligned
from kernel_core.predicted import Predictions
from kernel_core.records import ExampleSet, Neighbors
from kernel_core.results.keys import refuse_unoffered
from kernel_core.similarities import Similarity, of_variant
from kernel_core.spec import KernelSpec, Split
from kernel_core.training_masks import Unseen


@dataclass(frozen=True, eq=False)
class Results:
    """What was asked for from a source, in one direction: from the `query` split to the `database` split.

    spec: the kernel's spec; if the kernel was not asked for, that of the first similarity.
    predictions_of: by split, the ensemble's predictions.
    neighbors: by name of a similarity or of a variant of the kernel, the neighbors; "kernel" is the kernel
    that was asked for. variants: by name, neighbors by variants, and similarities on request, that happen to
    be built.
    class_neighbors: by class, the neighbors by the kernel of that class alone; empty unless asked for.
    offered: by name, every similarity that the source offers, asked for or not. fitting: the names of those
    that can be asked for in this direction.
    features_layer, features_run: of the penultimate features; empty unless neighbors by them were asked for.
    traces: by split, what explains the kernel's values; empty for a variant of the kernel, and if they were
    not kept, by an older version or for lack of space.
    aligned: by name, the aligned pixels of neighbors by a similarity or variant, where they are built.
    unseen: what the runs say of training examples that they did not train on; None without training masks.
    flags: by split, which labels confident learning flags, where that is kept as it takes seconds.
    about: what to know of an ensemble or a test set that the source's owner did not bring; often empty.
    """

    id: str
    name: str
    spec: KernelSpec
    examples: Mapping[Split, ExampleSet]
    predictions_of: Mapping[Split, Predictions]
    neighbors: Mapping[str, Neighbors]
    class_neighbors: Mapping[int, Neighbors]
    offered: Mapping[str, Similarity]
    fitting: tuple[str, ...]
    features_layer: str
    features_run: str
    traces: Mapping[Split, Traces] = field(default_factory=dict)
    variants: Mapping[str, Neighbors] = field(default_factory=dict)
    about: str = ""
    unseen: Unseen | None = None
    aligned: Mapping[str, Aligned] = field(default_factory=dict)
    flags: Mapping[Split, npt.NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def query(self) -> Split:
        """The split of the examples whose neighbors these are."""
        return self.spec.query

    @property
    def database(self) -> Split:
        """The split of the neighbors."""
        return self.spec.database

    @property
    def within(self) -> str:
        """The split that both examples of a pair are from, where the source has two; else empty."""
        return self.query if self.spec.excludes_self and len(self.examples) > 1 else ""

    @property
    def predictions(self) -> Predictions:
        """The ensemble's predictions for the query split."""
        return self.predictions_of[self.query]

    @property
    def run_count(self) -> int:
        """Number of runs in use."""
        return len(self.predictions.single)

    @property
    def example_counts(self) -> dict[Split, int]:
        """Number of examples in each split of the source."""
        return {split: len(examples) for split, examples in self.examples.items()}

    @property
    def title(self) -> str:
        """The name, the number of runs, and how kernel and direction differ from the defaults."""
        direction = self.spec.direction if self.spec.direction != "test→train" else ""
        words = self.name, f"{self.run_count} runs", self.spec.variant, direction
        return ", ".join(word for word in words if word)

    @property
    def why_no_traces(self) -> str:
        """A sentence on why no build can keep traces, as the source is too large; empty if one can."""
        return why_none_kept(self.run_count, sum(self.example_counts.values()), len(self.class_names))

    @property
    def has_images(self) -> bool:
        """Whether the examples have images, and not labels alone."""
        return self.examples[self.query].has_images

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them."""
        return self.examples[self.query].class_names

    @property
    def labels(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Labels of the query split and of the database split, in the order in which findings take them."""
        return self.examples[self.query].labels, self.examples[self.database].labels

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every similarity, and variant of the kernel, that there are neighbors by."""
        return (*self.neighbors, *self.variants)

    def refuse_missing(self, split: str) -> None:
        """Raise `RequestError` if the source has no such split."""
        if split not in self.examples:
            expected = " or ".join(self.examples)
            raise RequestError(f"Found no {split} split in {self.name}; expected {expected}.")

    def similarity(self, name: str) -> Similarity:
        """Return a similarity, or variant of the kernel, by its name.

        Raises `RequestError` if the source does not offer it.
        """
        if name in self.offered:
            return self.offered[name]
        spec = KernelSpec.named(name, KernelSpec("kernel", self.query, self.database))
        refuse_unoffered(self.name, spec.similarity, tuple(self.offered))
        return of_variant(spec)

    def title_of(self, name: str) -> str:
        """Return the name that people see of a similarity, as `similarity` does."""
        return self.similarity(name).title

    def neighbors_by(self, similarity: str) -> Neighbors:
        """Return the neighbors by one similarity, or by one variant of the kernel.

        Raises `RequestError` if they were not asked for, or if the source does not offer them.
        """
        if similarity in self.neighbors:
            return self.neighbors[similarity]
        if similarity in self.variants:
            return self.variants[similarity]
        self.similarity(similarity)
        raise RequestError(
            f"Neighbors by {similarity!r} were not asked for; these results of {self.name} hold those by "
            f"{', '.join(self.neighbors)}. Ask for them with --similarity."
        )
