"""What was seen when an open question was put to a source: sentences, curves and tables, in the cache."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kernel_core.results.keys import Keys
from kernel_core.results.store import Store, key_of

KIND = "answers"
FORMAT = 1  # of an answer; raised when old ones no longer say what new ones do


@dataclass(frozen=True)
class Question:
    """A question that can be put to a source.

    name: on the command line. title: a heading. asked: the question in one sentence. how: what is computed,
    in one or two sentences.
    """

    name: str
    title: str
    asked: str
    how: str


QUESTIONS = {
    question.name: question
    for question in (
        Question(
            "transforms",
            "Why log-softmax?",
            "Why does the kernel of log-probabilities vote better than that of raw logits?",
            "The same runs, compared by other functions of their logits, from few runs to all.",
        ),
        Question(
            "classes",
            "Why is one class not enough?",
            "Why is the kernel of one class so much worse than the average over all?",
            "The kernel of one class, of half of the classes and of all, at equal length of rows.",
        ),
        Question(
            "untrained",
            "Before any training?",
            "What is the kernel of networks at their start, and how does training move it?",
            "Small networks with random weights, fully connected and convolutional, against the closed form "
            "of infinitely wide ones (NNGP, the neural network Gaussian process), then epoch by epoch.",
        ),
        Question(
            "attribution",
            "What does an example do?",
            "Does the kernel say which training examples a prediction depends on?",
            "Networks trained on random parts of the training set, whose outputs each method predicts from "
            "the examples that they had; then what is lost without the examples that it names first.",
        ),
        Question(
            "runs",
            "How many runs?",
            "From how many runs on does a vote pass the ensemble, and what would more runs bring?",
            "Disjoint sets of runs of each size, and a curve through them.",
        ),
        Question(
            "variation",
            "Where does the variation come from?",
            "Does the kernel care by what its runs differ?",
            "Small networks trained here that differ by one thing each, beside ordinary ones; and where a "
            "source's runs lie in several folders or files, runs of one against runs of all.",
        ),
    )
}


@dataclass(frozen=True)
class Curve:
    """A line with a band. x, y, low, high: of equal length; low and high are the ends of the band."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def through(cls, name: str, points: Iterable[tuple[float, float, float, float]]) -> Curve:
        """Return the curve through points (x, y, low, high), at least one."""
        x, y, low, high = (tuple(map(float, axis)) for axis in zip(*points, strict=True))
        return cls(name, x, y, low, high)


@dataclass(frozen=True)
class Panel:
    """A figure. x_title: what the x axis is, in words. unit: of y, shares (0 … 1) or numbers.

    is_log: whether the x axis is logarithmic.
    """

    title: str
    x_title: str
    curves: tuple[Curve, ...]
    unit: Literal["share", "number"] = "share"
    is_log: bool = True


@dataclass(frozen=True)
class Table:
    """A table of words and numbers. columns: titles. rows: each as long as the columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]


@dataclass(frozen=True)
class Answer:
    """An answer to a question.

    question: a key of `QUESTIONS`. source: name of the source. seen: sentences, the plainest first.
    panels, tables: in the order in which people see them. bands: what the bands are, in a sentence.
    asked: the options that were asked for, by name. command: what gives this answer again. seconds: of the
    processor, all cores together, that it took; less where the cache knew parts.
    """

    question: str
    source: str
    seen: tuple[str, ...]
    panels: tuple[Panel, ...]
    tables: tuple[Table, ...]
    bands: str
    asked: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0

    @property
    def drawn(self) -> str:
        """How many of the query examples were asked about, in words."""
        queries, every = self.asked["queries"], self.asked["of"]
        return f"all {every:,}" if queries == every else f"{queries:,} of {every:,}, drawn at random"

    @property
    def has_options(self) -> bool:
        """Whether it was asked otherwise than by default: with options beside the number of runs."""
        return any(word.startswith("--") and word != "--runs" for word in shlex.split(self.command))

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Answer:
        """Return the answer that `to_json` gave."""
        panels = [_panel(panel) for panel in content["panels"]]
        tables = [
            Table(of["title"], tuple(of["columns"]), tuple(tuple(row) for row in of["rows"]))
            for of in content["tables"]
        ]
        return cls(**{**content, "seen": tuple(content["seen"]), "panels": tuple(panels),
                      "tables": tuple(tables)})  # fmt: skip


def _panel(content: dict[str, Any]) -> Panel:
    curves = [
        Curve(of["name"], *(tuple(of[axis]) for axis in ("x", "y", "low", "high")))
        for of in content["curves"]
    ]
    return Panel(**{**content, "curves": tuple(curves)})


def read_answer(keys: Keys, question: str, store: Store) -> Answer | None:
    """Return the last answer to a question about a source, or None if there is none."""
    entry = store.read(KIND, _key(keys, question))
    return None if entry is None else Answer.from_json(entry[1]["answer"])


def write_answer(keys: Keys, answer: Answer, store: Store) -> None:
    """Keep an answer, in the place of the last one to its question. Raises `StoreError`."""
    about = f"{answer.source}: answer to the open question {answer.question}"
    store.write(KIND, _key(keys, answer.question), {}, {"answer": answer.to_json()}, about=about)


def _key(keys: Keys, question: str) -> str:
    content = {"question": question, "examples": keys.examples, "logits": keys.inputs["kernel"]}
    return key_of({"kind": KIND, "answer": FORMAT, **content})
