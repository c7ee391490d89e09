"""Images in folders: train/<class>/*.png as torchvision's ImageFolder reads it, or by a metadata.csv."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernel_core.class_labels import numbered_classes, refuse_wrong_labels
from kernel_core.errors import DataError
from kernel_core.printable import NAME, printable
from kernel_core.sources import inventory
from kernel_core.sources.class_order import number_texts
from kernel_core.sources.folder_listing import METADATA, Listing, list_split
from kernel_core.sources.inventory import Inventory, Reason, count_classes
from kernel_core.sources.metadata_table import read_metadata_table
from kernel_core.sources.part import Part
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split


@dataclass(frozen=True, eq=False)
class Files:
    """The images of one split: files and int64 labels (N,) in order, and the names of all classes."""

    files: list[Path]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]


def folder_files(source: ImagesFrom, split: Split) -> Iterator[tuple[str, bytes | Path]]:
    """Yield the name and the file of each image, in order."""
    yield from _named(_find(source, _listings(source))[split].files)


def folder_parts(source: ImagesFrom, split: Split) -> Callable[[int, int], Part]:
    """Return what gives images start … stop - 1 for other processes."""
    files = _find(source, _listings(source))[split].files

    def part(start: int, stop: int) -> Part:
        inside = tuple(files[start:stop])
        return Part(functools.partial(_named, inside), inside)

    return part


def _named(files: Sequence[Path]) -> Iterator[tuple[str, bytes | Path]]:
    return ((str(path), path) for path in files)


def folder_units(source: ImagesFrom) -> dict[str, list[Path]]:
    """Return the files that are read, by the folder that they are in, under the split's name."""
    units: dict[str, list[Path]] = {}
    for split, listing in _listings(source).items():
        if _is_flat(source, listing):
            units[f"{split}/{METADATA}"] = [listing.folder / METADATA]
            units[split] = _rows(source, listing)[0]
            continue
        for files in listing.classes.values():
            for folder, inside in itertools.groupby(files, os.path.dirname):
                place = Path(folder).relative_to(listing.folder).as_posix()
                units[f"{split}/{place}"] = list(inside)
    return units


def folder_inventories(source: ImagesFrom) -> dict[Split, Inventory]:
    """Return what each split has and what is passed over."""
    listings = _listings(source)
    found = _find(source, listings)
    return {split: _inventory(source, split, listing, found[split]) for split, listing in listings.items()}


def folder_names(source: ImagesFrom, split: Split) -> list[str]:
    """Return the paths of the images below the split's folder, in order, as in `ant/0.png`."""
    listings = _listings(source)
    files, folder = _find(source, listings)[split].files, listings[split].folder
    return [os.path.relpath(path, folder).replace(os.sep, "/") for path in files]


def folder_labels(source: ImagesFrom, split: Split) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return the labels of the images, in order, and the names of all classes.

    Classes are numbered by the sorted names of the training folders, or of the test folders in a source of
    test examples alone. Folders that hold no image of any split are passed over.
    """
    found = _find(source, _listings(source))[split]
    return found.labels, found.class_names


def folder_samples(source: ImagesFrom, split: Split, count: int) -> list[tuple[str, bytes | Path]]:
    """Return the names and files of images at equal distances, the first among them."""
    files = _find(source, _listings(source))[split].files
    return list(_named(files[:: max(1, -(-len(files) // count))]))


def _listings(source: ImagesFrom) -> dict[Split, Listing]:
    """Return the listing of each split. Raises `DataError` if one has no images."""
    listings = {}
    for split in source.splits:
        listings[split] = list_split(source, split)
        _refuse_empty(source, listings[split])
    return listings


def _refuse_empty(source: ImagesFrom, listing: Listing) -> None:
    folder = listing.folder
    if source.columns and not (folder / METADATA).exists():
        raise DataError(
            f"{' and '.join(source.columns)} under [images] name columns of a {METADATA}, but {folder} has "
            "none. Put it there, or leave them out."
        )
    if _is_flat(source, listing) or any(listing.classes.values()):
        return
    if listing.loose:
        raise DataError(
            f"{folder} has {len(listing.loose):,} images but none in a class folder; expected "
            f"{folder.name}/<class>/*.png, or a {METADATA} beside them with the columns file_name and label."
        )
    passed = {why: tuple(names) for why, names in listing.passed_over.items()}
    remarks = "".join(f"; {remark}" for remark in Inventory("test", {}, passed).remarks)
    raise DataError(
        f"{folder} holds no images; expected {folder.name}/<class>/*.png (or .jpg, .webp, …){remarks}."
    )


def _is_flat(source: ImagesFrom, listing: Listing) -> bool:
    """Return whether the labels are in a metadata.csv: it is there, and there are no class folders.

    A `label` under [images] names its column, so it decides too.
    """
    has_classes = any(listing.classes.values()) and "label" not in source.columns
    return not has_classes and (listing.folder / METADATA).exists()


def _find(source: ImagesFrom, listings: Mapping[Split, Listing]) -> dict[Split, Files]:
    """Return the images of each split, with one list of classes. Raises `DataError` if there can be none."""
    if all(_is_flat(source, listing) for listing in listings.values()):
        rows = {split: _rows(source, listing) for split, listing in listings.items()}
        labels, names = number_texts({split: texts for split, (_, texts) in rows.items()})
        common = names or max((numbered_classes(labels[s], s) for s in labels), key=len)
        for split, of_split in labels.items():
            refuse_wrong_labels(of_split, len(common), split)
        return {split: Files(rows[split][0], labels[split], common) for split in rows}
    names = _class_names(source, listings)
    shown = tuple(printable(name, NAME) for name in names)
    found = {}
    for split, listing in listings.items():
        files = [(path, names.index(name)) for name, paths in listing.classes.items() for path in paths]
        numbers = np.array([label for _, label in files], np.int64)
        found[split] = Files([path for path, _ in files], numbers, shown)
    return found


def _class_names(source: ImagesFrom, listings: Mapping[Split, Listing]) -> tuple[str, ...]:
    """Return the class folders of the first split that hold an image in any split, sorted as text."""
    first = listings[source.splits[0]]
    for listing in listings.values():
        filled = {name for name, paths in listing.classes.items() if paths}
        unknown = sorted(filled - set(first.classes) - set(source.classes))
        if unknown:
            alike = [name for name in first.classes if name.casefold() == unknown[0].casefold()]
            but = f"has {alike[0]!r}" if alike else "does not"
            raise DataError(
                f"{listing.folder} has the class folder {unknown[0]!r}, but {first.folder} {but}; expected "
                "the same classes in both. Rename or remove it, or add training images of that class."
            )
    return tuple(sorted({name for lis in listings.values() for name, paths in lis.classes.items() if paths}))


def _rows(source: ImagesFrom, listing: Listing) -> tuple[list[Path], list[str]]:
    """Return the files that a split's metadata.csv lists, and their labels as texts."""
    path = listing.folder / METADATA
    names, labels = read_metadata_table(path, source.columns)
    if not names:
        raise DataError(f"{path} lists no images; expected a row per image.")
    return [listing.folder / name for name in names], labels


def _inventory(source: ImagesFrom, split: Split, listing: Listing, found: Files) -> Inventory:
    classes = count_classes(found.labels, found.class_names)
    passed = {why: list(names) for why, names in listing.passed_over.items()}
    if _is_flat(source, listing):
        listed = set(found.files)
        there = (*listing.loose, *(path for paths in listing.classes.values() for path in paths))
        unlisted = [path.relative_to(listing.folder).as_posix() for path in there if path not in listed]
        passed |= {inventory.UNLISTED: unlisted, inventory.EMPTY: []}
        return Inventory(split, classes, _tidy(passed))
    passed[inventory.LOOSE] = [path.name for path in listing.loose]
    empty = passed.get(inventory.EMPTY, [])  # of those, the classes that another split has are no news
    passed[inventory.EMPTY] = [name for name in empty if printable(name, NAME) not in classes]
    return Inventory(split, classes, _tidy(passed), listing.nested)


def _tidy(passed: Mapping[Reason, list[str]]) -> dict[Reason, tuple[str, ...]]:
    return {why: tuple(names) for why, names in passed.items() if names}
