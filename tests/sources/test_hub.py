"""The published ensemble and CIFAR-10 by the real client, over HTTP, from a stand-in for the Hub."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from kernel_core.sources.hub import expected_sha256
from kernel_core.sources.published import FIRST_FILE as FIRST
from kernel_core.sources.published import LOGITS_REPO
from tests.support import forked
from tests.support.command import run_cli
from tests.support.hub_server import CLOSED, Hub
from tests.support.planted import CIFAR10_CLASSES, write_log, write_parquet

IMAGES_REPO = "uoft-cs/cifar10"
MAIN = FIRST.split("/")[0]
SECOND = f"{MAIN}/3b1d9c1e-0000-4000-8000-000000000002/log.pt"  # sorts before the first file
OTHER = "logs_of_another_recipe/9a2f7c55-0000-4000-8000-000000000003/log.pt"  # 24 MB
COUNT = {"train": 2000, "test": 200}
LABELS = {split: np.arange(count) % 10 for split, count in COUNT.items()}
SETTINGS = ("HF_", "KERNEL_EXPLORER_", "TORCH_HOME", "TRANSFORMERS_OFFLINE")


def log_file(path, seed, padding=0):
    """Return the bytes of a log.pt of 8 runs that are mostly right; padding: bytes to add."""
    rng = np.random.default_rng(seed)
    logits = {
        split: (rng.normal(size=(8, count, 10)) + 3 * np.eye(10)[LABELS[split]]).astype(np.float16)
        for split, count in COUNT.items()
    }
    write_log(path, logits["test"], logits["train"])
    if padding:
        torch.save({**torch.load(path), "padding": torch.zeros(padding, dtype=torch.uint8)}, path)
    return path.read_bytes()


def parquet_file(path, split):
    pixels = np.random.default_rng(COUNT[split]).integers(0, 256, (COUNT[split], 8, 8, 3), dtype=np.uint8)
    write_parquet(path, pixels, LABELS[split], CIFAR10_CLASSES)
    return path.read_bytes()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A Hub with both repositories: real names, small files."""
    path = tmp_path_factory.mktemp("repositories") / "file"
    logits = {FIRST: log_file(path, 1), SECOND: log_file(path, 2), OTHER: log_file(path, 3, 24_000_000)}
    parquet = {f"plain_text/{split}-00000-of-00001.parquet": parquet_file(path, split) for split in COUNT}
    other = {"README.md": b"# A card", ".gitattributes": b"", f"{MAIN}/log.pt": b"", f"{MAIN}/a/code.py": b""}
    with Hub({LOGITS_REPO: logits | other, IMAGES_REPO: parquet | {"README.md": b"# A card"}}) as running:
        yield running


@pytest.fixture
def hub(server):
    """The Hub without faults and with an empty log."""
    server.heal()
    yield server
    server.heal()


def environment(hub, home, **settings):
    """Return a user's environment: all files are below `home`, and only 127.0.0.1 can be reached."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(SETTINGS) and "proxy" not in k.lower()
    }
    folders = {"HF_HOME": home, "TORCH_HOME": home / "torch", "KERNEL_EXPLORER_CACHE": home / "cache"}
    proxies = {"http_proxy": CLOSED, "https_proxy": CLOSED, "no_proxy": "127.0.0.1,localhost"}
    proxies |= {name.upper(): value for name, value in proxies.items()}
    return {
        **inherited,
        "HF_ENDPOINT": hub.endpoint,
        **{k: str(v) for k, v in folders.items()},
        **proxies,
        **settings,
    }


def run(hub, home, *arguments, **settings):
    return forked.cli(*arguments, env=environment(hub, home, **settings))


def build(hub, home, *arguments, **settings):
    return run(hub, home, "build", *(arguments or ("cifar10-multirun", "--runs", "8")), **settings)


@dataclass(frozen=True)
class Built:
    """A build in an empty home: its output and its requests."""

    home: Path
    output: subprocess.CompletedProcess
    log: list


@pytest.fixture(scope="session")
def built(server, tmp_path_factory):
    home = tmp_path_factory.mktemp("built")
    server.heal()
    output = run_cli("build", "cifar10-multirun", "--runs", "8", env=environment(server, home))
    assert output.returncode == 0, output.stderr
    return Built(home, output, list(server.log))


@pytest.fixture
def home(built, tmp_path):
    """A copy of the built home without logits; its results and images make the next build short."""
    return copy_home(built, tmp_path / "home")


def copy_home(built, path):
    leave_out = shutil.ignore_patterns(repo_folder(LOGITS_REPO))
    return shutil.copytree(built.home, path, symlinks=True, ignore=leave_out)


def repo_folder(repo):
    return f"datasets--{repo.replace('/', '--')}"


def files_here(home, repo=LOGITS_REPO):
    """Return the files that the client has of a repository: complete or partial, linked or not."""
    found = (home / "hub" / repo_folder(repo)).rglob("*")
    return sorted(path for path in found if path.is_file() and ".no_exist" not in path.parts)


def assert_refused(output, *parts, status=1):
    """Assert that a command failed with one message that contains `parts`, and nothing on stdout."""
    assert output.returncode == status, output.stderr
    assert output.stdout == ""
    assert "Traceback" not in output.stderr
    (message,) = (line for line in output.stderr.splitlines() if line.startswith("Error: "))
    for part in parts:
        assert part in message


def assert_builds(hub, home, built):
    """Assert that a build succeeds, with the same result."""
    output = build(hub, home)
    assert output.returncode == 0, output.stderr
    assert output.stdout == built.output.stdout


def test_sources_lists_every_configuration(hub, tmp_path):
    output = run(hub, tmp_path, "sources")
    assert output.returncode == 0, output.stderr
    listed = re.findall(r"^cifar10-multirun/(\S+) +(\d+)", output.stdout, re.MULTILINE)
    assert listed == [(OTHER.split("/")[0], "1"), (MAIN, "2")]
    assert hub.fetched() == []


def test_build_prints_one_line_and_its_progress_beside(built):
    """The result is on stdout, the name of every step on stderr."""
    assert re.fullmatch(
        r"cifar10-multirun: 8 runs, 2,000 train and 200 test examples.*\n", built.output.stdout
    )
    steps = built.output.stderr.splitlines()
    downloads = [
        "logits, file 1 of 1 (MB)",
        "CIFAR10 by torchvision",
        "train images, file 1 of 1 (MB)",
        "test images, file 1 of 1 (MB)",
    ]
    assert [step for step in steps if "downloading" in step] == [
        f"downloading {name} …" for name in downloads
    ]


def test_build_asks_for_the_cards_file_and_the_images_once(built):
    bodies = [request.path.split("/cdn/")[1] for request in built.log if "/cdn/" in request.path]
    parquet = [f"{IMAGES_REPO}/plain_text/{split}-00000-of-00001.parquet" for split in ("train", "test")]
    assert bodies == [f"{LOGITS_REPO}/{FIRST}", *parquet]


def test_second_build_asks_nothing(hub, built):
    assert_builds(hub, built.home, built)
    assert hub.log == []


def test_evaluate_offline_asks_nothing(hub, built):
    arguments = ("evaluate", "cifar10-multirun", "--runs", "8", "--json")
    output = run(hub, built.home, *arguments, HF_HUB_OFFLINE="1")
    assert output.returncode == 0, output.stderr
    accuracy = json.loads(output.stdout)
    assert accuracy["runs"] == 8
    assert accuracy["ensemble"] == 1.0
    assert 0.8 < accuracy["single"] < 0.99
    assert hub.log == []


def test_offline_with_nothing_downloaded_is_said(hub, tmp_path):
    output = run(hub, tmp_path, "sources", HF_HUB_OFFLINE="1")
    assert f"Nothing of the dataset {LOGITS_REPO} is downloaded" in output.stderr
    assert hub.log == []


def test_other_configuration_builds_though_its_connection_is_cut(hub, home, built):
    """Bytes that arrived before the cut are not requested again; the client keeps blocks of 10 MiB."""
    hub.faults[OTHER] = "cut"
    name = f"cifar10-multirun/{OTHER.split('/')[0]}"
    output = build(hub, home, name, "--runs", "8")
    assert output.returncode == 0, output.stderr
    assert output.stdout.startswith(f"{name}: 8 runs")
    assert output.stderr.count("Trying to resume") == 1
    assert hub.ranges(OTHER) == [None, f"bytes={10 * 2**20}-"]
    assert hub.fetched() == [OTHER, OTHER]


def test_files_2_keeps_the_first_when_the_second_fails_or_the_command_is_killed(hub, home):
    command = ("build", "cifar10-multirun", "--files", "2")
    hub.faults[SECOND] = "503 body"
    assert_refused(run(hub, home, *command), SECOND, "503 Service Unavailable", "Run the command again")
    assert hub.fetched() == [FIRST, SECOND]
    hub.heal()
    hub.faults[SECOND] = "stall"
    with forked.running(forked.command, *command, env=environment(hub, home)) as process:
        forked.wait_until(hub.stalled.is_set, process)
    assert hub.fetched() == [SECOND]
    hub.heal()
    output = run(hub, home, *command)
    assert output.returncode == 0, output.stderr
    assert output.stdout.startswith("cifar10-multirun: 16 runs")
    assert hub.fetched() == [SECOND]


def test_what_the_hub_does_not_list_is_refused(hub, built):
    """For too many files and for an unknown configuration, the message says what there is."""
    with ThreadPoolExecutor() as pool:
        too_many = pool.submit(build, hub, built.home, "cifar10-multirun", "--files", "9")
        unknown = pool.submit(build, hub, built.home, "cifar10-multirun/nothing")
    assert_refused(too_many.result(), "9 files were asked for", f"{MAIN} has 2", "ask for fewer")
    known = (f"cifar10-multirun/{file.split('/')[0]}" for file in (FIRST, OTHER))
    assert_refused(unknown.result(), "no training configuration 'nothing'", *known)


@dataclass(frozen=True)
class Broken:
    """A fault of the Hub.

    says: parts of the message. xet: whether Xet storage is on. advice: name and value of the environment
    variable that the message says to set.
    """

    fault: str
    says: tuple
    xet: bool = False
    advice: tuple = ()


INCOMPLETE = "was not downloaded completely"
BROKEN = [
    Broken("cut always", (INCOMPLETE, "peer closed connection")),
    Broken("size", (INCOMPLETE, "should be of size {more} but has size {size}")),
    Broken("404", (INCOMPLETE, "404 Not Found")),
    Broken("503", (INCOMPLETE, "503 Service Unavailable")),
    Broken("flip", ("arrived damaged twice", "the Hub promised {sha256}…")),
    Broken(
        "xet 404", (INCOMPLETE, "404 Not Found", "HF_HUB_DISABLE_XET=1"), True, ("HF_HUB_DISABLE_XET", "1")
    ),
]


@pytest.fixture(scope="session")
def broken_builds(server, built, tmp_path_factory):
    """Build with each fault of BROKEN, several at a time, and again without it.

    Returns row → (output of the failed build, files it left, output of the next build, files it fetched).
    """

    def story(row):
        home = copy_home(built, tmp_path_factory.mktemp("broken") / "home")
        with Hub(server.repos, {FIRST: row.fault}, xet=row.xet) as hub:
            failed, left = build(hub, home), files_here(home)
            hub.heal()
            hub.xet = row.xet
            again = build(hub, home, **dict([row.advice] if row.advice else []))
            return failed, left, again, hub.fetched()

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(BROKEN, pool.map(story, BROKEN), strict=True))


@pytest.mark.parametrize("row", BROKEN, ids=lambda row: row.fault + ", Xet" * row.xet)
def test_broken_download_is_refused_and_heals(server, built, broken_builds, row):
    """One message, no broken file left behind, and the next build succeeds with the same result."""
    failed, left, again, fetched = broken_builds[row]
    content = server.repos[LOGITS_REPO][FIRST]
    size, sha256 = len(content), hashlib.sha256(content).hexdigest()[:12]
    says = (part.format(size=size, more=size + 1, sha256=sha256) for part in row.says)
    assert_refused(failed, FIRST, *says, "un the command again", "(HF_ENDPOINT)")
    assert "downloading logits, file 1 of 1 (MB) …" in failed.stderr
    assert left == []
    assert again.returncode == 0, again.stderr
    assert again.stdout == built.output.stdout
    assert fetched == [FIRST]


def test_damage_on_the_disk_is_refused_and_the_advice_helps(hub, built, tmp_path):
    """The message names the file to delete; after that, the next build downloads it."""
    home = shutil.copytree(built.home, tmp_path / "home", symlinks=True)
    (file,) = (home / "hub" / repo_folder(LOGITS_REPO)).glob("snapshots/*/*/*/log.pt")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert_refused(build(hub, home), str(file), "its SHA-256 is")
    file.unlink(missing_ok=True)
    assert_builds(hub, home, built)
    assert hub.fetched() == [FIRST]


def test_xet_storage_is_used_and_its_files_are_checked(hub, home, built):
    """Xet's own hash is not taken for the SHA-256, and a damaged file in its store is not used again."""
    hub.xet = True
    hub.faults[FIRST] = "flip once"
    output = build(hub, home)
    assert output.returncode == 0, output.stderr
    assert output.stdout == built.output.stdout
    assert f"{FIRST} of {LOGITS_REPO} is damaged" in output.stderr
    assert [r.path for r in hub.log if "/xorb/" in r.path] == [f"/xorb/{LOGITS_REPO}/{FIRST}"] * 2
    assert hub.ranges(FIRST) == []
    (blob,) = (home / "hub" / repo_folder(LOGITS_REPO) / "blobs").iterdir()
    assert blob.is_symlink()
    assert blob.name == hashlib.sha256(blob.read_bytes()).hexdigest() != blob.resolve().name


@pytest.mark.parametrize("xet", [False, True])
def test_progress_counts_the_bytes(hub, tmp_path, xet):
    hub.xet = xet
    script = (
        "import json; from kernel_core.sources import published; calls = []\n"
        f"published.fetch_logits({OTHER.split('/')[0]!r}, 1, progress=lambda *call: calls.append(call))\n"
        "print(json.dumps(calls))"
    )
    output = forked.run(forked.code, script, env=environment(hub, tmp_path))
    assert output.returncode == 0, output.stderr
    first, *calls = json.loads(output.stdout)
    assert first == ["downloading logits, file 1 of 1 (MB)", 0, 1]
    done = [call[1] for call in calls]
    assert done == sorted(done)
    assert {(step, total) for step, _, total in calls} == {(first[0], 24)}
    assert done[-1] == 24
    assert xet or sorted(set(done)) == [10, 20, 24]


@pytest.mark.parametrize(("fault", "why"), [("503", "503 Service Unavailable"), ("html", "not JSON")])
def test_listing_that_fails_is_said(hub, tmp_path, fault, why):
    hub.faults[LOGITS_REPO] = fault
    output = run(hub, tmp_path, "sources")
    assert output.returncode == 0, output.stderr
    (message,) = output.stderr.splitlines()
    for part in (f"did not list the dataset {LOGITS_REPO}", why, hub.endpoint, "Run the command again"):
        assert part in message


def test_hub_that_is_down_is_refused(tmp_path):
    with Hub({}) as gone:
        pass
    output = build(gone, tmp_path)
    assert_refused(output, "did not list", "refused", gone.endpoint, "HF_ENDPOINT", "Run the command again")


def test_hub_that_is_down_leaves_what_is_downloaded(built):
    with Hub({}) as gone:
        pass
    assert_builds(gone, built.home, built)
    output = run(gone, built.home, "sources")
    assert output.returncode == 0, output.stderr
    downloaded = r"^cifar10-multirun/(\S+) +1 .*, already downloaded$"
    assert re.findall(downloaded, output.stdout, re.MULTILINE) == [MAIN]
    assert "the Hub did not list" in output.stderr


def test_promised_sha256_is_the_blobs_name(tmp_path):
    """Links to a blob, and a blob that is itself a link, are followed; other names are not hashes."""
    sha256, xet_hash, git_hash = "a" * 64, "b" * 64, "c" * 40
    store, blobs = tmp_path / "blobs/bb", tmp_path / "datasets--x--y/blobs"
    for folder in (store, blobs):
        folder.mkdir(parents=True)
    (store / xet_hash).write_bytes(b"content")
    (blobs / sha256).symlink_to(Path("../../blobs/bb") / xet_hash)
    (blobs / git_hash).write_bytes(b"content")
    link, link_to_link, small = (tmp_path / name for name in ("log.pt", "mine.pt", "README.md"))
    link.symlink_to(blobs / sha256)
    link_to_link.symlink_to(link)
    small.symlink_to(blobs / git_hash)
    assert [expected_sha256(path) for path in (link, link_to_link)] == [sha256, sha256]
    assert [expected_sha256(path) for path in (small, store / xet_hash)] == [None, None]
