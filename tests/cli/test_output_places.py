"""Where output goes: stdout, links, pipes, folders that do not exist, encodings that lack a character."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kernel_core.cli.output import say_json
from kernel_core.files import replacing
from tests.support.command import ROOT, invoke

RANKS = ("pairs", "digits", "--ranks", "1-3")


@pytest.fixture(scope="module")
def table(digits_cache, tmp_path_factory):
    """The bytes of a table of three pairs."""
    path = tmp_path_factory.mktemp("table") / "pairs.csv"
    assert invoke(*RANKS, "--csv", path, env=digits_cache).exit_code == 0
    assert len(pd.read_csv(path)) == 3
    return path.read_bytes()


def test_dash_and_the_names_of_stdout_are_stdout(digits_cache, table, tmp_path):
    """The names lead to a file here: it is never replaced, nor is anything in /dev."""
    for name in ("-", "/dev/stdout", "/dev/fd/1"):
        with open(tmp_path / "out", "wb") as out:
            command = [sys.executable, "-m", "kernel_core", *RANKS, "--csv", name]
            environment = {**digits_cache, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(command, check=True, stdout=out, stderr=subprocess.PIPE, env=environment)
        assert (tmp_path / "out").read_bytes() == table
        assert done.stderr == b""
    assert os.path.islink("/dev/stdout")


@pytest.mark.usefixtures("own_digits_cache", "no_umap")
def test_map_as_csv_on_stdout_is_the_table_alone():
    done = invoke("map", "digits", "--csv", "-")
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(io.StringIO(done.stdout))) == 1797
    assert "a map of" in done.stderr


def test_csv_and_json_do_not_share_stdout(digits_cache, tmp_path):
    refused = invoke(*RANKS, "--json", "--csv", "-", env=digits_cache)
    assert refused.exit_code == 2
    assert "would both go to stdout" in refused.stderr
    both = invoke(*RANKS, "--json", "--csv", tmp_path / "pairs.csv", env=digits_cache)
    assert [row["rank"] for row in json.loads(both.stdout)["pairs"]] == [1, 2, 3]
    assert "3 rows written" in both.stderr


def test_number_that_json_lacks_is_null(capsys):
    say_json({"a": float("nan"), "b": [np.float32(0.1), np.int64(3), np.inf], "c": {"d": Path("x")}})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [0.1, 3, None], "c": {"d": "x"}}


def test_link_stays_and_what_it_leads_to_is_written(digits_cache, table, tmp_path):
    (tmp_path / "folder").mkdir()
    real, link, dangling = tmp_path / "folder/real.csv", tmp_path / "link.csv", tmp_path / "dangling.csv"
    real.write_text("old")
    link.symlink_to("folder/real.csv")
    dangling.symlink_to("folder/new.csv")
    for path in (link, dangling):
        assert invoke(*RANKS, "--csv", path, env=digits_cache).exit_code == 0
        assert path.is_symlink()
    assert real.read_bytes() == (tmp_path / "folder/new.csv").read_bytes() == table
    assert sorted(os.listdir(tmp_path / "folder")) == ["new.csv", "real.csv"]


def test_pipe_is_written_to_and_stays_a_pipe(digits_cache, table, tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    done = invoke(*RANKS, "--csv", pipe, env=digits_cache)
    reader.join()
    assert done.exit_code == 0, done.output
    assert got == [table]
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.usefixtures("own_digits_cache")
def test_report_goes_through_links_too(tmp_path):
    (tmp_path / "real.md").write_text("old")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/report.md").symlink_to(tmp_path / "real.md")
    done = invoke("report", "digits", "--runs", "all", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out/report.md").is_symlink()
    assert (tmp_path / "real.md").read_text().startswith("#")


def test_error_while_writing_leaves_pipe_and_link_as_they_were(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(FileNotFoundError), replacing(tmp_path / name) as temporary:
            temporary.with_name("absent").rename(temporary)
    assert (tmp_path / "real").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe", "real"]


def test_place_that_takes_no_file_is_refused_before_anything_is_built(tmp_path, cache):
    done = invoke(*RANKS, "--csv", tmp_path / "absent/pairs.csv")
    assert done.exit_code == 2
    assert f"Cannot write {tmp_path}/absent/pairs.csv: {tmp_path}/absent does not exist" in done.stderr
    assert invoke(*RANKS, "--csv", tmp_path).exit_code == 2
    assert not cache.exists()


@pytest.mark.parametrize(
    ("encoding", "written", "shown"), [("cp1252", "cp1252", "?"), ("ascii", "utf-8", "≥")]
)
@pytest.mark.usefixtures("own_digits_cache")
def test_character_that_stdout_lacks_is_replaced(encoding, written, shown):
    """The report has '≥', which neither encoding knows; click takes ASCII for a mistake and writes UTF-8."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "kernel_core", "report", "digits", "--runs", "all"]
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    assert f" {shown} 0.9" in done.stdout.decode(written)
    assert b"Traceback" not in done.stderr
