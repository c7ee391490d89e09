"""What stands in place of an expected file is named by its first bytes, and the advice fits it."""

import bz2
import gzip
import io
import json
import os
import pickle
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.numpy import save

from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError, SourceError
from kernel_core.looks_like import foreign, looks_like
from kernel_core.networks.loading import read_weights
from kernel_core.sources.decode import decode_image
from kernel_core.sources.features import load_features
from kernel_core.sources.images import load_examples
from kernel_core.sources.source import ImagesFrom, penultimate
from kernel_core.sources.toml_file import read_toml

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
PAGE = b"\n<!DOCTYPE html>\n<html><head><title>\n Sign in \xe2\x80\x93 Hub</title></head><body></body></html>"
REFUSAL = b'{"error": "Invalid username or password."}'
TABLE = pa.table({"label": [0, 1]})


def written(write, *arguments, **options):
    buffer = io.BytesIO()
    write(*arguments, buffer, **options) if arguments else write(buffer)
    return buffer.getvalue()


def image(form):
    return written(lambda file: Image.new("RGB", (4, 4)).save(file, form))


def zipped(name):
    def write(file):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, b"x")

    return written(write)


PARQUET = written(pq.write_table, TABLE)
CONTENTS = {
    "a Git LFS pointer": POINTER,
    "an HTML page titled 'Sign in – Hub'": PAGE,
    "an empty file": b"",
    "begins with zeros": bytes(5000),
    "a NumPy array": written(lambda file: np.save(file, np.zeros(3))),
    "a NumPy archive": written(lambda file: np.savez(file, a=np.zeros(3))),
    "a torch file": written(torch.save, {"a": torch.zeros(2)}),
    "a torch file of the format before": written(
        torch.save, {"a": torch.zeros(2)}, _use_new_zipfile_serialization=False
    ),
    "a Python pickle": pickle.dumps({"a": 1}),
    "a zip archive": zipped("a.txt"),
    "a zip archive that is cut short": zipped("a.npy")[:20],
    "compressed by gzip": gzip.compress(PARQUET),
    "compressed by bzip2": bz2.compress(PARQUET),
    "a Parquet file": PARQUET,
    "an Arrow or Feather file": written(lambda file: pyarrow.feather.write_feather(TABLE, file)),
    "a safetensors file": save({"a": np.zeros(3)}),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "an image (PNG)": image("PNG"),
    "an image (JPEG)": image("JPEG"),
    "an image (WebP)": image("WEBP"),
    "a photo or film of a phone": b"\0\0\0\x18ftypheic" + bytes(20),
    "text in UTF-16": "[images]".encode("utf-16"),
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "JSON": REFUSAL,
    "plain text": b"Not found\n",
}


@pytest.mark.parametrize("what", CONTENTS)
def test_file_is_named_by_its_first_bytes(tmp_path, what):
    path = tmp_path / "file"
    path.write_bytes(CONTENTS[what])
    looks = looks_like(path)
    assert what in looks.what
    assert looks.form
    assert looks.advice
    assert not looks.advice.endswith(".")


def test_nothing_is_known_of_other_bytes_and_of_what_is_no_file(tmp_path):
    (tmp_path / "data").write_bytes(bytes(range(256)))
    for path in (tmp_path / "data", tmp_path, tmp_path / "absent", tmp_path / "a\0b"):
        assert looks_like(path) == looks_like(b"") == looks_like(bytes(range(1, 256)))
        assert foreign(path, "x", "a file") == ""


def test_text_is_quoted_in_a_few_printable_characters(tmp_path):
    (tmp_path / "file").write_bytes(b"a\t\n" + "猫".encode() * 10_000)
    looks = looks_like(tmp_path / "file")
    assert looks.what.isprintable()
    assert len(looks.what) < 100


def as_parquet(path):
    return load_examples(ImagesFrom("parquet", shards={"test": (path,)}, splits=("test",)), "test")


READERS = {
    "log.pt": lambda path: open_ensemble((path,)),
    "features.safetensors": lambda path: load_features(penultimate(path)),
    "weights.safetensors": read_weights,
    "weights.pth": read_weights,
    "test.parquet": as_parquet,
    "image.png": lambda path: decode_image(path, str(path)),
    "source.toml": read_toml,
}
FOREIGN = {
    "lfs": (POINTER, "is a Git LFS pointer .* Run git lfs pull"),
    "html": (PAGE, "is an HTML page titled .* login or error page"),
    "empty": (b"", "is an empty file"),
    "gzip": (gzip.compress(PARQUET), "compressed by gzip.* gunzip"),
    "zeros": (bytes(1000), "begins with zeros alone"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", READERS)
def test_reader_says_what_it_found_instead(tmp_path, name, kind):
    content, message = FOREIGN[kind]
    if name == "source.toml" and kind in ("lfs", "html", "empty"):
        return  # text is what is expected there; an empty one lacks its sections
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, SourceError), match=message) as refused:
        READERS[name](tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)
    assert "expected" in str(refused.value)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
@pytest.mark.parametrize("name", ["log.pt", "weights.safetensors", "test.parquet"])
def test_name_that_is_not_utf_8_is_said_to_be_the_fault(tmp_path, name):
    path = tmp_path / os.fsdecode(b"\xff name") / name
    path.parent.mkdir()
    content = save({"train": np.zeros((3, 2), np.float32), "test": np.zeros((3, 2), np.float32)})
    path.write_bytes(CONTENTS["a torch file"] if "pt" in name else PARQUET if "parquet" in name else content)
    with pytest.raises(DataError, match=r"its name is not UTF-8\. Rename it") as refused:
        READERS[name](path)
    assert "again" not in str(refused.value)


@pytest.mark.parametrize(("content", "what"), [(POINTER, "a Git LFS pointer"), (PAGE, "an HTML page")])
def test_description_that_is_a_pointer_or_a_page_is_named(tmp_path, content, what):
    (tmp_path / "source.toml").write_bytes(content)
    with pytest.raises(SourceError, match=what):
        read_toml(tmp_path / "source.toml")


def test_description_in_utf_16_is_named_and_one_with_a_fault_shows_the_fault(tmp_path):
    path = tmp_path / "source.toml"
    path.write_bytes("[images]\n".encode("utf-16"))
    with pytest.raises(
        SourceError, match=r"text in UTF-16; expected a description in TOML. Save it as UTF-8"
    ):
        read_toml(path)
    path.write_bytes(json.dumps({"images": {}}).encode())
    with pytest.raises(SourceError, match="cannot be read as TOML"):
        read_toml(path)
