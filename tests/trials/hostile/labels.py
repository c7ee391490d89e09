"""Hostile labels without images: code in arrays, bombs, odd columns, other things in the file's place."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.planted import Bomb
from tests.trials.hostile.case import ANY, FOLDER, INSTEAD, Case, instead_of, several

TRAIN, TEST = np.arange(130) % 5, np.arange(40) % 5


def describe(place, file):
    """Let the source have labels of this file instead of images."""
    (place.source / "source.toml").write_text(
        f'[labels]\nfile = "{file}"\n[ensemble]\nfiles = ["runs/*/log.pt"]\n'
    )
    return place.source / file


def npz(place, train, save=np.savez):
    save(describe(place, "labels.npz"), train=train(place) if callable(train) else train, test=TEST)


def csv(place, text):
    describe(place, "labels.csv").write_bytes(text.encode("utf-8", "surrogateescape"))


def parquet(place, make):
    path = describe(place, "labels.parquet")
    splits = ["train"] * len(TRAIN) + ["test"] * len(TEST)
    pq.write_table(pa.table({"split": splits, "label": make([*TRAIN.tolist(), *TEST.tolist()])}), path)


def many_rows(place):
    count = 60_000_000
    split = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), ["test"])
    table = pa.table({"split": split, "label": pa.array(np.zeros(count, np.int8))})
    pq.write_table(table, describe(place, "labels.parquet"), compression="zstd")


ARRAYS = {
    "objects that run code": lambda place: np.array([Bomb(place.marker)] * 130, object),
    "of 2^62": TRAIN + (1 << 62),
    "negative": -TRAIN,
    "NaN": TRAIN * np.nan,
    "infinite": TRAIN + np.inf,
    "a scalar": np.int64(3),
    "one-hot": np.eye(5)[TRAIN],
    "records": np.zeros(130, "i4,i4"),
    "dates": TRAIN.astype("M8[s]"),
    "colored texts": np.array([f"\x1b[31m{label}" for label in TRAIN]),
}
TEXTS = {
    "nothing": "",
    "one quote": 'split,label\ntrain,"0\n',
    "a line of 20 MB": "split,label\ntrain," + "x" * 20_000_000,
    "a million columns": ",".join(["label"] * 1_000_000),
    "no UTF-8": "split,label\ntrain,\udcff\n",
    "zeros": "\0" * 1000,
}
COLUMNS = {
    "lists": lambda labels: [[label] for label in labels],
    "structs": lambda labels: [{"a": label} for label in labels],
    "nulls": lambda labels: [None] * len(labels),
    "a million characters each": lambda labels: [str(label) * 1_000_000 for label in labels],
}


def instead_of_labels(place, make):
    describe(place, "labels.npz").touch()
    instead_of(lambda _: place.source / "labels.npz")(place, make)


CASES = {
    **several("labels", npz, ARRAYS, expected=ANY),
    **several("labels in CSV", csv, TEXTS),
    **several("labels in Parquet", parquet, COLUMNS, expected=ANY),
    **several("instead of labels", instead_of_labels, INSTEAD | FOLDER),
    "labels: zeros that unpack to 800 MB": Case(
        lambda place: npz(place, np.zeros(100_000_000, np.int64), np.savez_compressed)
    ),
    "labels in Parquet: 60 million rows": Case(many_rows),
}
