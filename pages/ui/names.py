"""Lists of example names as short text, for addresses and for a field that people write in.

`test:1-4,9;train:3` names five test examples and one training example, in this order. A name without a split
has that of the name before it, at first test. People may also write spaces and lines between names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from kernel_core.errors import RequestError
from kernel_core.spec import ADJECTIVES, Split, example_name
from pages.ui.links import Example

MOST = 1_000  # names in one text: 7,000 characters at most, and a server reads an address of 16,000
EXPECTED = "expected names such as test:1-4,9;train:3"
RANGE = re.compile(r"(?:(test|train):)?([0-9]{1,9})(?:[-–]([0-9]{1,9}))?", re.IGNORECASE)


def to_text(names: Iterable[Example]) -> str:
    """Return the text that names these examples, in this order, each once.

    >>> to_text([("test", 1), ("test", 2), ("test", 3), ("test", 9), ("train", 3)])
    'test:1-3,9;train:3'
    """
    runs: list[tuple[Split, int, int]] = []
    for split, index in dict.fromkeys(names):
        if runs and runs[-1][0] == split and runs[-1][2] == index - 1:
            runs[-1] = (split, runs[-1][1], index)
        else:
            runs.append((split, index, index))
    text, current = "", ""
    for split, first, last in runs:
        text += "," if split == current else f"{';' if text else ''}{split}:"
        text += str(first) if first == last else f"{first}-{last}"
        current = split
    return text


def from_text(text: str, counts: Mapping[Split, int]) -> list[Example]:
    """Return the examples that a text names, in its order, each once.

    counts: number of examples in each split of the source. Raises `RequestError` if the text names none, more
    than `MOST`, or one that the source lacks.
    """
    examples: list[Example] = []
    split: Split = "test"
    for word in re.split(r"[;,\s]+", text.strip(";,\n\t ")):
        match = RANGE.fullmatch(word)
        if not match:
            raise RequestError(f"{word[:40]!r} names no example; {EXPECTED}.")
        if match[1]:
            split = "train" if match[1].lower() == "train" else "test"
        first, last = int(match[2]), int(match[3] or match[2])
        _refuse_outside(word, (split, last), first, counts.get(split, 0))
        if len(examples) + last - first >= MOST:
            raise RequestError(f"More than {MOST:,} examples are named; name at most {MOST:,}.")
        examples += [(split, index) for index in range(first, last + 1)]
    return list(dict.fromkeys(examples))


def _refuse_outside(word: str, last: Example, first: int, count: int) -> None:
    """Raise `RequestError` unless a range is within its split's `count` examples."""
    if last[1] < first:
        raise RequestError(f"{word[:40]!r} goes backward; {EXPECTED}.")
    if not count:
        raise RequestError(f"{word[:40]!r}: this source has no {ADJECTIVES[last[0]]} examples.")
    if last[1] >= count:
        raise RequestError(
            f"{word[:40]!r} is out of range; expected {example_name(last[0], 0)} … "
            f"{example_name(last[0], count - 1)}."
        )


def indices_of(text: str, count: int) -> npt.NDArray[np.bool_]:
    """Return which of the indices 0 … count - 1 a text such as `45` or `100-199, 7` names, bool (count,).

    A range may be open at one end, as in `100-` and `-199`, and may go beyond the last index. Raises
    `RequestError` if the text is something else.
    """
    named = np.zeros(count, bool)
    for word in re.split(r"[;,\s]+", text.strip(";,\n\t ")):
        match = re.fullmatch(r"([0-9]{0,9})([-–]?)([0-9]{0,9})", word)
        if not match or not (match[1] or match[3]) or (match[3] and not match[2]):
            raise RequestError(f"{word[:40]!r} is no index; expected one such as 45 or 100-199.")
        first = int(match[1] or 0)
        last = int(match[3] or count) if match[2] else first
        if last < first:
            raise RequestError(f"{word[:40]!r} goes backward; expected an index such as 45 or 100-199.")
        named[first : last + 1] = True
    return named
