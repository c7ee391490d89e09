"""The section [images] of a `source.toml`: which images a source has, read and written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kernel_core.errors import SourceError, shown
from kernel_core.sources import torchvision_images
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.toml_file import Table
from kernel_core.sources.torchvision_images import from_torchvision
from kernel_core.spec import SPLITS, Split

KEYS = {"train", "test", "torchvision", "root", "folder", "size"}
SIZES = (4, 512)  # pixels; the smallest and the largest side that images can be resized to

ImagesTable = dict[str, str | int]
"""The section [images]: `KEYS` → values."""


def read_images(table: Table, splits: tuple[Split, ...] = SPLITS) -> ImagesFrom:
    """Return the images that the section describes. Raises `SourceError` if it describes none."""
    table.refuse_unknown(KEYS)
    size = table.values.get("size")
    if size is not None and (type(size) is not int or not SIZES[0] <= size <= SIZES[1]):
        raise table.wrong("size", f"a side of {SIZES[0]} to {SIZES[1]} pixels")
    return replace(_reader_of(table, splits), size=size, splits=splits)


def _reader_of(table: Table, splits: tuple[Split, ...]) -> ImagesFrom:
    readers: list[str] = [key for key in ("torchvision", "folder") if key in table]
    if any(split in table for split in SPLITS):
        readers.append("Parquet files")
    if len(readers) != 1:
        raise SourceError(
            f"{table.path}: [images] names {' and '.join(readers) or 'no images'}; expected one of: "
            f"{' and '.join(splits)} (Parquet files), torchvision, folder."
        )
    if readers == ["torchvision"]:
        dataset = table.text("torchvision")
        if dataset not in torchvision_images.FOLDERS:
            known = ", ".join(sorted(torchvision_images.FOLDERS))
            raise SourceError(f"{table.path}: torchvision = {shown(dataset)}; known: {known}.")
        return from_torchvision(dataset, table.file("root") if "root" in table else None)
    if readers == ["folder"]:
        return ImagesFrom("folder", {"folder": table.file("folder")})
    return ImagesFrom("parquet", {split: table.file(split) for split in splits})


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
