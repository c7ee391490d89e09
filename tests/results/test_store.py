"""The cache: atomic, content-keyed, safe to damage, to fill, to delete, and to share."""

import errno
import logging
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from kernel_core.errors import StoreError
from kernel_core.results import store as store_module
from kernel_core.results.hashes import hash_files
from kernel_core.results.store import Store, key_of
from kernel_core.results.upkeep import clear, list_entries, prune
from kernel_core.tensor_layout import Form

ARRAYS = {"indices": np.arange(12, dtype=np.int32).reshape(3, 4), "values": np.ones((3, 4), np.float32)}


def write(store, key="k" * 32, arrays=ARRAYS):
    store.write("neighbors", key, arrays, {"note": "été"}, about="a test")
    return store.path("neighbors", key)


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path)
    write(store)
    arrays, meta = store.read("neighbors", "k" * 32)
    assert meta == {"note": "été"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_missing_entry_is_none_and_makes_no_folder(tmp_path):
    assert Store(tmp_path / "none").read("neighbors", "0" * 32) is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped byte", "empty", "not safetensors", "another key"])
def test_damaged_entry_is_none_with_one_warning_and_can_be_written_again(tmp_path, caplog, damage):
    store = Store(tmp_path)
    path = write(store)
    whole = path.read_bytes()
    content = {
        "truncated": whole[:-5],
        "flipped byte": whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:],
        "empty": b"",
        "not safetensors": b"\x00" * 200,
        "another key": whole.replace(b"k" * 32, b"j" * 32),
    }
    path.write_bytes(content[damage])
    with caplog.at_level(logging.WARNING):
        assert store.read("neighbors", "k" * 32) is None
        assert store.read("neighbors", "k" * 32) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text
    write(store)
    assert store.read("neighbors", "k" * 32) is not None


def test_an_entry_is_not_blamed_for_a_lack_of_memory(tmp_path, monkeypatch):
    store = Store(tmp_path)
    path = write(store)

    def lack(*_args, **_options):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    for where, look in (
        ("read_layout", lambda: store.read("neighbors", "k" * 32)),
        ("mapped_arrays", lambda: store.map_all("neighbors", "k" * 32)),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(store_module, where, lack)
            with pytest.raises(OSError, match="Cannot allocate memory"):
                look()
        assert path.exists()


def test_key_depends_on_content_and_format(monkeypatch):
    key = key_of({"spec": {"k": 50}, "files": [["a", "1"]]})
    assert key == key_of({"files": [["a", "1"]], "spec": {"k": 50}})
    assert key != key_of({"spec": {"k": 50}, "files": [["a", "2"]]})
    monkeypatch.setattr("kernel_core.results.store.FORMAT", 99)
    assert key != key_of({"spec": {"k": 50}, "files": [["a", "1"]]})


def test_full_disk_leaves_what_was_there(tmp_path):
    """A file size limit stands for a full disk: the write fails midway with an OSError."""
    write(Store(tmp_path))
    script = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from kernel_core.errors import StoreError
        from kernel_core.results.store import Store
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            Store(Path(sys.argv[1])).write("neighbors", "k" * 32, {"x": np.zeros(10**6)}, {}, about="large")
        except StoreError as error:
            print(error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "Cannot write to the cache" in done.stdout
    assert "nothing there was changed" in done.stdout
    assert [p.name for p in (tmp_path / "neighbors").iterdir()] == ["k" * 32 + ".safetensors"]
    np.testing.assert_array_equal(
        Store(tmp_path).read("neighbors", "k" * 32)[0]["indices"], ARRAYS["indices"]
    )


def test_unwritable_folder_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="KERNEL_EXPLORER_CACHE"):
        write(Store(tmp_path / "file" / "cache"))
    with (
        pytest.raises(StoreError, match="KERNEL_EXPLORER_CACHE"),
        Store(tmp_path / "file" / "cache").lock("x"),
    ):
        pass


def test_interrupted_write_leaves_no_entry(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(Store(tmp_path))
    assert list((tmp_path / "neighbors").iterdir()) == []


def test_folder_without_files_has_a_hash_too(tmp_path):
    store = Store(tmp_path / "cache")
    assert hash_files(store, []) == hash_files(store, [])


def test_hash_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    store, file = Store(tmp_path / "cache"), tmp_path / "log.pt"
    file.write_bytes(b"one")
    first = hash_files(store, [file])
    reads = []
    hashing = "kernel_core.results.hashes.sha256_of_runs"
    monkeypatch.setattr(hashing, lambda path, _: reads.append(path) or "0" * 64)
    assert hash_files(store, [file]) == first
    assert not reads
    file.write_bytes(b"another")
    assert hash_files(store, [file]) != first
    assert reads == [file]


def test_prune_removes_damaged_unused_and_abandoned(tmp_path):
    store = Store(tmp_path)
    kept, damaged, old = (write(store, letter * 32) for letter in "abc")
    damaged.write_bytes(b"x")
    os.utime(old, (0, 0))
    abandoned = kept.with_name(f"{kept.name}.{'0' * 32}.tmp")
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "old.lock").touch()
    assert set(prune(store, 30)) == {damaged, old, abandoned}
    assert [entry.path for entry in list_entries(store)] == [kept]
    assert not list((tmp_path / "locks").iterdir())


def test_a_cache_that_cannot_be_written_is_listed(tmp_path, monkeypatch):
    path = write(Store(tmp_path))

    def refuse(*_args, **_options):
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert [entry.path for entry in list_entries(Store(tmp_path))] == [path]


def test_listing_is_no_use_and_reading_is(tmp_path):
    store = Store(tmp_path)
    path = write(store)
    os.utime(path, (0, 0))
    for _ in range(2):
        assert [entry.used for entry in list_entries(store)] == [0]
    store.read("neighbors", "k" * 32)
    assert list_entries(store)[0].used > 0
    assert path.stat().st_mtime == 0


def test_a_lock_leaves_no_file_and_a_held_one_stays(tmp_path):
    store = Store(tmp_path)
    with store.lock("key"):
        (file,) = (tmp_path / "locks").iterdir()
        clear(store)
        assert file.exists()
    assert not file.exists()


def test_a_file_where_a_folder_belongs_and_a_folder_where_a_lock_does_heal(tmp_path):
    store = Store(tmp_path)
    for name in ("neighbors", "locks"):
        (tmp_path / name).write_text("in the way")
    write(store)
    with store.lock("key"):
        pass
    (tmp_path / "locks" / "key.lock").mkdir()
    with store.lock("key"):
        assert (tmp_path / "locks" / "key.lock").is_file()
    assert store.read("neighbors", "k" * 32) is not None


def test_a_cache_that_is_no_folder_is_said(tmp_path):
    (tmp_path / "file").touch()
    for command in (list_entries, clear, lambda store: prune(store, 1)):
        with pytest.raises(StoreError, match=r"is not a folder. Set KERNEL_EXPLORER_CACHE"):
            command(Store(tmp_path / "file"))


def folder(path):
    path.mkdir()
    (path / "x").write_text("x")


IN_THE_WAY = {
    "folder": folder,
    "loop": lambda path: path.symlink_to(path),
    "dangling": lambda path: path.symlink_to(path.parent / "nothing"),
    "fifo": os.mkfifo,
}


@pytest.mark.parametrize("harm", IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_anything_in_the_place_of_an_entry_is_damage_that_heals(tmp_path, caplog, harm):
    store = Store(tmp_path)
    path = write(store)
    read = {
        "read": lambda: store.read("neighbors", "k" * 32),
        "map": lambda: store.map("neighbors", "k" * 32, "values"),
    }
    for look in read.values():
        path.unlink()
        harm(path)
        assert not store.has("neighbors", "k" * 32)
        assert look() is None
        assert look() is None
        assert not os.path.lexists(path)
        write(store)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    for remedy in (lambda: prune(store, 1), lambda: clear(store), lambda: write(store)):
        path.unlink(missing_ok=True)
        harm(path)
        assert [entry.about for entry in list_entries(store)] == [""]
        remedy()
        assert store.has("neighbors", "k" * 32) or not os.path.lexists(path)


def test_clear_removes_entries_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    write(store)
    (tmp_path / "README.md").write_text("stays")
    assert len(clear(store)) == 1
    assert list_entries(store) == []
    assert (tmp_path / "README.md").exists()


def test_reader_in_the_cache_readme_works(tmp_path):
    """The five documented lines, run as they stand there."""
    readme = (Path(__file__).parents[2] / "cache" / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 5
    path = write(Store(tmp_path))
    names = {}
    exec(code.replace("cache/neighbors/KEY.safetensors", str(path)), names)  # noqa: S102
    np.testing.assert_array_equal(names["indices"], ARRAYS["indices"])
    np.testing.assert_array_equal(names["values"], ARRAYS["values"])
    assert names["entry"]["meta"] == {"note": "été"}


BLOCKS = [np.arange(24, dtype=np.float16).reshape(2, 3, 4), np.full((1, 3, 4), -7, np.float16)]


def write_blocks(store, blocks=BLOCKS, rows=3):
    store.write_blocks("rows", "k" * 32, "rows", (rows, 3, 4), iter(blocks), about="in blocks")
    return store.path("rows", "k" * 32)


def test_entry_written_in_blocks_is_mapped_and_read_like_any_other(tmp_path):
    store = Store(tmp_path)
    path = write_blocks(store)
    mapped = store.map("rows", "k" * 32, "rows")
    assert isinstance(mapped, np.memmap)
    assert mapped.offset % 64 == 0
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, np.concatenate(BLOCKS))
    arrays, _meta = store.read("rows", "k" * 32)  # checks the SHA-256
    np.testing.assert_array_equal(arrays["rows"], mapped)
    assert ("in blocks", path) in [(entry.about, entry.path) for entry in list_entries(store)]
    assert store.map("rows", "x" * 32, "rows") is None


@pytest.mark.parametrize("size", [5, 40, 200, -1])
def test_map_of_a_file_cut_short_counts_as_none_with_one_warning(tmp_path, caplog, size):
    store = Store(tmp_path)
    path = write_blocks(store)
    path.write_bytes(path.read_bytes()[:size])
    assert store.map("rows", "k" * 32, "rows") is None
    assert len(caplog.records) == 1
    assert not path.exists()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_blocks_of_other_types_come_back_as_they_were(tmp_path, dtype):
    store, values = Store(tmp_path), np.arange(60, dtype=dtype).reshape(5, 3, 4)
    store.write_blocks(
        "images", "k" * 32, "of", values.shape, (values[:2], values[2:]), about="", dtype=dtype
    )
    mapped = store.map("images", "k" * 32, "of")
    assert mapped.dtype == dtype
    np.testing.assert_array_equal(mapped, values)
    np.testing.assert_array_equal(store.read("images", "k" * 32)[0]["of"], values)


def flip(path, byte=-3):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


def test_mapped_entry_is_compared_with_its_checksum_when_its_file_changed(tmp_path, caplog, monkeypatch):
    store = Store(tmp_path)
    path = write_blocks(store)
    compared = []
    digest = store_module.digest_of_file

    def noted(file, forms, first):
        compared.extend(forms)
        return digest(file, forms, first)

    monkeypatch.setattr(store_module, "digest_of_file", noted)

    def look():
        compared.clear()
        return store.map("rows", "k" * 32, "rows") is not None, compared

    assert look() == (True, []), "known from its writing"
    assert look() == (True, []), "not changed by being used"
    os.utime(path, (1, 1))
    assert look() == (True, ["rows"])
    assert look() == (True, [])
    flip(path)
    assert look() == (False, ["rows"])
    assert "does not match its checksum" in caplog.text
    assert not path.exists()


def test_blocks_that_fail_on_the_way_leave_nothing(tmp_path):
    def blocks():
        yield BLOCKS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_blocks(Store(tmp_path), blocks())
    with pytest.raises(AssertionError):
        write_blocks(Store(tmp_path), BLOCKS[:1])
    assert list((tmp_path / "rows").iterdir()) == []


FORMS = {
    "b": Form.of((5, 3), np.float32),
    "a": Form.of((4,), np.uint8),
    "none": Form.of((0, 7), np.int64),
    "rows": Form.of((6, 2, 2), np.float16),
    "flags": Form.of((3, 0), np.bool_),
}
WHOLE = {
    name: np.arange(np.prod(form.shape), dtype=np.int64).reshape(form.shape).astype(form.dtype)
    for name, form in FORMS.items()
}


def in_order():
    for name in sorted(WHOLE):
        yield name, 0, WHOLE[name]


def backwards():
    for name in reversed(WHOLE):
        for row in reversed(range(len(WHOLE[name]))):
            yield name, row, WHOLE[name][row : row + 1]


def row_by_row():
    for row in range(6):
        for name, array in WHOLE.items():
            yield name, row, np.asfortranarray(array[row : row + 1])


@pytest.mark.parametrize("blocks", [in_order, backwards, row_by_row])
def test_entry_of_several_arrays_in_blocks_of_any_order(tmp_path, blocks):
    """The same bytes, whatever the order, as if it had been written at once."""
    store = Store(tmp_path)
    with store.creating("many", "k" * 32, FORMS, {"a": "b"}, about="several") as writer:
        for name, start, block in blocks():
            writer.write(name, start, block)
    store.write("many", "w" * 32, WHOLE, {"a": "b"}, about="several")
    first, second = (store.path("many", letter * 32).read_bytes() for letter in "kw")
    assert first.replace(b"k" * 32, b"w" * 32) == second
    for arrays, meta in (store.map_all("many", "k" * 32), store.read("many", "k" * 32)):
        assert meta == {"a": "b"}
        for name, array in WHOLE.items():
            assert arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(arrays[name], array)
    assert load_file(store.path("many", "k" * 32))["rows"].tolist() == WHOLE["rows"].tolist()


def write_too_little(store):
    with store.creating("many", "k" * 32, FORMS, {}, about="too few") as writer:
        for name, start, block in in_order():
            writer.write(name, start, block[1:] if name == "b" else block)


def test_entry_that_lacks_rows_is_not_kept(tmp_path):
    with pytest.raises(AssertionError, match="b: 4 rows came, 5 were promised"):
        write_too_little(Store(tmp_path))
    assert list((tmp_path / "many").iterdir()) == []


def test_writing_and_mapping_make_no_copy(tmp_path):
    """A limit on data: the array, and not a tenth of it more."""
    script = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from kernel_core.results.store import Store
        store, array = Store(Path(sys.argv[1])), np.ones((100, 10**6), np.float32)
        taken = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (taken + 40_000_000, taken + 40_000_000))
        store.write("big", "k" * 32, {"x": array, "y": array.T}, {}, about="big")
        print(store.map("big", "k" * 32, "y")[0].sum())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("100.0\n", "")


def test_memory_that_is_short_while_writing_is_no_fault_of_the_disk(tmp_path, monkeypatch):
    def run_short(_file):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(store_module.os, "fsync", run_short)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        write(Store(tmp_path))
    assert not list(tmp_path.glob("neighbors/*"))
