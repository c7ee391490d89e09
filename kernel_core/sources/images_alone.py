"""Labeled images that need no description: which folders or files of a place are their splits.

Where there is no test split, a part of the training images is held out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kernel_core.errors import DataError, SourceError
from kernel_core.printable import CELL, NAME, printable
from kernel_core.sources.folder_listing import ENDINGS, METADATA, TEST_NAMES, TRAIN_NAMES
from kernel_core.sources.held_out import SHARE
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import SPLITS, Split

NAMES: dict[Split, tuple[str, ...]] = {"train": TRAIN_NAMES, "test": TEST_NAMES}
"""What the folder of a split may be called, the best name first."""

EXPECTED = (
    "a folder per class, or train/ and test/ with a folder per class, or Parquet files such as train.parquet "
    "and test.parquet"
)
DEPTH = 3  # folders in a folder that are looked through for an image
SOME = 6  # names that an error lists


def images_at(path: Path) -> ImagesFrom:
    """Return the labeled images in a folder or a Parquet file; nothing but names is read.

    A folder has train/<class>/ and test/<class>/, one of these, or <class>/ alone; a metadata.csv instead of
    class folders; or Parquet files, itself or in its folder data/. The test split may also be called val,
    valid, validation, dev, eval or testing, the training split training. Raises `SourceError` if there are
    none.
    """
    if not os.path.isdir(path):
        return _held_out(ImagesFrom("parquet", shards={"train": (path,)}))
    tables = _tables(path)
    return tables if tables is not None else _folders(path)


def _held_out(images: ImagesFrom) -> ImagesFrom:
    return replace(images, held_out=SHARE)


def _tables(folder: Path) -> ImagesFrom | None:
    """Return the images in Parquet files; None if there are no such files.

    A split is the only file of its name, or all shards, as the Hub calls them.
    """
    for place in (folder, folder / "data"):
        files = sorted(path for path in place.glob("*.parquet") if path.is_file())
        if not files:
            continue
        shards = {split: _shards(files, names) for split, names in NAMES.items()}
        if shards["train"] and shards["test"]:
            return ImagesFrom("parquet", shards=shards)
        if shards["train"] and not any(_of_split(file, TEST_NAMES) for file in files):
            return _held_out(ImagesFrom("parquet", shards={"train": shards["train"]}))
        unnamed = not any(_of_split(file, names) for file in files for names in NAMES.values())
        if unnamed and (len(files) == 1 or _are_shards(files)):
            return _held_out(ImagesFrom("parquet", shards={"train": tuple(files)}))
        counts = " and ".join(f"{sum(_of_split(f, NAMES[s]) for f in files)} {s}*.parquet" for s in SPLITS)
        raise SourceError(
            f"{printable(place, NAME)} has {counts} ({_listed([file.name for file in files])}). Expected one "
            f"of each, or all their shards, as in train-00000-of-00002.parquet. Name one file, such as "
            f"{printable(files[0], NAME)}, to use it alone."
        )
    return None


def _shards(files: Sequence[Path], names: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of a split: the only one of a name, or all of a name if they are shards."""
    for name in names:
        found = [file for file in files if _of_split(file, (name,))]
        if len(found) == 1 or (found and _are_shards(found)):
            return tuple(found)
    return ()


def _of_split(file: Path, names: Sequence[str]) -> bool:
    return any(re.match(rf"{name}(?![a-z])", file.name.lower()) for name in names)


def _are_shards(files: Sequence[Path]) -> bool:
    return all(re.search(r"(-\d+-of-\d+(-[0-9a-f]+)?|^\d+)\.parquet$", file.name) for file in files)


def _folders(folder: Path) -> ImagesFrom:
    """Return the images in folders: of splits, of classes, or listed in a metadata.csv."""
    names, files = _entries(folder)
    train, test = (_folder_of(split, folder, names) for split in SPLITS)
    images = ImagesFrom("folder", {"folder": folder})
    if train and test:
        if _is_split(folder / train) and not _is_split(folder / test):
            raise SourceError(
                f"{printable(folder / test, NAME)} has no folder per class with images, as "
                f"{printable(train, NAME)} has; expected both. Name {printable(folder / train, NAME)} to do "
                "without it: then a tenth is held out."
            )
        found: dict[Split, str] = {"train": train, "test": test}
        renamed = {split: name for split, name in found.items() if name != split}
        return replace(images, split_names=renamed)
    if train and (len(names) == 1 or _is_split(folder / train)):
        return _held_out(replace(images, split_names={"train": train} if train != "train" else {}))
    if test and _is_split(folder / test):
        raise SourceError(
            f"{printable(folder, NAME)} has {test}, but no train; expected both, or training images alone. "
            f"Name {printable(folder / test, NAME)} to use these, of which a tenth is held out."
        )
    classes = [name for name in names if _has_image(folder / name)]
    if len(classes) > 1 or METADATA in files:
        return _held_out(replace(images, split_names={"train": "."}))
    raise _no_images(folder, names, files, classes)


def _no_images(
    folder: Path, names: Sequence[str], files: Sequence[str], classes: Sequence[str]
) -> SourceError:
    """Return the error for a folder that has no labeled images: what it has, and what may be meant."""
    loose = sum(name.lower().endswith(ENDINGS) for name in files)
    said = [f"{loose:,} image{'s' if loose > 1 else ''} outside of class folders"] if loose else []
    said += [f"one folder with images, {printable(classes[0], CELL)}"] if classes else []
    empty = [name for name in names if name not in classes]
    said += [f"no image in {_listed(empty)}"] if empty else []
    advice = "Name the folder that holds the class folders, or put a source.toml there."
    inside = [folder / name for name in classes if len(_filled(folder / name)) > 1]
    if inside:
        advice = f"Name {printable(inside[0], NAME)} instead, which has several."
    elif loose and len(_filled(folder.absolute().parent)) > 1:
        advice = f"Name {printable(folder.absolute().parent, NAME)} instead, which has class folders."
    return SourceError(
        f"{printable(folder, NAME)} has no source.toml and no labeled images: it has "
        f"{' and '.join(said) or 'nothing to show'}. Expected {EXPECTED}. {advice}"
    )


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder, sorted, without those of a dot."""
    try:
        entries = sorted((entry.name, entry.is_dir()) for entry in os.scandir(folder))
    except OSError as error:
        raise DataError(
            f"{printable(folder, NAME)} cannot be read ({error.strerror}); expected a folder of images. "
            "Change its permissions, or name another."
        ) from None
    shown = [entry for entry in entries if not entry[0].startswith(".")]
    return [name for name, is_dir in shown if is_dir], [name for name, is_dir in shown if not is_dir]


def _folder_of(split: Split, folder: Path, names: Sequence[str]) -> str:
    """Return the folder of a split: the first that is called so, in any case, and has class folders.

    If none has, the first that is called so; empty if none is. names: of the folders in `folder`.
    """
    called = sorted(
        (name for name in names if name.lower() in NAMES[split]),
        key=lambda name: (NAMES[split].index(name.lower()), name.lower() != name),
    )
    return next((name for name in called if _is_split(folder / name)), called[0] if called else "")


def _is_split(folder: Path) -> bool:
    """Return whether a folder is one of a split, and not of a class that is called train."""
    folders, files = _entries(folder)
    return METADATA in files or any(_has_image(folder / name) for name in folders)


def _filled(folder: Path) -> list[str]:
    """Return the names of the folders in a folder that hold an image."""
    try:
        return [name for name in _entries(folder)[0] if _has_image(folder / name)]
    except DataError:
        return []


def _has_image(folder: Path) -> bool:
    return any(name.lower().endswith(ENDINGS) for name in _names(folder, DEPTH))


def _names(folder: Path, depth: int) -> Iterator[str]:
    """Yield the names of files in a folder and, if need be, in the folders inside."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    yield from (entry.name for entry in entries if not entry.name.startswith(".") and not entry.is_dir())
    for entry in entries if depth else ():
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _names(Path(entry.path), depth - 1)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(printable(name, CELL) for name in names[:SOME]) + (", …" if len(names) > SOME else "")
