"""TOML files, read with the place of each key, so that every error names it."""

from __future__ import annotations

import glob
import json
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_core.errors import SourceError, shown
from kernel_core.files import read_text
from kernel_core.looks_like import foreign

KEY_PARTS = 1_000

TOML_FAULTS = (OSError, ValueError, RecursionError)
"""What reading a file as TOML raises: syntax errors are `ValueError`s too."""


@dataclass(frozen=True)
class Table:
    """One section of a TOML file, or its top level.

    path: the file. name: of the section, as in `features.clip`; empty for the top level.
    """

    path: Path
    name: str
    values: Mapping[str, Any]

    @property
    def where(self) -> str:
        """The section in words, with brackets as in the file."""
        return f"[{self.name}]" if self.name else "the top level"

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def section(self, key: str) -> Table:
        """Return a section of this one, empty if it is not there. Raises `SourceError` if it is a value."""
        name = f"{self.name}.{key}" if self.name else key
        values = self.values.get(key, {})
        if not isinstance(values, dict):
            raise SourceError(f"{self.path}: {name} is {shown(values)}; expected a section [{name}].")
        return Table(self.path, name, values)

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Raise `SourceError` if there is a key that is not known."""
        unknown = sorted(set(self.values) - set(known))
        if unknown:
            raise SourceError(
                f"{self.path}: {self.where} has the key {shown(unknown[0])}; known: "
                f"{', '.join(sorted(known))}."
            )

    def text(self, key: str) -> str:
        """Return the text of a key. Raises `SourceError` if it is missing, empty, or of another type."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, f'a text in quotes, as in {key} = "…"')
        return value

    def texts(self, key: str, example: str) -> list[str]:
        """Return the texts of a key, a list of them or one alone.

        example: a list as the error shows it. Raises `SourceError` if it is missing, empty, or of another
        type.
        """
        value = self.values.get(key)
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise self.wrong(key, f"a list as in {key} = {example}")
        return texts

    def file(self, key: str) -> Path:
        """Return the path of a key, relative to the file's folder; `~` is the home."""
        return self.path_of(self.text(key))

    def path_of(self, text: str) -> Path:
        """Return the path that a text of this file means, relative to the file's folder; `~` is the home."""
        return self.path.parent / os.path.expanduser(text)

    def pattern_of(self, text: str) -> str:
        """Return the pattern of files that a text means; only the text's own wildcards count."""
        home, slash, rest = text.partition("/")
        if home.startswith("~"):
            text = glob.escape(os.path.expanduser(home)) + slash + rest
        return os.path.join(glob.escape(str(self.path.parent)), text)

    def wrong(self, key: str, expected: str) -> SourceError:
        """Return the error that says what a key holds and what was expected."""
        place = f"{self.where} {key}" if self.name else key
        return SourceError(f"{self.path}: {place} is {shown(self.values.get(key))}; expected {expected}.")


def read_toml(path: Path) -> Table:
    """Return the top level of a TOML file. Raises `SourceError` if it cannot be read as TOML."""
    try:
        text = read_text(path)
        # A key of 100,000 parts, 200 kB, takes tomllib 3 GB, as it keeps every beginning of it.
        if any(line.partition("=")[0].count(".") > KEY_PARTS for line in text.splitlines()):
            raise ValueError(f"a key has more than {KEY_PARTS:,} parts")
        return Table(path, "", tomllib.loads(text))
    except TOML_FAULTS as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> SourceError:
    """Return the error for a file that is no TOML."""
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
    return SourceError(
        foreign(path, str(path), "a description in TOML", "text", "json")
        or f"{path} cannot be read as TOML ({reason}). Correct the file."
    )


def quoted(text: str) -> str:
    """Return a text as TOML writes it, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_written(path: Path, folder: Path) -> str:
    """Return a path as a `source.toml` in a folder names it: relative if it is inside, else absolute."""
    path, home = path.resolve(), folder.resolve()
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)


def toml_value(value: str | float | list[str] | dict[str, str]) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {quoted(text)}" for key, text in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(quoted, value)) + "]"
    return quoted(value) if isinstance(value, str) else str(value)
