"""Only regular files are opened; small texts are read whole, and large ones not at all."""

import os
import re
import shutil
import socket
from types import SimpleNamespace

import pytest

from kernel_core.errors import DataError, KernelExplorerError
from kernel_core.files import TEXT_LIMIT, read_json, read_text, regular_file
from kernel_core.pipeline import build
from kernel_core.sources.source import SourceRequest


@pytest.fixture
def odd(tmp_path):
    """Paths that lead to no regular file, by what they lead to."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)  # the path of a socket has at most 108 bytes
        listener.bind("socket")
        yield {
            "a pipe": tmp_path / "pipe",
            "a folder": tmp_path / "folder",
            "a device": tmp_path / "zero",
            "a socket": tmp_path / "socket",
            "cannot be read (Too many levels of symbolic links)": tmp_path / "loop",
            "does not exist": tmp_path / "dangling",
            "cannot be read (File name too long)": tmp_path / ("a" * 5000),
            "cannot be read (embedded null byte)": tmp_path / "a\0b",
        }


def test_only_a_regular_file_or_a_link_to_one_is_opened(odd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, path in odd.items():
        with pytest.raises(DataError, match=re.escape(f" {kind}")):
            regular_file(path)
        with pytest.raises((OSError, ValueError)):
            read_text(path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert regular_file(tmp_path / "link").read_text() == "x"


@pytest.mark.parametrize(
    "place", ["runs/a/log.pt", "train.parquet", "penultimate.safetensors", "source.toml"]
)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_source_with_a_pipe_or_a_device_is_refused(source_folder, cache, place, kind):
    """A build that opened it would never end."""
    path = source_folder / place
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(KernelExplorerError, match=f"is a {kind}|no such file exists|cannot be read"):
        build(SourceRequest(str(source_folder / "source.toml")))


def test_file_larger_than_its_disk_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "log.pt"
    path.touch()
    os.truncate(path, 3_000_000_000)
    assert regular_file(path) == path
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=2_000_000_000))
    with pytest.raises(DataError, match=r"log\.pt is 3 GB on a disk of 2 GB; expected a file"):
        regular_file(path)


def test_large_or_deep_text_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(path)
    os.truncate(path, TEXT_LIMIT + 1)
    with pytest.raises(ValueError, match="it has 10 MB; expected at most 10"):
        read_text(path)
