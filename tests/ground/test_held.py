"""What dead processes left is told from what living ones hold, and only that is removed."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from kernel_core import held
from kernel_core.ensembles.folder import RunFiles
from kernel_core.files import replacing
from tests.support.command import ROOT

WRITER = """
    import sys
    from pathlib import Path
    from kernel_core.files import replacing
    from kernel_core.held import temporary_folder
    with replacing(Path(sys.argv[1])) as temporary, temporary_folder("test") as folder:
        print(temporary, folder, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path, monkeypatch):
    """A process that writes to tmp_path/file until it is told to end; its temporary file and folder."""
    monkeypatch.setattr(held.tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / "file")]
    env = {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=env, text=True, **pipes) as process:
        file, folder = process.stdout.readline().split()
        yield process, Path(file), Path(folder)


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_the_file(tmp_path, writer):
    process, file, folder = writer
    with replacing(tmp_path / "file") as temporary:
        assert file.exists(), "its writer lives"
        temporary.write_text("done")
    with held.temporary_folder("test") as other:
        assert folder.is_dir()
        assert other.is_dir()
    assert not other.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with replacing(tmp_path / "other"):
        assert file.exists(), "it is of another file"
    with replacing(tmp_path / "file") as temporary:
        assert not file.exists()
        temporary.write_text("again")
    with held.temporary_folder("test"):
        assert not folder.exists()
    assert (tmp_path / "file").read_text() == "again"


def test_a_process_that_ends_leaves_nothing(writer):
    process, file, folder = writer
    process.communicate()
    assert not file.exists()
    assert not folder.exists()


def test_files_of_another_machine_stay_for_a_day(tmp_path):
    file = tmp_path / f"file.{'0' * 32}.tmp"
    file.touch()
    assert held.remove_abandoned([file]) == []
    os.utime(file, (0, time.time() - held.DAY - 60))
    assert held.remove_abandoned([file]) == [file]


def test_a_file_removed_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    lock, removed = held.fcntl.flock, []

    def late(holder, how):
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        lock(holder, how)

    monkeypatch.setattr(held.fcntl, "flock", late)
    with replacing(tmp_path / "file") as temporary:
        assert temporary.exists()
        assert temporary not in removed
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_ensembles_folder_knows_the_names(tmp_path):
    with held.temporary_beside(tmp_path / "log.pt") as temporary:
        RunFiles(tmp_path).clean()
        assert not temporary.exists()
