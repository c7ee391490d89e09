"""Verdicts of other files, of colleagues for instance, added to a source's own file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernel_core.errors import DataError, RequestError
from kernel_core.printable import CELL, printable
from kernel_core.review.judged import Judged
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import Verdict


@dataclass(frozen=True)
class Merged:
    """What came of one file.

    total: lines that are verdicts. new: those that the source's file did not have. unmatched: those on
    examples that the source does not have; they are added too. warnings: what to tell people, in sentences.
    """

    path: Path
    total: int
    new: int
    unmatched: int
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.path}: {self.new:,} of {self.total:,} lines were added"
        return text + ("; the others were there already." if self.new < self.total else ".")


def merge(paths: Sequence[Path], into: VerdictFile, judged: Judged, source: str) -> list[Merged]:
    """Add the verdicts of other files to a source's file, all or, if one file is refused, none.

    Known ids are left out, so that a file can be merged again. judged: the verdicts of `into`. source: the
    source's name. Raises `RequestError` for a file that is missing or `into` itself, `DataError` for one
    without verdicts or without one on the source's examples, `Unavailable` if they cannot be saved.
    """
    found = [(path, _read(path, into)) for path in paths]
    reports = []
    known = set(judged.by_id)
    for path, file in found:
        reports.append(_report(path, file, judged, known, source))
        known.update(verdict.id for verdict in file.verdicts)
    into.append(verdict for _, file in found for verdict in file.verdicts)
    return reports


def _read(path: Path, into: VerdictFile) -> VerdictFile:
    if not os.path.lexists(path):
        raise RequestError(f"{path} does not exist; expected a file of verdicts to merge.")
    if into.path.exists() and path.exists() and path.samefile(into.path):
        raise RequestError(f"{path} is the file to merge into; name another one.")
    file = VerdictFile(path)
    if not file.read():
        why = f" ({file.problems[0]})" if file.problems else ""
        raise DataError(f"{path} has no verdicts{why}; expected JSON Lines, as the app saves them.")
    return file


def _report(path: Path, file: VerdictFile, judged: Judged, known: set[str], source: str) -> Merged:
    verdicts = file.verdicts
    lost = sum(judged.key_of(verdict) is None for verdict in verdicts)
    names = sources_of(verdicts)
    if lost == len(verdicts):
        raise DataError(
            f"0 of {lost:,} verdicts in {path} are on examples of {source}; "
            f"the file names {', '.join(names) or 'no source'}. Nothing was merged."
        )
    new = [verdict for verdict in verdicts if verdict.id not in known]
    warnings = list(file.warnings)
    if lost:
        warnings.append(
            f"{lost:,} of {len(verdicts):,} verdicts in {path} are on examples that {source} does not have; "
            "they are kept, and --unmatched lists them."
        )
    warnings += [
        f"{printable(name, CELL)} judged in both files, in different browsers. If these are two people, "
        "their verdicts now count as those of one: give one of them another name before you merge."
        for name in _shared_names(new, judged.by_id.values())
    ]
    return Merged(path, len(verdicts), len(new), lost, tuple(warnings))


def sources_of(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the names of the sources that verdicts were given on, the most frequent first."""
    names = Counter(verdict.shown.source for verdict in verdicts if verdict.shown.source)
    return [printable(name, CELL) for name, _ in names.most_common(3)]


def _shared_names(new: Iterable[Verdict], old: Iterable[Verdict]) -> list[str]:
    """Return the reviewers of both whose browsers are known and differ."""
    ours, theirs = _browsers(old), _browsers(new)
    return [name for name in sorted(ours.keys() & theirs.keys()) if not ours[name] & theirs[name]]


def _browsers(verdicts: Iterable[Verdict]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for verdict in verdicts:
        if verdict.browser:
            found.setdefault(verdict.reviewer, set()).add(verdict.browser)
    return found


def shared_names_words(judged: Judged) -> str:
    """Return a sentence on reviewers who judged in several browsers, as may several people; else nothing."""
    found = {name: len(browsers) for name, browsers in sorted(_browsers(judged.by_id.values()).items())}
    several = [f"{printable(name, CELL)} ({count})" for name, count in found.items() if count > 1]
    if not several:
        return ""
    return (
        f"Judged in several browsers under one name: {', '.join(several)}. If these are several people, "
        "their verdicts count as those of one; have each use a name of their own."
    )
