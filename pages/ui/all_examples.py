"""Which examples the page of all examples shows, and a list made there: its filters and its order.

Both say it in the same words, such as `label=cat`, `confidence=20..80` and `sort=least confident first`: the
page from its controls, a list from the address. What is as by default is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, urlencode

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from kernel_core.errors import RequestError
from kernel_core.findings.all_examples import Filters, describe_examples, in_order, matching
from kernel_core.findings.pairs import border
from kernel_core.results.results import Results
from kernel_core.spec import Split
from pages.ui import lasso, load, names
from pages.ui.wording import escape, plural

Words = Mapping[str, str]
"""Parameter → what it says, of those in `PARAMETERS` that say something."""
PARAMETERS = (
    "names", "lasso", "split", "label", "predicted", "outcome", "confidence", "index", "by", "nearest",
    "near", "near_at", "sort",
)  # fmt: skip
BY_INDEX = "by index"
SORTS: dict[str, tuple[str, bool]] = {
    BY_INDEX: ("index", False),
    "by index, last first": ("index", True),
    "least confident first": ("confidence", False),
    "most confident first": ("confidence", True),
    "least probable label first": ("label_probability", False),
    "most probable label first": ("label_probability", True),
    "nearest first": ("nearest", True),
    "farthest first": ("nearest", False),
    "most near neighbors first": ("near", True),
    "fewest near neighbors first": ("near", False),
}
"""Order as people see it → its column, and whether the largest value comes first."""


@dataclass(frozen=True, eq=False)
class Found:
    """The examples that pass, in order.

    table: of all examples, with the columns of `describe_examples`. rows: (n,), their positions in it.
    words: the filters and the order as people read them, in Markdown.
    lacking: splits of which neighbors were asked for but are not built, so that none of them passes.
    """

    table: pd.DataFrame
    rows: npt.NDArray[np.int64]
    words: tuple[str, ...]
    lacking: tuple[Split, ...]


def to_list(words: Words) -> tuple[str, str]:
    """Return the name and the argument of the list of what was asked for.

    Names alone, or a lasso alone, have a list of their own.

    >>> to_list({"names": "test:1-4"}), to_list({"label": "cat", "sort": "nearest first"})
    (('examples', 'test:1-4'), ('all_examples', 'label=cat&sort=nearest+first'))
    """
    if set(words) == {"names"}:
        return "examples", words["names"]
    if set(words) == {"lasso"}:
        return "lasso", words["lasso"]
    return "all_examples", urlencode({name: words[name] for name in PARAMETERS if words.get(name)})


def from_list(argument: str) -> dict[str, str]:
    """Return what `to_list` was given. Raises `RequestError` or `ValueError` for another text."""
    words = dict(parse_qsl(argument, strict_parsing=bool(argument)))
    if not set(words) <= set(PARAMETERS):
        raise RequestError(f"Found {', '.join(words)}; expected {', '.join(PARAMETERS)}.")
    return words


def directions(results: Results) -> dict[Split, Results]:
    """Return by split the results that have the neighbors of its examples among training examples.

    In a source of one split, they are among its own.
    """
    return {
        split: results if split == results.query else load.in_direction(results, split)
        for split in results.examples
    }


def default_threshold(results: Results, by: str) -> float:
    """Return the similarity from which a neighbor is near: where the window of near-duplicates begins."""
    return math.floor(border(load.ranking(results.id, by)) * 1000) / 1000


def find(results: Results, words: Words) -> Found:
    """Return the examples that pass, in order. Raises `LookupError`, `RequestError` or `ValueError`.

    results: those that the server shows, in their own direction.
    """
    by = words.get("by") or next(iter(results.neighbors))
    built = tuple(split for split, of in directions(results).items() if by in of.names)
    return _find(results.id, tuple(sorted(words.items())), by, built)


def listed_rows(results: Results, found: Found) -> pd.DataFrame:
    """Return the rows of what was found, in order, with the classes' names: label_class, predicted_class."""
    rows = found.table.iloc[found.rows].reset_index(drop=True)
    for column in ("label", "predicted"):
        rows[f"{column}_class"] = np.array(results.class_names)[rows[column]]
    return rows


@st.cache_resource(max_entries=8, show_spinner=False)
def _table(results_id: str, by: str, threshold: float, built: tuple[Split, ...]) -> pd.DataFrame:
    results = load.by_id[results_id]
    kept = {split: of.neighbors_by(by) for split, of in directions(results).items() if split in built}
    return describe_examples(results.examples, results.predictions_of, kept, threshold)


@st.cache_resource(max_entries=16, show_spinner=False)
def _find(results_id: str, asked: tuple[tuple[str, str], ...], by: str, built: tuple[Split, ...]) -> Found:
    results, words = load.by_id[results_id], dict(asked)
    at = float(words["near_at"]) if "near_at" in words else default_threshold(results, by)
    table = _table(results_id, by, at, built)
    filters = _filters(results, words)
    passes = matching(table, filters)
    if "index" in words:
        longest = max(results.example_counts.values())
        passes &= names.indices_of(words["index"], longest)[table["index"].to_numpy()]
    if "lasso" in words:
        inside = pd.MultiIndex.from_tuples(lasso.examples_inside(results, words["lasso"]))
        passes &= pd.MultiIndex.from_frame(table[["split", "index"]]).isin(inside)
    column, descending = SORTS[words.get("sort", BY_INDEX)]
    rows = in_order(table, column, descending=descending)
    if "names" in words:
        rows = _among_named(results, words, rows)
    is_asked = filters.asks_for_neighbors or column in ("nearest", "near")
    lacking = tuple(
        split for split in results.examples if split not in built and filters.split in (None, split)
    )
    described = tuple(_describe(results, words, by, at))
    return Found(table, rows[passes[rows]], described, lacking if is_asked else ())


def _filters(results: Results, words: Words) -> Filters:
    def class_of(name: str) -> int | None:
        return results.class_names.index(words[name]) if name in words else None

    split = words.get("split")
    if split is not None and split not in results.examples:
        raise RequestError(f"Found split = {split!r}; expected {' or '.join(results.examples)}.")
    least, largest = _range(words.get("confidence", ".."))
    return Filters(
        split=cast(Split | None, split),
        label=class_of("label"),
        predicted=class_of("predicted"),
        outcome=words.get("outcome", ""),
        confidence=(None if least is None else least / 100, None if largest is None else largest / 100),
        nearest=_range(words.get("nearest", "..")),
        near=int(words.get("near", "0")),
    )


def _range(text: str) -> tuple[float | None, float | None]:
    """Return both limits of a range.

    >>> _range("0.5..0.75"), _range("-3.."), _range("..")
    ((0.5, 0.75), (-3.0, None), (None, None))
    """
    least, dots, largest = text.partition("..")
    if not dots:
        raise ValueError(f"{text!r} is no range")
    return float(least) if least else None, float(largest) if largest else None


def _among_named(results: Results, words: Words, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows of the named examples: in the order of their names, or in another that is asked for."""
    starts, start = {}, 0
    for split in sorted(results.examples):
        starts[split], start = start, start + results.example_counts[split]
    named = names.from_text(words["names"], results.example_counts)
    chosen = np.array([starts[split] + index for split, index in named])
    return rows[np.isin(rows, chosen)] if "sort" in words else chosen


def _describe(results: Results, words: Words, by: str, at: float) -> list[str]:
    """Return the filters and the order as people read them, in Markdown."""
    title = escape(results.title_of(by))
    least, _, largest = words.get("confidence", "..").partition("..")
    texts = {
        "names": "chosen by name",
        "lasso": "in a lasso of the map",
        "split": words.get("split", ""),
        "label": f"label {escape(words.get('label', ''))}",
        "predicted": f"predicted {escape(words.get('predicted', ''))}",
        "outcome": words.get("outcome", ""),
        "confidence": f"confidence {least or 0}–{largest or 100}%",
        "index": f"index {escape(words.get('index', ''))}",
        "nearest": f"nearest {_limits(words.get('nearest', '..'))} by {title}",
        "near": f"at least {plural(int(words.get('near', '0')), 'neighbor')} ≥ {at:.3f} by {title}",
        "sort": words.get("sort", ""),
    }
    return [text for name, text in texts.items() if name in words]


def _limits(text: str) -> str:
    """Return a range as people read it.

    >>> _limits("0.5..0.75"), _limits("..-3.0")
    ('0.5 to 0.75', '≤ -3.0')
    """
    least, _, largest = text.partition("..")
    if least and largest:
        return f"{least} to {largest}"
    return f"≥ {least}" if least else f"≤ {largest}"
