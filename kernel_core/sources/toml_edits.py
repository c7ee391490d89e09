"""A `source.toml` with a section set, and all else as it is, comments too."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from pathlib import Path

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError

from kernel_core.files import read_text
from kernel_core.sources.similarity_tables import given_table
from kernel_core.sources.source import Given
from kernel_core.sources.toml_file import TOML_FAULTS, unreadable
from kernel_core.spec import SPLITS


def with_features(path: Path, name: str) -> bytes:
    """Return the text of a `source.toml` with `file` of [features] set to a name.

    Raises `SourceError` if the file is not TOML.
    """
    document = _document(path)
    section = document.get("features")
    if isinstance(section, MutableMapping):
        for split in SPLITS:  # one file takes the place of one per split
            section.pop(split, None)
        section["file"] = name
    else:
        document["features"] = {"file": name}
    return tomlkit.dumps(document).encode()


def with_given(path: Path, given: Sequence[Given]) -> bytes:
    """Return the text of a `source.toml` with a section [neighbors.NAME] for each of these.

    Raises as `with_features`.
    """
    document = _document(path)
    if "neighbors" not in document:
        document["neighbors"] = tomlkit.table(is_super_table=True)
    neighbors = document["neighbors"]
    for of in given:
        table = given_table(of, path.parent)
        if of.name in neighbors:
            neighbors[of.name]["file"] = table["file"]
        else:
            neighbors[of.name] = table
    return tomlkit.dumps(document).encode()


def given_lines(given: Sequence[Given]) -> str:
    """Return the lines of a `source.toml` that describe given neighbors, with their files' whole paths."""
    return tomlkit.dumps({"neighbors": {of.name: given_table(of, None) for of in given}}).strip()


def _document(path: Path) -> TOMLDocument:
    try:
        return tomlkit.parse(read_text(path))
    except (TOMLKitError, *TOML_FAULTS) as error:
        raise unreadable(path, error) from None
