"""Verdicts: what a reviewer says of a pair of examples, or of an example's label.

One verdict is one line of JSON with the fields of `Verdict`. It follows the pixels: each example is written
with the SHA-256 of its pixels, so that a verdict finds its examples again in a data set that was reordered or
has grown (`kernel_core.review.judged`).

The verdicts on pairs are the categories of ciFAIR (Barz and Denzler, 2020, "Do we train on test data? Purging
CIFAR of near-duplicates"): 0 exact duplicate, 1 near-duplicate, 2 very similar, 3 different. Those on labels
are the answers of the reviewers of "Pervasive label errors" (Northcutt et al., 2021).
"""

from __future__ import annotations

import functools
import hashlib
import sys
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kernel_core.errors import shown
from kernel_core.spec import SPLITS, Split

Kind = Literal["pair", "label"]
PAIR_VERDICTS = {
    "exact": "the same picture, pixel for pixel or but for compression",
    "near-duplicate": "the same picture, shifted, cut, scaled, mirrored or recolored",
    "very similar": "another picture of the same object or scene, hard to tell apart",
    "different": "two pictures",
    "unsure": "cannot tell",
}
"""Verdict on a pair → what it means; the first four are ciFAIR's categories 0 to 3."""
LABEL_VERDICTS = {
    "given": "the label is right",
    "guessed": "the proposed class is right, not the label",
    "both": "label and proposed class both apply",
    "neither": "neither of the two applies",
    "unsure": "cannot tell",
}
"""Verdict on a label → what it means."""
VERDICTS: Mapping[Kind, Mapping[str, str]] = {"pair": PAIR_VERDICTS, "label": LABEL_VERDICTS}
DUPLICATES = ("exact", "near-duplicate", "very similar")
"""Verdicts on pairs that count as a leak, as in ciFAIR."""
UNSURE = "unsure"
WITHDRAWN = "withdrawn"
"""The verdict of a line that takes back the one that it supersedes: an undo."""
DESIGNS = {
    "queue": "chosen by its place in a list",
    "sample": "drawn at random, with a known probability",
    "gold": "decided: it stands over all others of the item",
}
LONGEST = {"note": 10_000, "reviewer": 100}  # characters
WORDS = ("reviewer", "kind", "verdict", "proposed_label", "design", "stratum", "browser")  # often the same


@dataclass(frozen=True, slots=True)
class Item:
    """One example of a verdict: where it was, and the SHA-256 of its pixels in hexadecimal.

    sha256: from `pixel_hash`; empty in a source of labels alone, whose examples are known by index only.
    """

    split: Split
    index: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the reviewer saw beside the images.

    similarity: by which the item was listed. value, rank: its similarity, and its place from 1; None if none.
    filter: of the list, as in addresses. source: the source's name. fingerprint: the id of the results.
    """

    similarity: str = ""
    value: float | None = None
    rank: int | None = None
    filter: str = ""
    source: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verdict, as one line of the file.

    id: 32 hexadecimal digits. at: UTC, ISO 8601. kind: pair or label. a, b: the examples; b is None for a
    label. verdict: of `VERDICTS`, or `WITHDRAWN`. supersedes: the id of the reviewer's verdict that this one
    replaces or takes back. repeats: the id of the verdict of the same reviewer that this second look was
    blind to. proposed_label: the name of the class that was proposed, or that the reviewer proposes.
    design: of `DESIGNS`. stratum, inclusion_probability: of a random sample. blind: whether other reviewers'
    verdicts were hidden. browser: tells two people of one name apart. milliseconds: from the item's
    appearance to the key.
    """

    kind: Kind
    a: Item
    b: Item | None
    verdict: str
    reviewer: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: str = field(default_factory=lambda: now())
    supersedes: str = ""
    repeats: str = ""
    note: str = ""
    proposed_label: str = ""
    shown: Shown = Shown()
    design: str = "queue"
    stratum: str = ""
    inclusion_probability: float | None = None
    blind: bool = False
    milliseconds: int | None = None
    browser: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> Verdict:
        """Return the verdict that `to_json` wrote. Raises `ValueError`, which says what is wrong.

        Fields that are missing get their defaults; those of newer versions are left out.
        """
        known = _fields(cls, content, "a verdict")
        for name in ("kind", "a", "verdict", "reviewer"):
            if name not in known:
                raise ValueError(f"it has no {name}")
        b = known.get("b")
        known = known | {"a": _item(known["a"]), "b": None if b is None else _item(b)}
        known["shown"] = Shown(**_fields(Shown, known.get("shown") or {}, "what was shown"))
        for name in WORDS:
            if isinstance(known.get(name), str):
                known[name] = sys.intern(known[name])  # 100,000 verdicts by few reviewers
        verdict = cls(**known)
        verdict._check()
        return verdict

    def _check(self) -> None:
        if self.kind not in VERDICTS:
            raise ValueError(f"its kind is {shown(self.kind)}; expected {' or '.join(VERDICTS)}")
        expected = (*VERDICTS[self.kind], WITHDRAWN)
        if self.verdict not in expected:
            raise ValueError(f"its verdict is {shown(self.verdict)}; expected one of {', '.join(expected)}")
        if (self.kind == "pair") != (self.b is not None):
            raise ValueError("a pair has two examples, a label one")
        if self.design not in DESIGNS:
            raise ValueError(f"its design is {shown(self.design)}; expected one of {', '.join(DESIGNS)}")
        _check_types(self, TEXTS, NUMBERS)
        _check_types(self.shown, SHOWN_TEXTS, SHOWN_NUMBERS)
        if not self.id or not self.reviewer or not isinstance(self.blind, bool):
            raise ValueError("its id or its reviewer is empty, or blind is not true or false")


TEXTS = (
    "id", "at", "supersedes", "repeats", "note", "reviewer", "proposed_label", "stratum", "browser",
)  # fmt: skip
NUMBERS = "inclusion_probability", "milliseconds"
SHOWN_TEXTS, SHOWN_NUMBERS = ("similarity", "filter", "source", "fingerprint"), ("value", "rank")


def _check_types(record: object, texts: tuple[str, ...], numbers: tuple[str, ...]) -> None:
    """Raise `ValueError` unless these fields are short texts, and numbers or None."""
    for name in texts:
        value = getattr(record, name)
        if not isinstance(value, str) or len(value) > LONGEST.get(name, 1_000):
            raise ValueError(f"its {name} is {shown(value)}; expected a short text")
    for name in numbers:
        value = getattr(record, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"its {name} is {shown(value)}; expected a number")


def _fields(cls: type, content: Any, what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004 -- what a file holds, not what a caller passed
            f"it is {shown(content)}; expected {what}, a JSON object"
        )
    names = _names(cls)
    return content if content.keys() <= names else {name: content[name] for name in content.keys() & names}


@functools.cache
def _names(cls: Any) -> frozenset[str]:
    return frozenset(of.name for of in fields(cls))


def _item(content: Any) -> Item:
    known = _fields(Item, content, "an example")
    split, index, sha256 = known.get("split"), known.get("index"), known.get("sha256", "")
    if split not in SPLITS:
        raise ValueError(f"the split of an example is {shown(split)}; expected {' or '.join(SPLITS)}")
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ValueError(f"the index of an example is {shown(index)}; expected a number from 0")
    if not isinstance(sha256, str) or len(sha256) not in (0, 64):
        raise ValueError(f"the sha256 of an example is {shown(sha256)}; expected 64 hexadecimal digits")
    return Item(split, index, sha256)


def now() -> str:
    """Return the present time, UTC, as in 2026-11-28T20:15:00.123Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pixel_hash(image: npt.NDArray[np.uint8]) -> str:
    """Return the SHA-256, in hexadecimal, of an image's shape and pixels. image: uint8 (H, W, 3)."""
    height, width = image.shape[:2]
    return hashlib.sha256(f"{height}x{width}:".encode() + image.tobytes()).hexdigest()
