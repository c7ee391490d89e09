"""The sections [features] and [neighbors] of a `source.toml`: what the kernel is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kernel_core.errors import SourceError, shown
from kernel_core.printable import NAME as LENGTH
from kernel_core.printable import printable
from kernel_core.similarities import PATCHES, PENULTIMATE, WAYS, By, Similarity
from kernel_core.sources.source import FeatureSet, Given, patches, penultimate
from kernel_core.sources.toml_file import Table, as_written
from kernel_core.spec import SPLITS, Split

FEATURE_KEYS = {"file", "train", "test", "title", "by"}
GIVEN_KEYS = {"file", "title", "query", "database"}
NAME = r"[a-z][a-z0-9_-]{0,39}"  # of a set of features or of given neighbors
DEFAULT_SPLITS = {"query": "test", "database": "train"}  # of given neighbors, where there are both
TAKEN = ("kernel", "pixels", "nngp", "ensemble")  # names that stand for something else


def read_feature_sets(table: Table, splits: tuple[Split, ...]) -> tuple[FeatureSet, ...]:
    """Return the sets of features that [features] and its sections describe.

    splits: those that the source has. Raises `SourceError` for an unknown key or a wrong value.
    """
    named = {key: table.section(key) for key, value in table.values.items() if isinstance(value, dict)}
    own = Table(table.path, table.name, {k: v for k, v in table.values.items() if k not in named})
    sets = []
    if own.values:
        sets.append(_feature_set(own, PENULTIMATE, penultimate(None).title, splits))
    for name, section in named.items():
        _refuse_name(section, name)
        sets.append(_feature_set(section, name, _title(name), splits))
    return tuple(sets)


def _feature_set(table: Table, name: str, title: str, splits: tuple[Split, ...]) -> FeatureSet:
    table.refuse_unknown(FEATURE_KEYS)
    return FeatureSet(
        name,
        printable(table.text("title"), LENGTH) if "title" in table else title,
        _files(table, splits),
        _ways(table) if "by" in table else penultimate(None).ways if name == PENULTIMATE else ("cosine",),
    )


def _title(name: str) -> str:
    """Return the title of a set that has none of its own."""
    return patches(None).title if name == PATCHES else name


def features_table(features: FeatureSet, folder: Path) -> dict[str, str | list[str]]:
    """Return the section of [features] that describes a set to a `source.toml` in a folder."""
    table: dict[str, str | list[str]] = {
        split or "file": as_written(path, folder) for split, path in features.files.items()
    }
    if features.title != _title(features.name):
        table["title"] = features.title
    return table if features.ways == ("cosine",) else {**table, "by": list(features.ways)}


def _files(table: Table, splits: tuple[Split, ...]) -> dict[str, Path]:
    """Return the file of each split, or the one file of all under an empty name."""
    by_split = [key for key in SPLITS if key in table]
    if "file" in table and not by_split:
        return {"": table.file("file")}
    if "file" not in table and set(splits) <= set(by_split):
        return {split: table.file(split) for split in splits}
    named = [key for key in ("file", *SPLITS) if key in table]
    raise SourceError(
        f"{table.path}: {table.where} names {' and '.join(named) or 'no file'}; expected file, or one file "
        f"per split, {' and '.join(splits)}."
    )


def _ways(table: Table) -> tuple[By, ...]:
    asked_for = table.texts("by", '["cosine"]')
    if unknown := sorted(set(asked_for) - set(WAYS)):
        raise table.wrong("by", f"one or more of {', '.join(WAYS)}, not {shown(unknown[0])}")
    return tuple(way for way in WAYS if way in asked_for)


def read_given(table: Table, splits: tuple[Split, ...]) -> tuple[Given, ...]:
    """Return the neighbors that the sections of [neighbors] give, as `read_feature_sets` does."""
    found = []
    for name in table.values:
        section = table.section(name)
        section.refuse_unknown(GIVEN_KEYS)
        _refuse_name(section, name)
        query = _split(section, "query", "test", splits)
        database = _split(section, "database", splits[0], splits)
        title = printable(section.text("title"), LENGTH) if "title" in section else name
        found.append(Given(name, title, section.file("file"), query, database))
    return tuple(found)


def given_table(given: Given, folder: Path | None) -> dict[str, str]:
    """Return the section of [neighbors] that describes given neighbors to a `source.toml` in a folder.

    folder: None for one anywhere.
    """
    file = str(given.file.resolve()) if folder is None else as_written(given.file, folder)
    table = {"file": file} | ({"title": given.title} if given.title != given.name else {})
    splits = {"query": given.query, "database": given.database}
    return table if splits == DEFAULT_SPLITS else {**table, **splits}


def refuse_same_names(table: Table, offered: Iterable[Similarity]) -> None:
    """Raise `SourceError` if two similarities have one name."""
    seen = set()
    for similarity in offered:
        if similarity.name in seen:
            raise SourceError(
                f"{table.path}: two similarities are called {similarity.name!r}. Rename a section of "
                "[features] or [neighbors]."
            )
        seen.add(similarity.name)


def _split(table: Table, key: str, default: Split, splits: tuple[Split, ...]) -> Split:
    for split in splits:
        if table.values.get(key, default) == split:
            return split
    raise table.wrong(key, " or ".join(f'"{split}"' for split in splits))


def _refuse_name(table: Table, name: str) -> None:
    if not re.fullmatch(NAME, name) or name in TAKEN:
        raise SourceError(
            f"{table.path}: {table.where} has the name {shown(name)}; expected a name of its own in small "
            "letters, digits and hyphens, as in clip-b32."
        )
