"""The file of verdicts: nothing is lost or half written, whoever else writes, and nonsense is reported."""

import json
import os
import subprocess
import sys

import pytest

from kernel_core.errors import DataError, Unavailable
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import Item, Verdict
from tests.support.command import ROOT


def verdict(index=0, **options):
    given = {"verdict": "different", "reviewer": "ann", **options}
    return Verdict("pair", Item("test", index, "a" * 64), Item("train", 1, "b" * 64), **given)


def test_read_verdicts_written_by_another(tmp_path):
    path = tmp_path / "data.verdicts.jsonl"
    writer, reader = VerdictFile(path), VerdictFile(path)
    assert reader.read() == []
    first, second = verdict(0), verdict(1, note="größer\nals eine Zeile", milliseconds=420)
    writer.append([first])
    assert reader.read() == [first]
    writer.append([first, second])  # an id that is there already is not written again
    assert reader.read() == [first, second] == writer.verdicts
    assert len(path.read_text().splitlines()) == 2


def test_four_writers_at_once_lose_nothing(tmp_path):
    path = tmp_path / "data.verdicts.jsonl"
    script = (
        "import sys; from pathlib import Path; from kernel_core.review.verdict_file import VerdictFile;"
        "from tests.review.test_verdict_file import verdict; file = VerdictFile(Path(sys.argv[1]));"
        "[file.append([verdict(i, reviewer=sys.argv[2])]) for i in range(25)]"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, path, f"r{w}"], cwd=ROOT) for w in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    file = VerdictFile(path)
    found = {(verdict.reviewer, verdict.a.index) for verdict in file.read()}
    assert found == {(f"r{w}", i) for w in range(4) for i in range(25)}
    assert len(file.verdicts) == 100
    assert file.warnings == []


def test_report_nonsense_and_keep_it(tmp_path):
    path = tmp_path / "data.verdicts.jsonl"
    good = json.dumps(verdict(3).to_json())
    wrong = json.dumps({**verdict(4).to_json(), "verdict": "perhaps"})
    lines = ["# by hand", wrong, good, "[]", '{"a": 1', "", '"' + "x" * 50]
    path.write_bytes("\n".join(lines).encode() + b"\xff\n" + good[:40].encode())
    file = VerdictFile(path)
    assert [found.a.index for found in file.read()] == [3]
    assert len(file.problems) == 5
    assert "line 2 is no verdict (its verdict is 'perhaps'; expected one of exact, " in file.warnings[0]
    assert "and 2 more lines are no verdicts" in file.warnings[0]
    assert "its last line is cut off after 40 bytes" in file.warnings[0]
    before = path.read_bytes()
    file.append([verdict(9)])
    assert path.read_bytes().startswith(before + b"\n")
    assert (
        [found.a.index for found in VerdictFile(path).read()] == [3, 9] == [v.a.index for v in file.verdicts]
    )


def test_read_anew_what_was_edited(tmp_path):
    path = tmp_path / "data.verdicts.jsonl"
    file = VerdictFile(path)
    file.append([verdict(1), verdict(2)])
    generation = file.generation
    path.write_text(path.read_text().replace('"index": 2', '"index": 7'))
    assert [found.a.index for found in file.read()] == [1, 7]
    assert file.generation > generation
    path.unlink()
    assert file.read() == []


def test_full_disk_leaves_no_half_line(tmp_path):
    path = tmp_path / "data.verdicts.jsonl"
    VerdictFile(path).append([verdict(1)])
    before = path.read_bytes()
    script = (
        "import resource, signal, sys; from pathlib import Path;"
        "from kernel_core.review.verdict_file import VerdictFile;"
        "from tests.review.test_verdict_file import verdict;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); file = VerdictFile(Path(sys.argv[1]));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (len(Path(sys.argv[1]).read_bytes()) + 100,) * 2);"
        "file.append([verdict(2)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Unavailable: Cannot save verdicts to " in done.stderr
    assert path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_rights(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Unavailable, match=r"choose another file with --verdicts"):
        VerdictFile(tmp_path / "data.verdicts.jsonl").append([verdict(1)])


def test_folder_in_its_place(tmp_path):
    with pytest.raises(DataError, match=r"is a folder; expected a file"):
        VerdictFile(tmp_path).read()


def test_only_new_lines_are_read(tmp_path):
    path = tmp_path / "data.verdicts.jsonl"
    file = VerdictFile(path)
    file.append(verdict(i) for i in range(2_000))
    taken = []
    file._take_line = lambda line: taken.append(line)
    VerdictFile(path).append([verdict(2_000)])
    file.read()
    assert len(taken) == 1  # the new line alone
