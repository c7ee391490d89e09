"""The splits, which neighbors are asked for, and the names of examples and classes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal

from kernel_core.errors import RequestError

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
ADJECTIVES: dict[Split, str] = {"train": "training", "test": "test"}  # in texts, as in "a training example"
NEIGHBORS_KEPT = 50  # by every build; pages and verbs show the first of them
NAME = r"[a-z0-9][a-z0-9_-]{0,99}(\.[a-z0-9-]{1,999}){0,4}"  # of a similarity
PRECISIONS = ("auto", "exact", "certified", "fast")  # search/certified.py describes them
TRANSFORMS = {
    "log_softmax": "log_softmax",
    "none": "raw logits",
    "centred": "centred logits",
    "shift": "common shift, experimental",
}
"""Transform of the logits before they are standardized over the runs → the name that people see."""
WORDS = {"none": "raw", "centred": "centred", "shift": "shift"}
"""Transform → the word for it in the name of a variant; log_softmax has none."""
WHITENED = "whitened"  # that word in the name of a variant


@dataclass(frozen=True)
class KernelSpec:
    """Which neighbors: those of every `query` example among all `database` examples, by one similarity.

    similarity: the name of one that the source offers. k: neighbors per query example. The rest is for the
    kernel only:
    run_count: use only the first N runs; None for all.
    transform: a key of `TRANSFORMS`.
    classes: the classes that the kernel is averaged over, each once, in rising order; None for all.
    log_softmax is over all classes, whichever are averaged.
    whitened: whether the rows of the kernel are whitened by the covariance of the training rows.
    Raises `RequestError` if these do not fit together.
    """

    similarity: str
    query: Split = "test"
    database: Split = "train"
    k: int = NEIGHBORS_KEPT
    run_count: int | None = None
    transform: str = "log_softmax"
    classes: tuple[int, ...] | None = None
    whitened: bool = False

    def __post_init__(self) -> None:
        known: tuple[tuple[str, str, Collection[str]], ...] = (
            ("split", self.query, SPLITS),
            ("split", self.database, SPLITS),
            ("transform", self.transform, TRANSFORMS),
        )
        for what, name, names in known:
            if name not in names:
                raise RequestError(f"No {what} is called {name!r}; known: {', '.join(names)}.")
        if self.k < 1:
            raise RequestError(f"k is {self.k}; expected at least 1 neighbor.")
        if self.classes is not None and not _valid_classes(self.classes):
            raise RequestError(
                f"The classes asked for are {list(self.classes)}; expected class numbers from 0 on, each "
                "once and in rising order, as in 0,3."
            )
        if self.transform == "shift" and self.classes is not None:
            raise RequestError(
                "The common shift is one number per run, the same for every class. Leave the classes out, or "
                "choose another transform."
            )
        kernel_only = self.run_count, self.transform, self.classes, self.whitened
        if self.similarity != "kernel" and kernel_only != (None, "log_softmax", None, False):
            raise RequestError(
                f"{self.variant or f'{self.run_count} runs'}: {self.similarity} does not depend on them. "
                "Runs, transform, classes and whitening are choices of the kernel; leave them out, or ask "
                "for the kernel."
            )

    @classmethod
    def named(cls, name: str, of: KernelSpec) -> KernelSpec:
        """Return the spec of a similarity by its name; `name` gives the name back.

        of: query, database and k, and for the kernel also the runs where the name says none.
        Raises `RequestError` if it is no name, or that of a variant that does not exist.

        >>> KernelSpec.named("kernel.first-50.raw", KernelSpec("kernel")).differences
        'first 50 runs, raw logits'
        """
        if not re.fullmatch(NAME, name):
            raise RequestError(f"{name[:80]!r} is not the name of a similarity; expected one such as kernel.")
        similarity, *words = name.split(".")
        if similarity != "kernel":
            return cls(name, of.query, of.database, of.k)
        fields: dict[str, Any] = {"run_count": of.run_count}
        for word in words:
            field, value = _choice_called(word)
            if not field:
                raise RequestError(
                    f"{name[:80]!r} names no variant of the kernel; expected kernel.raw, kernel.centred, "
                    "kernel.shift, kernel.whitened, kernel.first-50, kernel.classes-0-3, or several of "
                    "them, as in kernel.first-50.raw."
                )
            fields[field] = value
        return cls("kernel", of.query, of.database, of.k, **fields)

    @property
    def name(self) -> str:
        """The similarity with what varies it, as in kernel.first-50.raw: its name in addresses."""
        words = [self.similarity]
        words += [f"first-{self.run_count}"] if self.run_count is not None else []
        words += [WORDS[self.transform]] if self.transform in WORDS else []
        words += [f"classes-{'-'.join(map(str, self.classes))}"] if self.classes is not None else []
        words += [WHITENED] if self.whitened else []
        return ".".join(words)

    @property
    def differences(self) -> str:
        """How the kernel differs from that of all runs, as in "first 50 runs, raw logits"; else empty."""
        runs = f"first {self.run_count:,} runs" if self.run_count is not None else ""
        return ", ".join(words for words in (runs, self.variant) if words)

    @property
    def variant(self) -> str:
        """How the kernel differs from the default one, as in "raw logits, classes 0, 3"; else empty."""
        words = [TRANSFORMS[self.transform]] if self.transform != "log_softmax" else []
        if self.classes is not None:
            noun = "class" if len(self.classes) == 1 else "classes"
            words.append(f"{noun} {', '.join(map(str, self.classes))}")
        words += [WHITENED] if self.whitened else []
        return ", ".join(words)

    @property
    def splits(self) -> tuple[Split, Split]:
        """The split of the queries and that of their neighbors."""
        return self.query, self.database

    @property
    def direction(self) -> str:
        """The two splits, as in test→train."""
        return f"{self.query}→{self.database}"

    @property
    def query_example(self) -> str:
        """Noun for an example whose neighbors these are, as in "test example"."""
        return f"{ADJECTIVES[self.query]} example"

    @property
    def database_example(self) -> str:
        """Noun for a neighbor, as in "training example", or within one split "other test example"."""
        return f"{'other ' if self.excludes_self else ''}{ADJECTIVES[self.database]} example"

    @property
    def title(self) -> str:
        """The similarity with its variant, as in "kernel (raw logits)"."""
        return f"{self.similarity} ({self.variant})" if self.variant else self.similarity

    @property
    def excludes_self(self) -> bool:
        """Whether query and database are the same split: then no example is its own neighbor."""
        return self.query == self.database

    def to_json(self) -> str:
        """Return the spec as canonical JSON; `from_json` reads it back."""
        return json.dumps(self.content(), sort_keys=True)

    def content(self) -> dict[str, Any]:
        """Return the fields under the names that they have in cache keys and entries."""
        fields = asdict(self)
        if not self.whitened:  # entries from before there was a choice keep their keys
            del fields["whitened"]
        fields["runs"] = fields.pop("run_count")
        return fields

    @classmethod
    def from_json(cls, text: str) -> KernelSpec:
        """Return the spec that `to_json` wrote."""
        fields = json.loads(text)
        fields["run_count"] = fields.pop("runs")
        if fields.get("classes") is not None:
            fields["classes"] = tuple(fields["classes"])
        return cls(**fields)


def _choice_called(word: str) -> tuple[str, Any]:
    """Return the field that a word of a variant's name sets, and its value; an empty field for no such word.

    >>> _choice_called("first-50"), _choice_called("raw"), _choice_called("centered")
    (('run_count', 50), ('transform', 'none'), ('', None))
    """
    if first := re.fullmatch(r"first-([1-9][0-9]{0,8})", word):
        return "run_count", int(first[1])
    if classes := re.fullmatch(r"classes((?:-[0-9]{1,9})+)", word):
        return "classes", tuple(map(int, classes[1][1:].split("-")))
    if word == WHITENED:
        return "whitened", True
    transforms = {of_name: transform for transform, of_name in WORDS.items()}
    return ("transform", transforms[word]) if word in transforms else ("", None)


def _valid_classes(classes: tuple[int, ...]) -> bool:
    """Return whether there is at least one class, and each is there once, in rising order, from 0 on."""
    return bool(classes) and classes[0] >= 0 and sorted(set(classes)) == list(classes)


def run_count_steps(total: int) -> list[int]:
    """Return the run counts at which results are compared: 10, 20, 50, 100, … below `total`, then `total`.

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

    People may also write `train 456` or `TRAIN:5`. A number alone is an example of the test split.
    counts: number of examples in each split that the source has; without it, only the form of the name is
    checked. Raises `RequestError` if the text is not a name of an example, or the index is out of range.

    >>> parse_example("train:4", {"test": 3, "train": 9}), parse_example(" TRAIN 2 "), parse_example("2")
    (('train', 4), ('train', 2), ('test', 2))
    """
    match = re.fullmatch(
        r"(?:(test|train|training)\s*:?\s*)?([0-9]{1,18})", text.strip(), re.IGNORECASE | re.ASCII
    )
    expected = "a split and an index, as in test:123 or train:123"
    if counts is not None:
        expected = " or ".join(f"{name}:0 … {name}:{count - 1}" for name, count in sorted(counts.items()))
    if not match:
        raise RequestError(f"{text[:40]!r} is not the name of an example; expected {expected}.")
    split: Split = "train" if (match[1] or "").lower().startswith("train") else "test"
    index = int(match[2])
    if counts is not None and index >= counts.get(split, 0):
        raise RequestError(f"{text[:40]!r} is out of range; expected {expected}.")
    return split, index


def parse_class(text: str, class_names: Sequence[str]) -> int:
    """Return the number of a class that is named, or given by its number where no class has that name.

    Raises `RequestError` if it is neither.

    >>> parse_class("dog", ("cat", "dog")), parse_class("0", ("cat", "dog"))
    (1, 0)
    """
    if text in class_names:
        return class_names.index(text)
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text) < len(class_names):
        return int(text)
    near = get_close_matches(text, class_names, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    some = ", ".join(class_names[:20]) + (", …" if len(class_names) > 20 else "")
    raise RequestError(f"No class is called {text[:40]!r}; expected one of {some}.{meant}")
