"""The files of a worker are those of the machine of the command, or one of them is named."""

import pytest

from kernel_core.engines import files
from kernel_core.errors import DataError
from kernel_core.files import sha256_of
from kernel_core.results.store import Store


@pytest.fixture
def path(tmp_path):
    (tmp_path / "logits.npy").write_bytes(b"these")
    return tmp_path / "logits.npy"


@pytest.fixture(autouse=True)
def new_process():
    files._sha256.cache_clear()
    files._this_node.cache_clear()
    yield
    files._this_node.cache_clear()


def test_a_file_of_another_content_is_named(path, tmp_path):
    files.check_files([path], [sha256_of(path)], tmp_path / "cache")
    with pytest.raises(DataError, match=r"logits\.npy has the SHA-256 .* shared disk\.$"):
        files.check_files([path], ["0" * 64], tmp_path / "cache")
    with pytest.raises(DataError, match="does not exist"):
        files.check_files([tmp_path / "other.npy"], ["0" * 64], tmp_path / "cache")


def test_the_processes_of_a_node_read_a_large_file_once(path, tmp_path, monkeypatch):
    cache, read, right = tmp_path / "cache", [], sha256_of(path)
    cache.mkdir()
    monkeypatch.setattr(files, "LARGE", 1)
    monkeypatch.setattr(files, "sha256_of_runs", lambda path, _: read.append(path) or sha256_of(path))

    def check_in_a_new_process(on):
        monkeypatch.setattr(files.socket, "gethostname", lambda: on)
        files._sha256.cache_clear()
        files._this_node.cache_clear()
        files.check_files([path], [right], cache)

    for node in ("a", "a", "b", "b"):
        check_in_a_new_process(node)
    assert len(read) == 2, "each node reads its own copy"
    path.write_bytes(b"others")
    with pytest.raises(DataError, match="has the SHA-256"):
        check_in_a_new_process("a")
    assert len(list((Store(cache).root / "hashes").iterdir())) == 3
