"""What lies in one split's folder: images by class, in torchvision's order, and what is passed over."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kernel_core.errors import DataError
from kernel_core.sources import inventory
from kernel_core.sources.inventory import Reason
from kernel_core.sources.source import ImagesFrom, existing
from kernel_core.spec import Split

# Those of torchvision.datasets.folder.IMG_EXTENSIONS, in lower case: another set would shift the examples.
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
METADATA = "metadata.csv"
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation", "dev", "eval")
FOLDER_LIMIT = 1_000_000  # folders in a class; ones that link to one another can have any number


@dataclass(frozen=True)
class Listing:
    """The files of one split.

    classes: name of a class folder → its images in order, those in nested folders too; may have none.
    loose: images that lie in no class folder, in order.
    passed_over: as in `Inventory`.
    """

    folder: Path
    classes: dict[str, list[Path]]
    loose: list[Path]
    passed_over: dict[Reason, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def nested(self) -> int:
        """Number of images that lie deeper than in their class's folder."""
        top = {name: self.folder / name for name in self.classes}
        return sum(path.parent != top[name] for name, paths in self.classes.items() for path in paths)


def list_split(source: ImagesFrom, split: Split) -> Listing:
    """List a split's folder without reading a file. Raises `DataError` if it cannot be listed."""
    folder = split_folder(source, split)
    listing = Listing(folder, {}, [])
    for name, is_folder in _entries(folder, listing):
        if is_folder:
            listing.classes[name] = list(_walk(folder, name, listing))
        elif name.lower().endswith(ENDINGS):
            listing.loose.append(folder / name)
        elif name != METADATA:
            listing.passed_over[inventory.ENDING].append(name)
    return listing


def split_folder(source: ImagesFrom, split: Split) -> Path:
    """Return the folder of a split. Raises `DataError` that says which folders there are instead."""
    root, wanted = source.paths["folder"], [source.split_names.get(s, s) for s in source.splits]
    folder = root / source.split_names.get(split, split)
    if folder.is_dir():
        return folder
    existing(root)
    try:
        entries = [entry for entry in os.scandir(root) if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{root} cannot be read ({error.strerror}); expected a folder of images.") from None
    found = sorted(entry.name for entry in entries if entry.is_dir())
    images = sum(entry.name.lower().endswith(ENDINGS) for entry in entries)
    inside = [name for name in found if all((root / name / split).is_dir() for split in wanted)]
    said = [f"the folders {_listed(found)}"] if found else ["no folders"]
    said += [f"{images:,} images"] if images else []
    raise DataError(
        f"{root} has {' and '.join(said)}; expected {' and '.join(wanted)}, each with a folder per class. "
        + (f"Name {root / inside[0]} instead, which has them." if inside else _advice(found, source.splits))
    )


def _advice(found: list[str], splits: tuple[Split, ...]) -> str:
    """Return how to say which folder is which, for the folders that there are."""
    guesses = {
        split: [name for name in found if name.lower() in names]
        for split, names in (("train", TRAIN_NAMES), ("test", TEST_NAMES))
        if split in splits
    }
    if not any(guesses.values()):
        return 'Move the images there, or name the folders in [images], as in splits = {test = "val"}.'
    pairs = ", ".join(f'{split} = "{(names or ["…"])[0]}"' for split, names in guesses.items())
    return f"If these are they, write splits = {{{pairs}}} under [images] of a source.toml."


def _listed(names: list[str], limit: int = 6) -> str:
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")


def _walk(folder: Path, class_name: str, listing: Listing) -> Iterator[Path]:
    """Yield the images in a class's folder and the folders in it, in the order of torchvision's ImageFolder.

    It sorts the paths of the folders as text, and the names in each. Links to folders are followed.
    """
    found: list[tuple[str, list[str]]] = []
    start = frozenset(_identity(path) for path in (folder, *folder.absolute().parents))
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(class_name, start)]
    while waiting:
        here, above = waiting.pop()
        try:
            this = _identity(folder / here)
        except OSError:
            listing.passed_over[inventory.UNREADABLE].append(here)
            continue
        if this in above:
            listing.passed_over[inventory.LOOP].append(here)
            continue
        entries = _entries(folder / here, listing)
        waiting += [(f"{here}/{name}", above | {this}) for name, is_folder in entries if is_folder]
        found.append((here, [name for name, is_folder in entries if not is_folder]))
        if len(found) > FOLDER_LIMIT:
            raise DataError(
                f"{folder / class_name} holds more than {FOLDER_LIMIT:,} folders; are they links?"
            )
    for here, names in sorted(found):
        place = folder / here
        for name in names:
            if name.lower().endswith(ENDINGS):
                yield place / name
            else:
                listing.passed_over[inventory.ENDING].append(f"{here}/{name}")
    if not any(name.lower().endswith(ENDINGS) for _, names in found for name in names):
        listing.passed_over[inventory.EMPTY].append(class_name)


def _identity(folder: Path) -> tuple[int, int]:
    """Return what tells a folder from every other, by whatever path. Raises `OSError`."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _entries(folder: Path, listing: Listing) -> list[tuple[str, bool]]:
    """Return name and whether it is a folder of each entry, by name; note those that are passed over."""
    place = folder.relative_to(listing.folder).as_posix()
    try:
        entries = sorted((entry.name, entry.is_dir()) for entry in os.scandir(folder))
    except OSError as error:
        if folder == listing.folder:
            raise DataError(f"{folder} cannot be read ({error.strerror}); expected class folders.") from None
        listing.passed_over[inventory.UNREADABLE].append(place)
        return []
    names = [name if place == "." else f"{place}/{name}" for name, _ in entries if name.startswith(".")]
    if names:
        listing.passed_over[inventory.DOT] += names
    return [(name, is_folder) for name, is_folder in entries if not name.startswith(".")]
