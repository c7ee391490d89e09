"""Which neighbors are meant: the splits, the similarities and their variants, and what they are called."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kernel_core.errors import RequestError

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
ADJECTIVES: dict[Split, str] = {"train": "training", "test": "test"}  # in texts, as in "a training example"
NEIGHBORS_KEPT = 50  # by every build; pages and verbs show the first of them
PRECISIONS = ("auto", "exact", "certified", "fast")  # search/certified.py says what they mean
TRANSFORMS = {"log_softmax": "log_softmax", "none": "raw logits"}
"""What is done to the logits before they are standardized over the runs → its name shown to people."""


SIMILARITIES = {
    "kernel": "Kernel",
    "penultimate": "Features (cosine)",
    "penultimate-euclidean": "Features (Euclidean)",
    "pixels": "Pixels",
}
"""Name on the command line and in URLs → name shown to people. Larger is always nearer."""


@dataclass(frozen=True)
class KernelSpec:
    """Which neighbors: of every `query` example among all `database` examples, by one similarity.

    Only the kernel depends on runs, the first so many runs of the ensemble, None for all; on transform, a key of
    `TRANSFORMS`; and on classes, those that it is averaged over, each once in rising order, None for all.
    log_softmax is over all classes whichever are averaged. Raises `RequestError` where these do not fit together.
    """

    similarity: str
    query: Split = "test"
    database: Split = "train"
    k: int = NEIGHBORS_KEPT
    run_count: int | None = None
    transform: str = "log_softmax"
    classes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        known: tuple[tuple[str, str, Collection[str]], ...] = (
            ("similarity", self.similarity, SIMILARITIES),
            ("split", self.query, SPLITS),
            ("split", self.database, SPLITS),
            ("transform", self.transform, TRANSFORMS),
        )
        for what, found, names in known:
            if found not in names:
                raise RequestError(f"No {what} is called {found!r}; known: {', '.join(names)}.")
        if self.k < 1:
            raise RequestError(f"k is {self.k}; expected at least 1 neighbor.")
        if self.classes is not None and (
            not self.classes or self.classes[0] < 0 or sorted(set(self.classes)) != list(self.classes)
        ):
            raise RequestError(
                f"The classes asked for are {list(self.classes)}; expected class numbers from 0 on, each once and in "
                "rising order, as in 0,3."
            )
        given = self.run_count, self.transform, self.classes
        if self.similarity != "kernel" and given != (None, "log_softmax", None):
            raise RequestError(
                f"{self.variant or f'{self.run_count} runs'}: {self.similarity} does not depend on them. Runs, transform "
                "and classes are choices of the kernel; leave them out, or ask for the kernel."
            )

    @property
    def variant(self) -> str:
        """In which way the kernel is not the default one, as in "raw logits, classes 0, 3"; else empty."""
        words = [TRANSFORMS[self.transform]] if self.transform != "log_softmax" else []
        if self.classes is not None:
            words.append(f"class{'es' * (len(self.classes) > 1)} {', '.join(map(str, self.classes))}")
        return ", ".join(words)

    @property
    def direction(self) -> str:
        """From which split to which, as in test→train."""
        return f"{self.query}→{self.database}"

    @property
    def database_example(self) -> str:
        """What a neighbor is: a "training example", or within one split as an "other test example"."""
        return f"{'other ' if self.excludes_self else ''}{ADJECTIVES[self.database]} example"

    @property
    def title(self) -> str:
        """The similarity with its variant, as in "kernel (raw logits)"."""
        return f"{self.similarity} ({self.variant})" if self.variant else self.similarity

    @property
    def excludes_self(self) -> bool:
        """An example is never its own neighbor: true where query and database are the same split."""
        return self.query == self.database

    def to_json(self) -> str:
        """Return the spec as canonical JSON; `from_json` reads it back."""
        return json.dumps(self.content(), sort_keys=True)

    def content(self) -> dict[str, Any]:
        """Return the fields by the names that cache keys and entries know them by."""
        fields = asdict(self)
        fields["runs"] = fields.pop("run_count")
        return fields

    @classmethod
    def from_json(cls, text: str) -> KernelSpec:
        """The spec that `to_json` wrote."""
        fields = json.loads(text)
        fields["run_count"] = fields.pop("runs")
        if fields.get("classes") is not None:
            fields["classes"] = tuple(fields["classes"])
        return cls(**fields)


def run_count_steps(total: int) -> list[int]:
    """Return the run counts at which results of fewer runs are compared: 10, 20, 50, 100, … below `total`, then it.

    >>> run_count_steps(59), run_count_steps(100), run_count_steps(4)
    ([10, 20, 50, 59], [10, 20, 50, 100], [4])
    """
    round_numbers = [digit * 10**power for power in range(1, 9) for digit in (1, 2, 5)]
    return [*(count for count in round_numbers if count < total), total]


def example_name(split: Split, index: int) -> str:
    """Return an example's name in addresses, in tables and on the command line, such as test:123."""
    return f"{split}:{index}"


def parse_example(text: str, counts: Mapping[Split, int] | None = None) -> tuple[Split, int]:
    """Return the split and the index that a name such as test:123 or train:123 stands for.

    A number alone is an example of the test split. counts: number of examples in each split that the source has;
    without it, only the form of the name is checked. Raises `RequestError` if the text is not a name of an example,
    or the index is out of range.

    >>> parse_example("train:4", {"test": 3, "train": 9}), parse_example(" 2 ", {"test": 3, "train": 9})
    (('train', 4), ('test', 2))
    """
    match = re.fullmatch(r"(?:(test|train):)?([0-9]{1,18})", text.strip())
    expected = "a split and an index, as in test:123 or train:123"
    if counts is not None:
        expected = " or ".join(f"{name}:0 … {name}:{count - 1}" for name, count in sorted(counts.items()))
    if not match:
        raise RequestError(f"{text[:40]!r} is not the name of an example; expected {expected}.")
    split: Split = "train" if match[1] == "train" else "test"
    index = int(match[2])
    if counts is not None and index >= counts.get(split, 0):
        raise RequestError(f"{text[:40]!r} is out of range; expected {expected}.")
    return split, index
