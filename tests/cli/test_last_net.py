"""Errors that nobody foresaw, and text that files wrote: one clean line each, whatever happens."""

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest

from kernel_core import __main__ as start
from kernel_core import crash
from kernel_core.cli import options
from kernel_core.cli.tables import print_pairs
from kernel_core.errors import DataError, OutOfMemory
from kernel_core.printable import printable
from kernel_core.shortage import shortage_said
from tests.support.command import ROOT, invoke

LOUD = "\x1b[31mred\x00\u202e" + "x" * 1_000_000


@pytest.fixture
def failing(monkeypatch, cache):
    """Make a function that makes every verb that opens a source raise an error."""

    def fail_with(error):
        def fail(*_args, **_options):
            raise error

        monkeypatch.setattr(options, "open_or_build", fail)

    return fail_with


def only_line(done, status=1):
    """The one line on stderr; fails if there are more, or if the verb ended otherwise."""
    assert done.exit_code == status
    assert isinstance(done.exception, SystemExit), done.exception
    (line,) = done.stderr.splitlines()
    return line


def test_unexpected_error_is_one_line_that_names_the_file_of_details(failing, cache):
    failing(ZeroDivisionError("by nothing\nand more"))
    line = only_line(invoke("build", "digits"))
    assert line.startswith("Error: Unexpected error: ZeroDivisionError: by nothing. Details for a report: ")
    (details,) = (cache / "crashes").iterdir()
    assert line.endswith(f"{details}.")
    text = details.read_text()
    for part in (
        "Traceback (most recent call last)",
        "and more",
        "kernel-explorer 0",
        "Python 3",
        "command: ",
    ):
        assert part in text


class PanicException(BaseException):
    """What code in Rust raises; no `except Exception` catches it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9.00 GiB for an array"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9663676416 bytes."),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
        OSError(12, "Cannot allocate memory"),
        PanicException("memory allocation of 9 bytes failed"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_memory_that_ran_out_says_what_is_free_and_how_to_use_less(failing, error):
    failing(error)
    line = only_line(invoke("build", "digits"))
    if "9.00 GiB" in str(error) or "9663676416" in str(error):
        assert "Error: Memory ran out: 9.7 GB more were needed at once; " in line
    assert re.search(r"; [\d.]+ [GM]B are free here now\. Close other programs or raise the limit", line)
    assert isinstance(error, ImportError) or re.search(r"--memory \d+MB for the search", line)
    with pytest.raises(OutOfMemory, match=r"are free here now"), shortage_said():
        raise error


def test_other_panics_are_one_line_too(failing, tmp_path):
    failing(PanicException("index out of bounds"))
    line = only_line(invoke("build", "digits", "--progress-file", tmp_path / "p.json"))
    assert "Error: Unexpected error: PanicException: index out of bounds." in line
    assert json.loads((tmp_path / "p.json").read_text())["state"] == "failed"


def test_ctrl_c_is_one_line_and_130(failing):
    failing(KeyboardInterrupt())
    assert "Run the same command again to continue" in only_line(invoke("build", "digits"), status=130)


def test_progress_file_says_the_same_line_and_details_are_written_once(failing, cache, tmp_path):
    failing(ZeroDivisionError("by nothing"))
    line = only_line(invoke("build", "digits", "--progress-file", tmp_path / "p.json"))
    said = json.loads((tmp_path / "p.json").read_text())
    assert said == {"state": "failed", "error": line.removeprefix("Error: ")}
    assert len(list((cache / "crashes").iterdir())) == 1


def test_progress_that_cannot_be_written_stops_nothing(failing, tmp_path):
    failing(DataError("A file is missing."))
    done = invoke("build", "digits", "--progress-file", tmp_path / "no" / "such" / "p.json")
    assert only_line(done) == "Error: A file is missing."


def test_the_newest_details_are_kept(cache):
    for i in range(crash.KEPT + 3):
        crash.write_details(ZeroDivisionError(i))
    assert len(list((cache / "crashes").iterdir())) == crash.KEPT


def test_details_go_to_the_temporary_folder_if_the_cache_takes_none(cache, tmp_path, monkeypatch):
    cache.write_text("in the way")
    monkeypatch.setattr(crash.tempfile, "gettempdir", lambda: str(tmp_path / "elsewhere"))
    path = crash.write_details(ZeroDivisionError())
    assert path.parent == tmp_path / "elsewhere"
    monkeypatch.setattr(crash.tempfile, "gettempdir", lambda: str(cache))
    assert crash.write_details(ZeroDivisionError()) is None
    assert crash.last_words(ZeroDivisionError()) == "Unexpected error: ZeroDivisionError."


def test_details_that_take_too_much_memory_are_left_out(cache, monkeypatch):
    def too_much(*_):
        raise MemoryError

    monkeypatch.setattr(crash, "_details", too_much)
    assert crash.last_words(ZeroDivisionError("x")) == "Unexpected error: ZeroDivisionError: x."


def test_an_error_before_the_command_line_is_loaded_is_one_line_too(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "kernel_core.cli.main", None)  # importing it raises ImportError
    with pytest.raises(SystemExit, match=r"Error: Unexpected error: ModuleNotFoundError: .* Details"):
        start.main()


def test_removed_working_directory_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit, match=r"^Error: the working directory was removed"):
        start.main()


def test_names_of_files_are_read_as_utf8_whatever_the_locale(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda *call: started.append(call))
    monkeypatch.delenv("PYTHONUTF8", raising=False)
    start._use_utf8_for_names()
    assert not started
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    start._use_utf8_for_names()
    ((_program, _words, environment),) = started
    assert environment["PYTHONUTF8"] == "1"
    assert environment["PYTHONIOENCODING"].endswith(":replace")
    monkeypatch.setenv("PYTHONUTF8", "1")  # where that does not help, it does not start over for ever
    start._use_utf8_for_names()
    assert len(started) == 1


def test_text_of_files_is_cleaned_and_cut_but_keeps_its_end(failing):
    failing(DataError(f"{LOUD} is no name. Correct it."))
    line = only_line(invoke("build", "digits"))
    assert line.isprintable()
    assert len(line) < 2_100
    assert line.startswith(r"Error: \x1b[31mred\x00\u202exxx")
    assert line.endswith("xxx is no name. Correct it.")


def test_names_in_tables_and_titles_are_cleaned_and_cut_but_not_in_json(source_folder, cache):
    toml = source_folder / "source.toml"
    loud = json.dumps("\x1b[31mred\n" + "x" * 10_000)
    toml.write_text(re.sub(r'name = ".*"', lambda _: f"name = {loud}", toml.read_text(), count=1))
    printed = [
        invoke("build", source_folder),
        invoke("evaluate", source_folder),
        invoke("cache", "list"),
        invoke("neighbors", source_folder, "--query", "test:1", "--json"),
    ]
    for done in printed:
        assert done.exit_code == 0, done.stderr
        for line in (*done.stdout.split("\n"), *done.stderr.split("\n")):
            assert not line or (line.isprintable() and len(line) <= 2_100)
    assert r"\x1b[31mred\nxxx" in printed[0].stdout


def test_a_class_of_any_name_takes_one_short_cell(capsys):
    table = pd.DataFrame({"query_label": [0, 1], "database_label": [1, 0], "similarity": [0.5, 0.25]})
    print_pairs(table, ("a\nb\x1b", "c" * 100_000))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert r"0 a\nb\x1b" in lines[1]
    assert max(map(len, lines)) < 200


def test_printable_keeps_plain_text_and_says_where_it_cuts():
    assert printable("naïve → 日本 …") == "naïve → 日本 …"
    assert printable("tab\there\u2028\udce9") == r"tab\there\u2028\udce9"
    for length in (79, 80, 81, 500):
        assert len(printable("\n" * length, 80)) <= 80


def test_verbs_print_through_one_door():
    for path in (ROOT / "kernel_core" / "cli").glob("*.py"):
        if path.name != "output.py":
            assert not re.search(r"\bclick\.s?echo\(|\bprint\(", path.read_text()), path.name


def test_full_stdout_is_said_in_one_line(cache):
    command = [sys.executable, "-m", "kernel_core", "cache", "list"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.stderr == (
        "Error: Cannot write the results to stdout (No space left on device). Free some space, or send them "
        "elsewhere.\n"
    )
    assert done.returncode == 1
