"""Hostile Parquet files: bombs, odd columns, labels and class names; torchvision's files that are pickles."""

import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.planted import Bomb, png
from tests.trials.hostile.case import ANY, FOLDER, INSTEAD, Case, instead_of, several
from tests.trials.hostile.logs import deep

FILE = "test.parquet"
ROWS = 40
CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def read(place):
    return pq.read_table(place.source / FILE)


def write(place, cells, labels, **options):
    """Write the columns as they are, with the metadata of the good file."""
    table = pa.table({"img": cells, "label": labels}).replace_schema_metadata(read(place).schema.metadata)
    pq.write_table(table, place.source / FILE, **options)


def with_labels(place, make):
    write(place, read(place)["img"], make(np.arange(ROWS) % 5))


def with_cells(place, make):
    write(place, make(place), read(place)["label"], compression="zstd")


def cells_of(contents, path=None):
    return pa.array([{"bytes": content, "path": path} for content in contents], CELL)


def null_rows(place, count):
    cells = pa.StructArray.from_arrays(
        [pa.nulls(count, pa.binary()), pa.nulls(count, pa.string())], ["bytes", "path"]
    )
    write(place, cells, pa.array(np.zeros(count, np.int64)), compression="zstd")


LABELS = {
    "of two billion": lambda labels: pa.array(np.where(labels == 1, 2_000_000_000, labels)),
    "of 2^62": lambda labels: pa.array(np.where(labels == 1, 1 << 62, labels)),
    "beyond int64": lambda labels: pa.array(np.full(len(labels), 2**64 - 1, np.uint64)),
    "negative": lambda labels: pa.array(-labels),
    "texts": lambda labels: pa.array([str(label) for label in labels]),
    "colored texts": lambda labels: pa.array([f"\x1b[31m{label}" for label in labels]),
    "null": lambda labels: pa.nulls(len(labels), pa.int64()),
    "NaN": lambda labels: pa.array(np.full(len(labels), np.nan)),
    "lists": lambda labels: pa.array([[int(label)] for label in labels]),
    "structs": lambda labels: pa.array([{"a": int(label)} for label in labels]),
    "dates": lambda labels: pa.array(labels, pa.timestamp("s")),
    "bytes": lambda labels: pa.array([b"\xff\x00"] * len(labels)),
}
CELLS = {
    "two cells of 512 MB": lambda _: cells_of([bytes(1 << 29)] * 2 + [b"x"] * (ROWS - 2)),
    "one cell of 100 MB in every row": lambda _: cells_of([bytes(100 << 20)] * 10 + [b"x"] * (ROWS - 10)),
    "bytes of another's file by its path": lambda place: cells_of([None] * ROWS, str(place.secret)),
    "paths to a device": lambda _: cells_of([None] * ROWS, "/dev/zero"),
    "numbers": lambda _: pa.array(range(ROWS)),
    "bare bytes": lambda _: pa.array([b"x"] * ROWS),
    "lists": lambda _: pa.array([[1, 2]] * ROWS),
    "nulls": lambda _: pa.nulls(ROWS, CELL),
    "maps": lambda _: pa.array([[("bytes", b"x")]] * ROWS, pa.map_(pa.string(), pa.binary())),
    "structs of fifty levels": lambda _: pa.array([deep(lambda x: {"bytes": x or 1}, 50)] * ROWS),
    "images of another size in each row": lambda _: cells_of(
        [png(np.zeros((n + 1, 8, 3), np.uint8)) for n in range(ROWS)]
    ),
}


def named(place, names):
    features = {"img": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    about(place, json.dumps({"info": {"features": features}}))


def about(place, text):
    """Set the text of the metadata that names the classes."""
    for name in ("train.parquet", FILE):
        table = pq.read_table(place.source / name)
        pq.write_table(table.replace_schema_metadata({"huggingface": text}), place.source / name)


NAMES = {
    "that a terminal obeys": ["\x1b[31mred", "\x1b]0;title\x07", "a\0b", "a\r\nb", "\u202eleft"],
    "of markup": ["<script>alert(1)</script>", "[x](javascript:alert(1))", "$$x$$", "**b**", ":red[x]"],
    "of a megabyte": ["x" * 10**6, *"abcd"],
    "that are half characters": ["\ud800", *"abcd"],
    "that are empty": ["", "", "", "", ""],
    "that are numbers": [1, 2.5, None, True, []],
    "a million of them": [str(n) for n in range(10**6)],
    "none of them": [],
    "a dict": {"a": 1},
}
ABOUT = {
    "no JSON": "{",
    "a number": "3",
    "deep": "[" * 100_000 + "]" * 100_000,
    "features that are a list": '{"info": {"features": [1]}}',
    "a number of a hundred thousand digits": '{"info": ' + "9" * 100_000 + "}",
}


def footer(place, change):
    path = place.source / FILE
    path.write_bytes(change(path.read_bytes()))


FOOTERS = {
    "whose length is 2 GB": lambda c: c[:-8] + b"\xff\xff\xff\x7f" + c[-4:],
    "whose length is 0": lambda c: c[:-8] + bytes(4) + c[-4:],
    "of an encrypted file": lambda c: b"PARE" + c[4:-4] + b"PARE",
    "of zeros": lambda c: c[:-300] + bytes(292) + c[-8:],
    "that claims many rows": lambda c: c[:-100] + b"\xff" * 80 + c[-20:],
}


IN_ITS_PLACE = {
    **INSTEAD,
    **FOLDER,
    "empty": lambda path, _: path.write_bytes(b""),
    "a CSV file": lambda path, _: path.write_text("img,label\n1,2\n"),
}


def many_groups(place):
    """Write thousands of empty parts and one column twice as wide as any sense."""
    table = read(place)
    with pq.ParquetWriter(place.source / FILE, table.schema) as writer:
        for _ in range(20_000):
            writer.write_table(table.slice(0, 0))


def torchvision_pickles(place):
    """Name torchvision's CIFAR-10, whose files are pickles that would run code."""
    folder = place.source / "data/cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"):
        (folder / name).write_bytes(pickle.dumps(Bomb(place.marker)))
    (place.source / "source.toml").write_text(
        '[images]\ntorchvision = "CIFAR10"\nroot = "data"\n[ensemble]\nfiles = ["runs/*/log.pt"]\n'
    )


CASES = {
    **several("Parquet labels", with_labels, LABELS, ANY),
    **several("Parquet cells", with_cells, CELLS),
    **several("Parquet null rows", null_rows, {"a million": 10**6, "a hundred million": 10**8}),
    **several("class names", named, NAMES, ANY),
    **several("Parquet metadata", about, ABOUT, ANY),
    **several("Parquet footer", footer, FOOTERS),
    **several("Parquet file is", instead_of(lambda place: place.source / FILE), IN_ITS_PLACE),
    "Parquet of twenty thousand parts": Case(many_groups),
    "torchvision's files with code": Case(torchvision_pickles),
}
