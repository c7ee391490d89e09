"""The section [ensemble] of a `source.toml`: which files hold the logits, and of which splits."""

from __future__ import annotations

import glob
import itertools
import os
import re
from pathlib import Path
from typing import Any

from kernel_core.array_files import open_arrays
from kernel_core.errors import SourceError, shown
from kernel_core.looks_like import looks_like
from kernel_core.sources.logit_form import ID_NAMES, KINDS, LogitForm
from kernel_core.sources.toml_file import Table
from kernel_core.spec import SPLITS, Split

KEYS = {"files", "splits", "kind", "keys", "masks"}
TABLES = (".csv", ".tsv")  # endings of tables that are text
ARRAYS = {"test", "train", "trained_on", "id"}  # what `keys` can name


def read_splits(table: Table) -> tuple[Split, ...]:
    """Return the splits that there are logits of, by default both."""
    table.refuse_unknown(KEYS)
    splits = table.values.get("splits", list(SPLITS))
    if splits == ["test"]:
        return ("test",)
    if not isinstance(splits, list) or sorted(map(str, splits)) != sorted(SPLITS):
        raise table.wrong(
            "splits", '["train", "test"], which is the default, or ["test"] for logits of test examples alone'
        )
    return SPLITS


def read_form(table: Table) -> LogitForm:
    """Return how the files of logits are to be read. Raises `SourceError` for an unknown kind or key."""
    kind = table.text("kind") if "kind" in table else "logits"
    if kind not in KINDS:
        raise table.wrong("kind", f"one of {', '.join(KINDS)}")
    names = table.section("keys")
    names.refuse_unknown(ARRAYS)
    keys = {name: names.text(name) for name in names.values}
    return LogitForm(kind, keys, table.file("masks") if "masks" in table else None)


def find_logits(table: Table) -> tuple[Path, ...]:
    """Return the files that the patterns in `files` match, each once; run-2 comes before run-10."""
    path, files = table.path, set[Path]()
    for pattern in table.texts("files", '["runs/*/log.pt"]'):
        _refuse_whole_disk(path, os.path.expanduser(pattern))
        # Each ** more would search the same folders again.
        once = re.sub(r"(?<![^/])(\*\*/+)+", "**/", pattern)
        matches = glob.glob(table.pattern_of(once), recursive=True)
        if not matches:
            raise SourceError(
                f"{path}: no file matches {shown(pattern)} in {path.parent}; correct [ensemble] files."
            )
        files.update(Path(match) for match in matches)
    return tuple(sorted(files, key=_in_natural_order))


def _in_natural_order(path: Path) -> tuple[Any, ...]:
    """Return what to sort a path by, so that numbers in it count as numbers; the path itself breaks ties."""
    parts = [re.split("([0-9]+)", part) for part in path.parts]  # text, number, text, …
    return [[int(t) if i % 2 else t for i, t in enumerate(part)] for part in parts], path


def _refuse_whole_disk(path: Path, pattern: str) -> None:
    """Raise `SourceError` for a pattern that searches every folder of the machine, which can take hours."""
    parts = (path.parent / pattern).parts
    if "**" not in parts:
        return
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), parts)
    start = os.path.realpath(os.path.join(*fixed))
    if start == os.path.dirname(start):
        raise SourceError(
            f"{path}: [ensemble] files has {shown(pattern)}, which searches the whole of {start}; expected a "
            "folder before **, as in runs/**/log.pt."
        )


def rows_have_names(path: Path, form: LogitForm) -> bool:
    """Return whether the rows of a file of logits are joined to the examples by their names."""
    looks = looks_like(path).form
    if looks in ("npz", "safetensors"):
        return bool({form.keys.get("id"), *ID_NAMES} & set(open_arrays(path, "logits").arrays))
    return looks == "parquet" or path.suffix.lower() in TABLES
