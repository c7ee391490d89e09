"""The 60,000 published runs by the real client, over HTTP with ranges, from a stand-in for the Hub."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from kernel_core.ensembles.opening import open_ensemble
from kernel_core.sources.published import FIRST_500, LOGITS_REPO, MANY_FILE, MANY_REPO
from tests.sources.test_hub import (
    COUNT,
    IMAGES_REPO,
    LABELS,
    assert_refused,
    environment,
    parquet_file,
    repo_folder,
    run,
)
from tests.support import forked
from tests.support.hub_server import Hub

RUNS = 700  # in the whole file
MANY = "cifar10-multirun-60k"


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def logits():
    """Logits of 700 runs that are mostly right, float16 (700, 200, 10)."""
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(RUNS, COUNT["test"], 10))
    return (noise + 3 * np.eye(10)[LABELS["test"]]).astype(np.float16)


@pytest.fixture(scope="module")
def server(logits, tmp_path_factory):
    path = tmp_path_factory.mktemp("repositories") / "file"
    parquet = {f"plain_text/{split}-00000-of-00001.parquet": parquet_file(path, split) for split in COUNT}
    many = {MANY_FILE: saved(logits), FIRST_500: saved(logits[:500]), "README.md": b"# A card"}
    with Hub({MANY_REPO: many, IMAGES_REPO: parquet, LOGITS_REPO: {}}) as running:
        yield running


@pytest.fixture
def hub(server, logits):
    server.heal()
    server.repos[MANY_REPO][MANY_FILE] = saved(logits)
    yield server
    server.heal()


def fetch(hub, home, runs, **settings):
    """Download alone: print the file, or the error."""
    script = (
        "from kernel_core.errors import KernelExplorerError\n"
        "from kernel_core.sources.published import fetch_many\n"
        f"try: print(fetch_many({runs}, offline={settings.pop('offline', False)}))\n"
        "except KernelExplorerError as error: print('Error:', error)"
    )
    return forked.run(forked.code, script, env=environment(hub, home, **settings))


def prefixes(home):
    return sorted(
        p.name for p in (home / "hub" / repo_folder(MANY_REPO)).glob("prefixes/*/*") if p.name != "lock"
    )


def assert_holds(output, logits, count):
    """Assert that the file that was printed holds the first runs, as an ensemble of the test split."""
    assert output.returncode == 0, output.stderr
    path = Path(output.stdout.strip())
    np.testing.assert_array_equal(np.load(path), logits[:count])
    (part,) = open_ensemble((path,), splits=("test",)).parts
    assert part["test"].shape == (count, COUNT["test"], 10)
    return path


def test_build_reads_500_runs_and_the_test_split_alone(hub, tmp_path):
    output = run(hub, tmp_path, "build", MANY, "--similarity", "kernel")
    assert output.returncode == 0, output.stderr
    assert output.stdout.startswith(f"{MANY}: 500 runs, test→test, 200 test examples, neighbors by kernel")
    assert hub.ranges(MANY_FILE) == []
    assert hub.ranges(FIRST_500) == [None]
    hub.log.clear()
    again = run(hub, tmp_path, "evaluate", MANY, "--similarity", "kernel", "--json", HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["runs"] == 500
    assert hub.log == []


def test_build_of_more_runs_downloads_them_and_no_others(hub, tmp_path, logits):
    output = run(hub, tmp_path, "build", MANY, "--runs", "600", "--similarity", "kernel")
    assert output.returncode == 0, output.stderr
    assert output.stdout.startswith(f"{MANY}: 600 runs, test→test, 200 test examples")
    assert "downloading logits of 600 runs (MB) …" in output.stderr
    stop = 128 + 600 * 200 * 10 * 2
    assert hub.ranges(MANY_FILE) == ["bytes=0-4095", f"bytes=128-{stop - 1}"]
    assert hub.ranges(FIRST_500) == []
    hub.log.clear()
    assert run(hub, tmp_path, "build", MANY, "--runs", "600", "--similarity", "kernel").returncode == 0
    assert hub.log == []


def test_record_says_what_a_prefix_is_and_other_commits_are_other_files(hub, tmp_path, logits):
    path = assert_holds(fetch(hub, tmp_path, 600), logits, 600)
    record = json.loads(path.with_suffix(".json").read_text())
    assert (record["file"], record["runs"]) == (MANY_FILE, 600)
    assert record["commit"] == path.parent.name == hub.commit(MANY_REPO)
    assert re.fullmatch("[0-9a-f]{64}", record["etag"])
    changed = logits[::-1]
    hub.repos[MANY_REPO][MANY_FILE] = saved(changed)
    other = assert_holds(fetch(hub, tmp_path, 600), changed, 600)
    assert other.parent != path.parent
    assert path.exists()


def test_shorter_prefix_is_the_beginning_of_a_longer_one_and_a_longer_one_will_do(hub, tmp_path, logits):
    assert_holds(fetch(hub, tmp_path, 600), logits, 600)
    hub.log.clear()
    assert_holds(fetch(hub, tmp_path, 650), logits, 650)
    size = 200 * 10 * 2
    assert hub.ranges(MANY_FILE) == ["bytes=0-4095", f"bytes={128 + 600 * size}-{128 + 650 * size - 1}"]
    hub.log.clear()
    assert fetch(hub, tmp_path, 620).stdout.strip().endswith("logits-650.npy")
    assert hub.ranges(MANY_FILE) == []


def test_connection_that_breaks_is_resumed_where_it_broke(hub, tmp_path, logits):
    hub.faults[MANY_FILE] = "stall"
    with forked.running(
        forked.code,
        "from kernel_core.sources.published import fetch_many; fetch_many(650)",
        env=environment(hub, tmp_path),
    ) as process:
        forked.wait_until(hub.stalled.is_set, process)
        forked.wait_until(lambda: part_size(tmp_path) > 2**20, process)
    assert prefixes(tmp_path) == ["logits-650.part"]
    arrived = part_size(tmp_path)
    hub.heal()
    assert_holds(fetch(hub, tmp_path, 650), logits, 650)
    assert hub.ranges(MANY_FILE)[1].startswith(f"bytes={arrived}-")
    assert prefixes(tmp_path) == ["logits-650.json", "logits-650.npy"]


def part_size(home):
    return sum(p.stat().st_size for p in (home / "hub").glob("*/prefixes/*/*.part"))


def test_cut_is_survived_within_the_command(hub, tmp_path, logits):
    """Bytes that arrived before the cut are not requested again; they are kept in blocks of 1 MiB."""
    hub.faults[MANY_FILE] = "cut"
    output = fetch(hub, tmp_path, 650)
    assert_holds(output, logits, 650)
    assert "the connection broke" in output.stderr
    assert hub.ranges(MANY_FILE)[2].startswith(f"bytes={128 + 2**20}-")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("cut always", ("was not downloaded completely", "Run the command again")),
        ("503 body", ("503 Service Unavailable", "has trouble")),
        ("404", ("404 Not Found",)),
        ("401", ("Repository not found", "log in with hf auth login")),
        ("size", ("its host does not send parts of files",)),
    ],
)
def test_fault_is_said_and_heals(hub, tmp_path, logits, fault, says):
    hub.faults[MANY_FILE] = fault
    output = fetch(hub, tmp_path, 650)
    assert output.stdout.startswith("Error: "), output.stderr
    for part in (MANY_FILE, MANY_REPO, *says):
        assert part in output.stdout
    assert not [name for name in prefixes(tmp_path) if name.endswith(".npy")]
    hub.heal()
    assert_holds(fetch(hub, tmp_path, 650), logits, 650)


@pytest.mark.parametrize(
    "content",
    [
        saved(np.zeros((700, 20, 10), np.float32)),
        saved(np.zeros((700, 200), np.float16)),
        saved(np.asfortranarray(np.zeros((700, 20, 10), np.float16))),
        saved(np.zeros((700, 20, 10), np.float16)) + b"more",
        b"<html>Please log in" * 1000,
        saved(np.zeros((700, 20, 10), np.float16)).replace(b"'<f2'", b"'|O2'"),
    ],
)
def test_file_of_another_form_is_refused(hub, tmp_path, content):
    hub.repos[MANY_REPO][MANY_FILE] = content
    output = fetch(hub, tmp_path, 650)
    assert "is not an array of float16 (runs, examples, classes) as NumPy saves it" in output.stdout
    assert prefixes(tmp_path) == []


def test_whole_file_is_checked_against_the_hubs_sha256(hub, tmp_path, logits):
    path = assert_holds(fetch(hub, tmp_path, RUNS), logits, RUNS)
    assert path.read_bytes() == hub.repos[MANY_REPO][MANY_FILE]
    hub.faults[MANY_FILE] = "flip"
    other = tmp_path / "other"
    assert "arrived damaged: its SHA-256 is" in fetch(hub, other, RUNS).stdout
    assert prefixes(other) == []


def test_too_many_runs_are_refused(hub, tmp_path):
    assert (
        f"9,999 runs were asked for, but {MANY_FILE} of {MANY_REPO} has 700"
        in fetch(hub, tmp_path, 9999).stdout
    )
    wrong = run(hub, tmp_path, "build", MANY, "--files", "2")
    assert_refused(wrong, "--files is for cifar10-multirun;", status=2)


def test_damage_on_the_disk_is_noticed_at_the_next_build(hub, tmp_path):
    assert run(hub, tmp_path, "build", MANY, "--runs", "600", "--similarity", "kernel").returncode == 0
    (path,) = (tmp_path / "hub").glob("*/prefixes/*/*.npy")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert_refused(
        run(hub, tmp_path, "build", MANY, "--runs", "600"), str(path), "is damaged: its SHA-256 is"
    )


def test_offline_and_with_a_hub_that_is_down_what_is_here_serves(hub, tmp_path, logits):
    assert "Nothing of the dataset" in fetch(hub, tmp_path, 600, offline=True).stdout
    assert_holds(fetch(hub, tmp_path, 600), logits, 600)
    hub.log.clear()
    assert_holds(fetch(hub, tmp_path, 600, offline=True), logits, 600)
    assert_holds(fetch(hub, tmp_path, 600, HF_HUB_OFFLINE="1"), logits, 600)
    assert hub.log == []
    hub.faults[MANY_REPO] = "503"
    assert_holds(fetch(hub, tmp_path, 600), logits, 600)
    assert "503" in fetch(hub, tmp_path, 690).stdout


def test_sources_lists_it(hub, tmp_path):
    assert f"\n{MANY} " in run(hub, tmp_path, "sources").stdout
