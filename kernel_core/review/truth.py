"""Lists of known pairs: in ciFAIR's columns, two names a line, or a file of verdicts.

ciFAIR's CSV files have the columns TestID, TrainID, Distance and Judgment (0 exact, 1 near-duplicate, 2 very
similar); in its lists within the test set TrainID is a test image as well (github.com/cvjena/cifair, meta).
Other lists name two examples a line, as test:1 and train:2, with a comma, tab, semicolon or spaces between
them, and perhaps a verdict after them. `#` begins a comment.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kernel_core.errors import DataError, RequestError, shown
from kernel_core.files import regular_file
from kernel_core.records import ExampleSet
from kernel_core.review.judged import Judged, Pair, PixelHashes, pair_of
from kernel_core.review.leaked import decided_pairs
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import DUPLICATES, PAIR_VERDICTS
from kernel_core.spec import Split, parse_example

LISTED = "listed"
"""The verdict on a pair of a list that says no more than that: it is known."""
CODES = dict(zip("0123", PAIR_VERDICTS, strict=False))  # ciFAIR's categories
TEST_ID, TRAIN_ID, JUDGMENT = "testid", "trainid", "judgment"
LARGEST = 200_000_000  # bytes
NAMED = 3  # problems that a message names


@dataclass(frozen=True, eq=False)
class Truth:
    """Known pairs: the verdict on each, `LISTED` where the list gives none. problems: lines left out."""

    pairs: dict[Pair, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What to tell people: which lines were left out and why."""
        more = len(self.problems) - NAMED
        return [*self.problems[:NAMED], *([f"and {more:,} more lines are left out"] if more > 0 else [])]

    def twins(self, query: Split, database: Split) -> list[tuple[int, int]]:
        """Return the index of the query and of the database example of each pair that is a twin."""
        return [
            way
            for pair, verdict in self.pairs.items()
            if is_twin(verdict, DUPLICATES)
            for way in ways(pair, query, database)
        ]


def is_twin(verdict: str, leaked: Collection[str]) -> bool:
    """Whether a verdict makes a pair one of twins: those of `leaked` do, and a list that gives none."""
    return verdict in leaked or verdict == LISTED


def ways(pair: Pair, query: Split, database: Split) -> Iterator[tuple[int, int]]:
    """Yield the query and the database index of a pair; within one split both ways round."""
    for (a_split, a), (b_split, b) in (pair, pair[::-1]):
        if (a_split, b_split) == (query, database):
            yield a, b


def read_truth(path: Path, examples: Mapping[Split, ExampleSet], within: Split | None = None) -> Truth:
    """Return the pairs of a file whose examples a source has.

    within: the split of both IDs of ciFAIR's columns; by default test and train. Raises `DataError` if the
    file cannot be read or has no pair of the source.
    """
    text = _text(path)
    if text.lstrip().startswith("{"):
        truth = _verdicts(path, examples)
    else:
        counts = {split: len(of_split) for split, of_split in examples.items()}
        truth = _lines(text, counts, within)
    if not truth.pairs:
        why = f" ({truth.problems[0]})" if truth.problems else ""
        raise DataError(
            f"{path} has no pair of this source{why}; expected ciFAIR's columns TestID and TrainID, two "
            "names such as test:1,train:2 a line, or a file of verdicts."
        )
    return truth


def _text(path: Path) -> str:
    try:
        if regular_file(path).stat().st_size > LARGEST:
            raise DataError(f"{path} has more than {LARGEST:,} bytes; expected a list of pairs.")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"{path} cannot be read ({reason}); expected a list of pairs as text.") from None


def _verdicts(path: Path, examples: Mapping[Split, ExampleSet]) -> Truth:
    """Return what most reviewers of a file of verdicts say."""
    file = VerdictFile(path)
    judged = Judged(PixelHashes(examples))
    judged.take(file.read())
    table = decided_pairs(judged)
    pairs = {
        pair_of((row.a_split, row.a_index), (row.b_split, row.b_index)): str(row.verdict)
        for row in table.itertuples()
    }
    unknown = [f"verdict {verdict.id[:8]} is on an example that the source does not have"
               for verdict in judged.unmatched if verdict.kind == "pair"]  # fmt: skip
    return Truth(pairs, [*file.problems, *unknown])


def _lines(text: str, counts: Mapping[Split, int], within: Split | None) -> Truth:
    truth = Truth()
    columns: dict[str, int] | None = None
    is_first = True
    for number, line in enumerate(text.splitlines(), start=1):
        fields = _fields(line)
        if not fields:
            continue
        if is_first and not any(re.search(r"\d", name) for name in fields[:2]):
            names = [name.lower() for name in fields]
            columns = {name: place for place, name in enumerate(names)} if TEST_ID in names else None
            is_first = False
            continue
        is_first = False
        try:
            pair, verdict = _pair(fields, columns, counts, within)
        except (RequestError, ValueError) as error:
            truth.problems.append(f"line {number:,} is left out: {error}")
            continue
        if truth.pairs.setdefault(pair, verdict) != verdict:
            truth.problems.append(f"line {number:,} is left out: the pair is listed before as another")
    return truth


def _fields(line: str) -> list[str]:
    """Return the fields of a line without its comment."""
    line = line.partition("#")[0].strip()
    if not line:
        return []
    mark = next((mark for mark in ",;\t" if mark in line), None)
    if mark is None:
        return line.split(maxsplit=2)
    return [name.strip() for name in next(csv.reader([line], delimiter=mark))]


def _pair(
    fields: list[str], columns: dict[str, int] | None, counts: Mapping[Split, int], within: Split | None
) -> tuple[Pair, str]:
    """Return the pair of a line and its verdict. Raises `RequestError` or `ValueError` if it has none."""
    if columns is None:
        if len(fields) < 2:
            raise ValueError(f"found {shown(fields[0])}, expected two names such as test:1,train:2")
        a, b = (parse_example(name, counts) for name in fields[:2])
        said = fields[2] if len(fields) > 2 else ""
    else:
        places = [columns.get(name, len(fields)) for name in (TEST_ID, TRAIN_ID)]
        if max(places) >= len(fields):
            raise ValueError("it has fewer columns than TestID and TrainID")
        splits = within or "test", within or "train"
        a, b = (parse_example(f"{split}:{fields[place]}", counts)
                for place, split in zip(places, splits, strict=True))  # fmt: skip
        place = columns.get(JUDGMENT, len(fields))
        said = fields[place] if place < len(fields) else ""
    if a == b:
        raise ValueError("it names one example twice")
    verdict = CODES.get(said, said or LISTED)
    if verdict not in (*PAIR_VERDICTS, LISTED):
        expected = f"{', '.join(PAIR_VERDICTS)}, or 0 to 3"
        raise ValueError(f"found the verdict {shown(said)}, expected {expected}")
    return pair_of(a, b), verdict
