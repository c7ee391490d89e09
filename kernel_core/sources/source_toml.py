"""All about `source.toml`, the file that describes a source: read, written, edited."""

from __future__ import annotations

import glob
import itertools
import json
import os
import re
import tomllib
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kernel_core.errors import SourceError, shown
from kernel_core.files import read_text, writing
from kernel_core.printable import NAME, printable
from kernel_core.sources import torchvision_images
from kernel_core.sources.source import ImagesFrom, Source
from kernel_core.sources.torchvision_images import from_torchvision
from kernel_core.spec import SPLITS, Split

FILE = "source.toml"
FEATURES = "penultimate.safetensors"  # the name of the files of features that this program writes
SIZES = (4, 512)  # pixels; the smallest and the largest side that images can be resized to
KEY_PARTS = 1_000
SCHEMA = {
    "": {"name", "images", "ensemble", "features"},
    "images": {"train", "test", "torchvision", "root", "folder", "size"},
    "ensemble": {"files", "splits"},
    "features": {"file"},
}

TOML_FAULTS = (OSError, ValueError, RecursionError)
"""What reading a file as TOML raises: syntax errors are `ValueError`s too."""

ImagesTable = dict[str, str | int]
"""The section [images]: keys of `SCHEMA["images"]` → values."""


def read_source_file(path: Path, *, offline: bool = False) -> Source:
    """Return the source that a `source.toml` describes; paths in it are relative to its folder.

    A torchvision dataset is downloaded if need be. Raises `SourceError` if the file is not TOML, lacks a
    section, has an unknown key, or names logits that do not exist; `NotBuilt` if a download is needed and
    `offline` forbids it; `DownloadError` if it fails.
    """
    content = _read_toml(path)
    _check_keys(path, content)
    folder = path.parent
    name = printable(_text(path, content, "name") if "name" in content else folder.name, NAME)
    splits = _splits(path, content["ensemble"])
    images = _images_from(path, content["images"], splits)
    if images.reader == "torchvision":
        torchvision_images.fetched(images, offline=offline)
    logits = _logit_files(path, content["ensemble"])
    features = folder / _text(path, content["features"], "file") if "features" in content else None
    return Source(name, images, logits, features, root=folder)


def read_images_table(path: Path) -> ImagesFrom:
    """Return the images that a `source.toml` describes, both splits, whatever else is in it.

    Raises `SourceError` if the file is not TOML, or does not describe images.
    """
    return _images_from(path, _read_toml(path).get("images") or {})


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path)
        # A key of 100,000 parts, 200 kB, takes tomllib 3 GB, as it keeps every beginning of it.
        if any(line.partition("=")[0].count(".") > KEY_PARTS for line in text.splitlines()):
            raise ValueError(f"a key has more than {KEY_PARTS:,} parts")
        return tomllib.loads(text)
    except TOML_FAULTS as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> SourceError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
    return SourceError(f"{path} cannot be read as TOML ({reason}). Correct the file.")


def _check_keys(path: Path, content: dict[str, Any]) -> None:
    for section in ("images", "ensemble"):
        if section not in content:
            raise SourceError(
                f"{path} has no section [{section}]; expected [images], [ensemble] and optionally [features]."
            )
    for section, known in SCHEMA.items():
        table = content.get(section, {}) if section else content
        if not isinstance(table, dict):
            raise SourceError(f"{path}: {section} is {shown(table)}; expected a section [{section}].")
        unknown = sorted(set(table) - known)
        if unknown:
            where = f"[{section}]" if section else "the top level"
            raise SourceError(
                f"{path}: {where} has the key {shown(unknown[0])}; known: {', '.join(sorted(known))}."
            )


def _text(path: Path, table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise SourceError(f'{path}: {key} is {shown(value)}; expected a text in quotes, as in {key} = "…".')
    return value


def _splits(path: Path, table: dict[str, Any]) -> tuple[Split, ...]:
    """Return the splits that [ensemble] has logits of, by default both."""
    splits = table.get("splits", list(SPLITS))
    if splits == ["test"]:
        return ("test",)
    if not isinstance(splits, list) or sorted(map(str, splits)) != sorted(SPLITS):
        raise SourceError(
            f'{path}: [ensemble] splits is {shown(splits)}; expected ["train", "test"], which is the '
            'default, or ["test"] for logits of test examples alone.'
        )
    return SPLITS


def _images_from(path: Path, table: dict[str, Any], splits: tuple[Split, ...] = SPLITS) -> ImagesFrom:
    size = table.get("size")
    if size is not None and (type(size) is not int or not SIZES[0] <= size <= SIZES[1]):
        raise SourceError(
            f"{path}: [images] size is {shown(size)}; expected a side of {SIZES[0]} to {SIZES[1]} pixels."
        )
    return replace(_reader_of(path, table, splits), size=size, splits=splits)


def _reader_of(path: Path, table: dict[str, Any], splits: tuple[Split, ...]) -> ImagesFrom:
    folder = path.parent
    readers: list[str] = [key for key in ("torchvision", "folder") if key in table]
    if any(split in table for split in SPLITS):
        readers.append("Parquet files")
    if len(readers) != 1:
        raise SourceError(
            f"{path}: [images] names {' and '.join(readers) or 'no images'}; expected one of: "
            f"{' and '.join(splits)} (Parquet files), torchvision, folder."
        )
    if readers == ["torchvision"]:
        dataset = _text(path, table, "torchvision")
        if dataset not in torchvision_images.FOLDERS:
            known = ", ".join(sorted(torchvision_images.FOLDERS))
            raise SourceError(f"{path}: torchvision = {shown(dataset)}; known: {known}.")
        return from_torchvision(dataset, folder / _text(path, table, "root") if "root" in table else None)
    if readers == ["folder"]:
        return ImagesFrom("folder", {"folder": folder / _text(path, table, "folder")})
    return ImagesFrom("parquet", {split: folder / _text(path, table, split) for split in splits})


def images_table(source: ImagesFrom, folder: Path) -> ImagesTable:
    """Return the section [images] that describes images to a `source.toml` in a folder.

    Paths inside the folder become relative to it; the default root of torchvision's datasets is left out.
    """
    home, paths = folder.resolve(), {name: path.resolve() for name, path in source.paths.items()}
    if source.reader == "torchvision" and paths["root"] == torchvision_images.default_root().resolve():
        del paths["root"]
    table: ImagesTable = {"torchvision": source.dataset} if source.dataset else {}
    for name, path in paths.items():
        table[name] = path.relative_to(home).as_posix() if path.is_relative_to(home) else str(path)
    if source.size is not None:
        table["size"] = source.size
    return table


def _logit_files(path: Path, table: dict[str, Any]) -> tuple[Path, ...]:
    """Return the files that the patterns of [ensemble] match, sorted by path, each once."""
    patterns = table.get("files")
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) for p in patterns):
        raise SourceError(
            f'{path}: [ensemble] files is {shown(patterns)}; expected a list as in files = ["runs/*/log.pt"].'
        )
    files: set[Path] = set()
    for pattern in patterns:
        _refuse_whole_disk(path, pattern)
        once = re.sub(
            r"(?<![^/])(\*\*/+)+", "**/", pattern
        )  # each ** more would search the same folders again
        matches = glob.glob(os.path.join(glob.escape(str(path.parent)), once), recursive=True)
        if not matches:
            raise SourceError(
                f"{path}: no file matches {shown(pattern)} in {path.parent}; correct [ensemble] files."
            )
        files.update(Path(match) for match in matches)
    return tuple(sorted(files))


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


def write_source_file(
    path: Path,
    *,
    name: str | None,
    images: Mapping[str, str | int],
    logits: str,
    features: str | None,
    splits: tuple[Split, ...] = SPLITS,
) -> None:
    """Write a `source.toml`.

    images: the section [images], as `images_table` returns it. logits: a pattern that the files of logits
    match.
    features: the file of penultimate features, or None. splits: those that the logits are of.
    """
    lines = [f"name = {_quoted(name)}"] if name else []
    lines += ["[images]"]
    lines += [f"{key} = {_quoted(v) if isinstance(v, str) else v}" for key, v in images.items()]
    lines += ["[ensemble]", f"files = [{_quoted(logits)}]"]
    lines += [f"splits = {json.dumps(splits)}"] if splits != SPLITS else []
    lines += ["[features]", f"file = {_quoted(features)}"] if features else []
    with writing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _quoted(text: str) -> str:
    """Return a text as TOML writes it, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def features_named_in(path: Path) -> str | None:
    """Return the file that [features] of a `source.toml` names; None if it names none or is malformed."""
    try:
        name = tomllib.loads(read_text(path)).get("features", {}).get("file")
    except (*TOML_FAULTS, AttributeError):
        return None
    return str(name) if name else None


def with_features(path: Path, name: str) -> bytes:
    """Return the text of a `source.toml` with `file` of [features] set to a name, and all else as it is.

    Comments stay. Raises `SourceError` if the file is not TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(read_text(path))
    except (TOMLKitError, *TOML_FAULTS) as error:
        raise _unreadable(path, error) from None
    section = document.get("features")
    if isinstance(section, MutableMapping):
        section["file"] = name
    else:
        document["features"] = {"file": name}
    return tomlkit.dumps(document).encode()
