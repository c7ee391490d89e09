"""A hostile case: how it is made, and how the program may end."""

import os
from dataclasses import dataclass
from pathlib import Path

REFUSED, ANY = (1,), (0, 1)
SECRET = "nobody may read this"


@dataclass(frozen=True)
class Place:
    """Where a case is made.

    source: folder of a good source, to be spoiled. marker: nothing is there; a folder or a file proves that
    code was run. secret: a file beside the source that holds `SECRET`.
    """

    source: Path
    marker: Path
    secret: Path


@dataclass(frozen=True)
class Case:
    """make: function of a `Place` that spoils its source, and may return the arguments to run instead.

    images: "parquet" or "folder". expected: the exit statuses that are right.
    """

    make: object
    expected: tuple = REFUSED
    images: str = "parquet"


def several(title, make, values, expected=REFUSED, images="parquet"):
    """Return one case per value, as a part of `CASES`. make: function of a `Place` and a value."""
    return {
        f"{title}: {name}": Case(lambda place, value=value: make(place, value), expected, images)
        for name, value in values.items()
    }


INSTEAD = {
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a link to /dev/zero": lambda path, _: path.symlink_to("/dev/zero"),
    "a link to another's file": lambda path, place: path.symlink_to(place.secret),
}
"""What stands in the place of any file: name → function that makes it, of a path and a `Place`."""
FOLDER = {"a folder": lambda path, _: path.mkdir()}
LOOP = {"a link to itself": lambda path, _: path.symlink_to(path)}


def instead_of(find):
    """Return a maker, of a `Place` and a value of `INSTEAD`, that replaces a file. find: place → its path."""

    def replaced(place, make):
        path = find(place)
        path.unlink()
        make(path, place)

    return replaced
