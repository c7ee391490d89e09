"""A `source.toml` → the source that it describes: where its images, logits and features are."""

from __future__ import annotations

import glob
import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kernel_core.errors import SourceError
from kernel_core.files import writing
from kernel_core.sources import images
from kernel_core.sources.source import ImagesFrom, Source
from kernel_core.spec import SPLITS, Split

FEATURES = "penultimate.safetensors"  # the name of the files of features that this program writes
SCHEMA = {
    "": {"name", "images", "ensemble", "features"},
    "images": {"train", "test", "torchvision", "root", "folder", "size"},
    "ensemble": {"files", "splits"},
    "features": {"file"},
}


def read_source_file(path: Path, *, offline: bool = False) -> Source:
    """The source that a `source.toml` describes; paths in it are relative to its folder.

    Raises `SourceError` if it is no TOML, lacks something, holds an unknown key, or names no existing logits.
    """
    content = _read_toml(path)
    _check_keys(path, content)
    folder = path.parent
    name = _text(path, content, "name") if "name" in content else folder.name
    splits = _splits(path, content["ensemble"])
    source_images = _images_from(path, content["images"], splits)
    if source_images.reader == "torchvision":
        images.fetched(source_images, offline=offline)
    logits = _logit_files(path, content["ensemble"])
    features = folder / _text(path, content["features"], "file") if "features" in content else None
    return Source(name, source_images, logits, features, root=folder)


def read_images_table(path: Path) -> ImagesFrom:
    """Both splits of the images of a `source.toml`, whatever else it describes. Raises `SourceError` as above."""
    return _images_from(path, _read_toml(path).get("images") or {})


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SourceError(f"{path} cannot be read as TOML ({error}); correct it there.") from None


def _check_keys(path: Path, content: dict[str, Any]) -> None:
    for section in ("images", "ensemble"):
        if section not in content:
            raise SourceError(
                f"{path} has no section [{section}]; expected [images], [ensemble], optionally [features]."
            )
    for section, known in SCHEMA.items():
        table = content if not section else content.get(section, {})
        if not isinstance(table, dict):
            raise SourceError(f"{path}: {section} is {table!r}; expected a section [{section}].")
        unknown = sorted(set(table) - known)
        if unknown:
            where = f"[{section}]" if section else "the top level"
            raise SourceError(
                f"{path}: {where} has the key {unknown[0]!r}; known: {', '.join(sorted(known))}."
            )


def _text(path: Path, table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise SourceError(f'{path}: {key} is {value!r}; expected a text in quotes, as in {key} = "…".')
    return value


def _splits(path: Path, table: dict[str, Any]) -> tuple[Split, ...]:
    """The splits that [ensemble] says its logits are of; both where it says nothing."""
    given = table.get("splits", list(SPLITS))
    if given == ["test"]:
        return ("test",)
    if not isinstance(given, list) or sorted(map(str, given)) != sorted(SPLITS):
        raise SourceError(
            f'{path}: [ensemble] splits is {given!r}; expected ["train", "test"], which is taken where nothing is said, '
            'or ["test"] for logits of test examples alone.'
        )
    return SPLITS


def _images_from(path: Path, table: dict[str, Any], splits: tuple[Split, ...] = SPLITS) -> ImagesFrom:
    size = table.get("size")
    if size is not None and (type(size) is not int or not 4 <= size <= 512):
        raise SourceError(f"{path}: [images] size is {size!r}; expected pixels a side from 4 to 512.")
    return replace(_reader_of(path, table, splits), size=size, splits=splits)


def _reader_of(path: Path, table: dict[str, Any], splits: tuple[Split, ...]) -> ImagesFrom:
    folder = path.parent
    ways: list[str] = [key for key in ("torchvision", "folder") if key in table]
    ways += ["Parquet files"] * any(split in table for split in SPLITS)
    if len(ways) != 1:
        raise SourceError(
            f"{path}: [images] names {' and '.join(ways) or 'no images'}; expected one of: {' and '.join(splits)} (Parquet "
            "files), torchvision, folder."
        )
    if ways == ["torchvision"]:
        dataset = _text(path, table, "torchvision")
        if dataset not in images.TORCHVISION:
            raise SourceError(
                f"{path}: torchvision = {dataset!r}; known: {', '.join(sorted(images.TORCHVISION))}."
            )
        root = folder / _text(path, table, "root") if "root" in table else images.torchvision_root()
        return ImagesFrom("torchvision", {"root": root}, dataset)
    if ways == ["folder"]:
        return ImagesFrom("folder", {"folder": folder / _text(path, table, "folder")})
    return ImagesFrom("parquet", {split: folder / _text(path, table, split) for split in splits})


def _logit_files(path: Path, table: dict[str, Any]) -> tuple[Path, ...]:
    """The files that the patterns of [ensemble] match, sorted by path, each once."""
    patterns = table.get("files")
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) for p in patterns):
        raise SourceError(
            f'{path}: [ensemble] files is {patterns!r}; expected a list as in files = ["runs/*/log.pt"].'
        )
    found: set[Path] = set()
    for pattern in patterns:
        matches = glob.glob(str(path.parent / pattern), recursive=True)
        if not matches:
            raise SourceError(
                f"{path}: no file matches {pattern!r} in {path.parent}; correct [ensemble] files."
            )
        found.update(Path(match) for match in matches)
    return tuple(sorted(found))


def write_source_file(
    path: Path,
    *,
    name: str | None,
    images: Mapping[str, str | int],
    logits: str,
    features: str | None,
    splits: tuple[Split, ...] = SPLITS,
) -> None:
    """A `source.toml`. images: its section [images]; logits: a pattern; features: a file, or None."""
    lines = [f"name = {_quoted(name)}"] if name else []
    lines += [
        "[images]",
        *(f"{key} = {_quoted(v) if isinstance(v, str) else v}" for key, v in images.items()),
    ]
    lines += ["[ensemble]", f"files = [{_quoted(logits)}]"]
    lines += [f"splits = {json.dumps(splits)}"] if splits != SPLITS else []
    lines += ["[features]", f"file = {_quoted(features)}"] if features else []
    with writing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _quoted(text: str) -> str:
    """A text as TOML writes it, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
