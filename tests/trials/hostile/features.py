"""Hostile files of features: safetensors headers that lie, odd types, other things in their place."""

import json
import os
import pickle
import struct

import numpy as np
from safetensors.numpy import save_file

from tests.support.planted import Bomb
from tests.trials.hostile.case import ANY, FOLDER, INSTEAD, Case, instead_of, several

FILE = "penultimate.safetensors"
TEST, TRAIN = 40, 130  # examples


def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write(place, header, body=bytes(64)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (place.source / FILE).write_bytes(struct.pack("<Q", len(text)) + text + body)


LYING = {
    "overlapping tensors": {"train": tensor([16], 0, 64), "test": tensor([16], 0, 64)},
    "negative offsets": {"train": tensor([16], -64, 0)},
    "offsets in reverse": {"train": tensor([16], 64, 0)},
    "a shape beyond the file": {"train": tensor([TRAIN, 1 << 40], 0, TRAIN << 42)},
    "a shape that overflows": {"train": tensor([1 << 62, 8], 0, 64), "test": tensor([0], 64, 64)},
    "a negative shape": {"train": tensor([-16], 0, 64)},
    "a shape of texts": {"train": tensor(["16"], 0, 64)},
    "an unknown type": {"train": tensor([16], 0, 64, "F1024")},
    "no tensor": {},
    "a list": [1, 2],
    "deep lists": b"[" * 200_000 + b"]" * 200_000,
    "keys twice": b'{"train":{},"train":{}}',
    "50 MB of spaces": b" " * (50 << 20),
    "what is no JSON": b"\xff\xfe\x00",
}


def of_type(place, dtype):
    size = {"F64": 8, "U64": 8, "I64": 8, "BF16": 2}.get(dtype, 1)
    middle, end = TEST * 2 * size, (TEST + TRAIN) * 2 * size
    header = {"test": tensor([TEST, 2], 0, middle, dtype), "train": tensor([TRAIN, 2], middle, end, dtype)}
    write(place, header, bytes(end))


def of_values(place, make, **metadata):
    content = {"test": make(TEST), "train": make(TRAIN)}
    save_file(content, place.source / FILE, {"run": "0", "layer": "last", **metadata})


VALUES = {
    "no width": lambda n: np.zeros((n, 0), np.float32),
    "one dimension": lambda n: np.zeros(n, np.float32),
    "three dimensions": lambda n: np.zeros((n, 2, 2), np.float32),
    "a scalar": lambda n: np.array(n, np.float32),
    "NaN": lambda n: np.full((n, 3), np.nan, np.float32),
    "infinite values": lambda n: np.full((n, 3), np.inf, np.float32),
    "values of 1e300": lambda n: np.full((n, 3), 1e300),
    "constant values": lambda n: np.ones((n, 3), np.float32),
}
METADATA = {
    "a layer that a terminal obeys": {"layer": "\x1b[31m\x1b]0;title\x07\0\n<b>"},
    "a layer of a megabyte": {"layer": "x" * 10**6},
    "a run that is no number": {"run": "../../x"},
    "a run of ten thousand digits": {"run": "9" * 10_000},
    "a run that no ensemble has": {"run": "-1"},
}


def with_metadata(place, metadata):
    of_values(place, lambda n: np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32), **metadata)


IN_ITS_PLACE = {
    **INSTEAD,
    **FOLDER,
    "a pickle": lambda path, place: path.write_bytes(pickle.dumps(Bomb(place.marker))),
    "empty": lambda path, _: path.write_bytes(b""),
    "a length of 2^62": lambda path, _: path.write_bytes(struct.pack("<Q", 1 << 62) + b"{}"),
    "a length of 0": lambda path, _: path.write_bytes(bytes(8)),
}

CASES = {
    **several("features' header with", write, LYING),
    **several(
        "features of type",
        of_type,
        {t: t for t in ("I8", "BOOL", "F8_E4M3", "I64", "U64", "F64", "BF16")},
        ANY,
    ),
    **several("features with", of_values, VALUES, ANY),
    **several("features name", with_metadata, METADATA, ANY),
    **several("features are", instead_of(lambda place: place.source / FILE), IN_ITS_PLACE),
    "features larger than the disk": Case(lambda place: os.truncate(place.source / FILE, 1 << 40)),
}
