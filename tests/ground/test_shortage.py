"""Where memory is too short for the libraries or for a table: one line, before they end the process."""

import errno
import os
import subprocess
import sys

import pytest

from kernel_core.errors import OutOfMemory
from kernel_core.shortage import refuse_too_little, words_of_shortage
from tests.support.command import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv.pop(1)),) * 2)
"""
COMMAND = LIMITED + "from kernel_core.__main__ import main\nmain()"
LOADING = (
    LIMITED
    + """
from kernel_core.errors import OutOfMemory
from kernel_core.shortage import look_before_torch
look_before_torch()
try:
    import torch
    print("loaded")
except OutOfMemory as error:
    print(error)
"""
)


def limited(code, limit, *arguments, path=ROOT):
    """Run code in a new process with a limit of its data in bytes; return its `CompletedProcess`."""
    command = [sys.executable, "-c", code, str(limit), *map(str, arguments)]
    env = dict(os.environ, PYTHONPATH=f"{path}{os.pathsep}{ROOT}")
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env, cwd=ROOT)


@pytest.mark.parametrize(
    ("torch", "said"),
    [
        ("", "loaded"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "torch does not fit. Close other "),
        ("raise ImportError('libtorch_cpu.so: failed to map segment')", "torch does not fit. Close other "),
        ("held = bytearray(300_000_000)", "torch leaves 0.2"),
    ],
    ids=["fits", "crashes", "fails", "leaves too little"],
)
def test_torch_is_loaded_in_a_copy_first_where_there_is_a_limit(torch, said, tmp_path):
    (tmp_path / "torch.py").write_text(torch)
    done = limited(LOADING, 550_000_000, path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("limit", "arguments"),
    [
        (60_000_000, ["pairs", "digits"]),
        (300_000_000, ["map", "digits"]),
        (300_000_000, ["train", "digits", "--runs", "2", "--out", "here"]),
    ],
    ids=["before NumPy", "map", "train"],
)
def test_a_verb_without_room_for_the_libraries_is_one_line(limit, arguments, cache):
    done = limited(COMMAND, limit, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert " of memory are free here now; the libraries alone take " in line
    assert not cache.exists() or not list(cache.glob("*/*.safetensors"))


def test_too_little_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr("kernel_core.shortage.free_bytes", lambda: 200_000_000)
    with pytest.raises(OutOfMemory, match=r"^0\.2 GB of memory are free here now; .* alone take 0\.3 GB\. "):
        refuse_too_little()
    refuse_too_little(200_000_000)


def test_a_file_that_cannot_be_mapped_is_not_blamed_on_the_search(monkeypatch):
    lacking, full = OSError(errno.ENOMEM, "Cannot allocate memory"), MemoryError()
    monkeypatch.setattr("kernel_core.shortage.is_space_limited", lambda: True)
    assert "files are mapped whole, which counts under ulimit -v" in words_of_shortage(lacking)
    assert "--memory" not in words_of_shortage(lacking)
    assert "--memory" in words_of_shortage(full)
    monkeypatch.setattr("kernel_core.shortage.is_space_limited", lambda: False)
    assert "--memory" in words_of_shortage(lacking)
