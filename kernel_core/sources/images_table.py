"""The section [images] of a `source.toml`: which images a source has, read and written."""

from __future__ import annotations

import glob
import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from kernel_core.errors import SourceError, shown
from kernel_core.sources import torchvision_images
from kernel_core.sources.held_out import LARGEST_SHARE
from kernel_core.sources.hub_images import REPOSITORY
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.toml_file import Table, as_written
from kernel_core.sources.torchvision_images import from_torchvision
from kernel_core.spec import SPLITS, Split

KEYS = {"train", "test", "torchvision", "root", "folder", "size", "image", "label", "splits", "classes",
        "hub", "config", "revision", "held_out"}  # fmt: skip
SIZES = (4, 512)  # pixels; the smallest and the largest side that images can be resized to
AUTO = "auto"  # as a size: one that is chosen from the images' own sizes
SPLITS_EXAMPLE = '{train = "train", test = "val"}'

ImagesTable = dict[str, str | float | list[str] | dict[str, str]]
"""The section [images], or [labels]: key → value."""


def read_images(table: Table, splits: tuple[Split, ...] = SPLITS) -> ImagesFrom:
    """Return the images that the section describes. Raises `SourceError` if it describes none."""
    table.refuse_unknown(KEYS)
    size = table.values.get("size")
    if size not in (None, AUTO) and (type(size) is not int or not SIZES[0] <= size <= SIZES[1]):
        raise table.wrong("size", f'a side of {SIZES[0]} to {SIZES[1]} pixels, or "{AUTO}"')
    held_out = _read_held_out(table, splits)
    images = _reader_of(table, ("train",) if held_out else splits)
    columns = {key: table.text(key) for key in ("image", "label") if key in table}
    if columns and images.reader == "torchvision":
        raise SourceError(
            f"{table.path}: [images] has {shown(next(iter(columns)))}, which torchvision lacks."
        )
    return replace(
        images,
        size=size if type(size) is int else None,
        choose_size=size == AUTO,
        held_out=held_out,
        splits=splits,
        split_names=_read_split_names(table, images.reader, splits),
        columns=columns,
        classes=read_classes(table),
    )


def _read_held_out(table: Table, splits: tuple[Split, ...]) -> float:
    """Return the share of the images that is held out; 0 if the data have a test split of their own."""
    share = table.values.get("held_out", 0.0)
    if "held_out" not in table:
        return 0.0
    if not isinstance(share, float) or not 0 < share <= LARGEST_SHARE:
        raise table.wrong("held_out", f"a share above 0, up to {LARGEST_SHARE}, as in held_out = 0.1")
    if "test" in table or "torchvision" in table or splits != SPLITS:
        raise SourceError(
            f"{table.path}: [images] has held_out, which makes a test split of training images; expected "
            "images without a test split of their own, and logits of both splits. Leave held_out away."
        )
    return share


def _reader_of(table: Table, splits: tuple[Split, ...]) -> ImagesFrom:
    readers: list[str] = [key for key in ("torchvision", "folder", "hub") if key in table]
    if any(split in table for split in SPLITS):
        readers.append("Parquet files")
    if len(readers) != 1:
        raise SourceError(
            f"{table.path}: [images] names {' and '.join(readers) or 'no images'}; expected one of: "
            f"{' and '.join(splits)} (Parquet files), hub, torchvision, folder."
        )
    if readers == ["torchvision"]:
        dataset = table.text("torchvision")
        if dataset not in torchvision_images.FOLDERS:
            known = ", ".join(sorted(torchvision_images.FOLDERS))
            raise SourceError(f"{table.path}: torchvision = {shown(dataset)}; known: {known}.")
        return from_torchvision(dataset, table.file("root") if "root" in table else None)
    if readers == ["hub"]:
        repository = table.text("hub")
        if not REPOSITORY.fullmatch(repository):
            raise table.wrong("hub", 'a dataset of the Hub, as in hub = "uoft-cs/cifar100"')
        named = {key: table.text(key) for key in ("config", "revision") if key in table}
        return ImagesFrom("parquet", hub={"hub": repository, **named})
    if readers == ["folder"]:
        return ImagesFrom("folder", {"folder": table.file("folder")})
    return ImagesFrom("parquet", shards={split: _read_shards(table, split) for split in splits})


def _read_shards(table: Table, split: Split) -> tuple[Path, ...]:
    """Return the Parquet files of a split: each that is named, and of a pattern those that match, sorted."""
    if not isinstance(table.values.get(split), list):
        table.text(split)  # refuses another type
    found: list[Path] = []
    for text in table.texts(split, '"data/train-*.parquet"'):
        path = table.path_of(text)
        if not glob.has_magic(text) or os.path.exists(path):
            found.append(path)
            continue
        matches = sorted(map(Path, glob.glob(table.pattern_of(text))))
        if not matches:
            raise SourceError(
                f"{table.path}: no file matches {shown(text)} in {table.path.parent}; correct [images] "
                f"{split}."
            )
        found += matches
    twice = next((path for path in found if found.count(path) > 1), None)
    if twice:
        raise SourceError(f"{table.path}: [images] {split} names {twice.name} twice; expected it once.")
    return tuple(found)


def _read_split_names(table: Table, reader: str, splits: tuple[Split, ...]) -> dict[Split, str]:
    """Return what the folders of the splits are called, where that differs."""
    names = table.values.get("splits", {})
    if "splits" in table and reader != "folder" and "hub" not in table:
        raise SourceError(
            f"{table.path}: [images] has splits, which names folders; expected it beside folder or hub only. "
            "Name Parquet files with train and test."
        )
    valid = isinstance(names, dict) and all(isinstance(name, str) and name for name in names.values())
    valid = valid and set(names) <= set(SPLITS)
    if not valid or len({names.get(split, split) for split in splits}) < len(splits):
        raise table.wrong("splits", f"the folders' names, as in splits = {SPLITS_EXAMPLE}")
    return {split: names[split] for split in SPLITS if names.get(split, split) != split}


def read_classes(table: Table) -> tuple[str, ...] | Literal["numeric"]:
    """Return `classes` of the section, as in `ImagesFrom`. Raises `SourceError` if it lists no texts."""
    classes = table.values.get("classes", [])
    if classes == "numeric":
        return "numeric"
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise table.wrong(
            "classes", 'a list of class names in the order of the logits\' columns, or "numeric"'
        )
    twice = sorted({name for name in classes if classes.count(name) > 1}) if len(classes) < 10_000 else []
    if twice or ("classes" in table and not classes):
        raise SourceError(
            f"{table.path}: {table.where} classes "
            f"{f'names {shown(twice[0])} twice' if twice else 'is empty'}; expected each class once."
        )
    return tuple(classes)


def images_table(source: ImagesFrom, folder: Path) -> ImagesTable:
    """Return the section [images] that describes images to a `source.toml` in a folder.

    Paths inside the folder become relative to it; the default root of torchvision's datasets is left out.
    """
    paths = dict(source.paths)
    root = paths.get("root")
    if (
        source.reader == "torchvision"
        and root
        and root.resolve() == torchvision_images.default_root().resolve()
    ):
        del paths["root"]

    table: ImagesTable = {"torchvision": source.dataset} if source.dataset else {}
    table |= {name: as_written(path, folder) for name, path in paths.items()}
    table.update(source.hub)
    for split, shards in ({} if source.hub else source.shards).items():
        texts = [as_written(path, folder) for path in shards]
        table[split] = texts[0] if len(texts) == 1 else texts
    if source.size is not None:
        table["size"] = source.size
    if source.split_names:
        table["splits"] = {str(split): name for split, name in source.split_names.items()}
    table.update(source.said)
    return table
