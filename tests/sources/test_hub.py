"""The published ensemble and CIFAR-10 over real HTTP, by the real client, from a stand-in for the Hub."""

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from kernel_core.errors import DataError, DownloadError, NotBuilt
from kernel_core.sources import images, torchvision_images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.hub import FIRST_FILE as FIRST
from kernel_core.sources.hub import IMAGES_REPO, LOGITS_REPO, expected_sha256
from kernel_core.sources.source import SourceRequest
from tests.support import forked
from tests.support.command import run_cli
from tests.support.hub_server import Hub
from tests.support.planted import write_log, write_parquet

MAIN = FIRST.split("/")[0]
SECOND = f"{MAIN}/3b1d9c1e-0000-4000-8000-000000000002/log.pt"  # sorts before the first file
OTHER = "logs_of_another_recipe/9a2f7c55-0000-4000-8000-000000000003/log.pt"  # 24 MB
COUNT = {"train": 2000, "test": 200}
LABELS = {split: np.arange(count) % 10 for split, count in COUNT.items()}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLOSED = "http://127.0.0.1:9"  # the discard service, which nobody runs
SETTINGS = ("HF_", "KERNEL_EXPLORER_", "TORCH_HOME", "TRANSFORMERS_OFFLINE")


def log_file(path, seed, padding=0):
    """A log.pt of 8 runs that are right more often than not."""
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
    write_parquet(path, pixels, LABELS[split], CLASSES)
    return path.read_bytes()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The Hub with both repositories; its real names, small files."""
    path = tmp_path_factory.mktemp("repositories") / "file"
    logits = {FIRST: log_file(path, 1), SECOND: log_file(path, 2), OTHER: log_file(path, 3, 24_000_000)}
    parquet = {f"plain_text/{split}-00000-of-00001.parquet": parquet_file(path, split) for split in COUNT}
    other = {"README.md": b"# A card", ".gitattributes": b"", f"{MAIN}/log.pt": b"", f"{MAIN}/a/code.py": b""}
    with Hub({LOGITS_REPO: logits | other, IMAGES_REPO: parquet | {"README.md": b"# A card"}}) as running:
        yield running


@pytest.fixture
def hub(server):
    """The Hub without faults, its log empty."""
    server.heal()
    yield server
    server.heal()


def environment(hub, home, **settings):
    """A user's environment: everything is kept below `home`, and only 127.0.0.1 can be reached."""
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
    """What `build` did in an empty home: its output, and the requests it made."""

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
    """A copy of the built home without the logits: results and images are there, so that a build is short."""
    return copy_home(built, tmp_path / "home")


def copy_home(built, path):
    leave_out = shutil.ignore_patterns(repo_folder(LOGITS_REPO))
    return shutil.copytree(built.home, path, symlinks=True, ignore=leave_out)


def repo_folder(repo):
    return f"datasets--{repo.replace('/', '--')}"


def files_here(home, repo=LOGITS_REPO):
    """What the client has of a repository: whole or partial, linked or not."""
    found = (home / "hub" / repo_folder(repo)).rglob("*")
    return sorted(path for path in found if path.is_file() and ".no_exist" not in path.parts)


def assert_refused(output, *parts):
    """It failed with one message, which holds `parts`; nothing on stdout, no traceback."""
    assert output.returncode == 1, output.stderr
    assert output.stdout == ""
    assert "Traceback" not in output.stderr
    (message,) = (line for line in output.stderr.splitlines() if line.startswith("Error: "))
    for part in parts:
        assert part in message


def assert_builds(hub, home, built):
    """It builds, to the same result."""
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
    """Result on stdout; on stderr every step, downloads included, by name."""
    assert re.fullmatch(
        r"cifar10-multirun: 8 runs, 2,000 train and 200 test examples.*\n", built.output.stdout
    )
    steps = built.output.stderr.splitlines()
    downloads = [
        "logits, file 1 of 1 (MB)",
        "CIFAR-10 by torchvision",
        "train images (MB)",
        "test images (MB)",
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
    """What came before the cut is not asked for again; the client keeps it by blocks of 10 MiB."""
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
    """More files than there are, and a configuration that is not: the message says what there is."""
    with ThreadPoolExecutor() as pool:
        too_many = pool.submit(build, hub, built.home, "cifar10-multirun", "--files", "9")
        unknown = pool.submit(build, hub, built.home, "cifar10-multirun/nothing")
    assert_refused(too_many.result(), "9 files were asked for", f"{MAIN} has 2", "ask for fewer")
    known = (f"cifar10-multirun/{file.split('/')[0]}" for file in (FIRST, OTHER))
    assert_refused(unknown.result(), "no training configuration 'nothing'", *known)


@dataclass(frozen=True)
class Broken:
    """A fault, what its message says, and whether Xet storage is on; `advice` is what the message says to set."""

    fault: str
    says: tuple
    xet: bool = False
    advice: tuple = ()


INCOMPLETE = "did not arrive complete"
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
    """Of every row of BROKEN, several at a time: the failed build, the files that it left, the build after, and what that fetched."""

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
    """One message, nothing left that passes for a file, and the next run succeeds, to the same result."""
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
    """The message names a file to delete; once that is done, the next run downloads it."""
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
    """The client keeps them in a store that goes by Xet's own hash: neither is that taken for the SHA-256, nor a
    damaged file taken from that store again."""
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
        "import json; from kernel_core.sources import hub; calls = []\n"
        f"hub.fetch_logits({OTHER.split('/')[0]!r}, 1, progress=lambda *call: calls.append(call))\n"
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
    for part in (f"did not list the dataset {LOGITS_REPO}", why, hub.endpoint, "run the command again"):
        assert part in message


def test_hub_that_is_down_is_refused(tmp_path):
    with Hub({}) as gone:
        pass
    output = build(gone, tmp_path)
    assert_refused(output, "did not list", "refused", gone.endpoint, "HF_ENDPOINT", "run the command again")


def test_hub_that_is_down_leaves_what_is_downloaded(built):
    with Hub({}) as gone:
        pass
    assert_builds(gone, built.home, built)
    output = run(gone, built.home, "sources")
    assert output.returncode == 0, output.stderr
    downloaded = r"^cifar10-multirun/(\S+) +1 .*, already downloaded$"
    assert re.findall(downloaded, output.stdout, re.MULTILINE) == [MAIN]
    assert "the Hub is out of reach" in output.stderr


def test_promised_sha256_is_the_blobs_name(tmp_path):
    """Through any links before it and whatever it is a link to; no other file's name is a promise."""
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


HOST = "www.host.example/~cifar"  # the repository that stands for torchvision's host
ARCHIVE = "cifar-10-python.tar.gz"


def batches(rng):
    """CIFAR-10's archive with 4 examples a batch; its images (N, 32, 32, 3) and labels, in order."""
    packed, arrays, labels = {}, [], []
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        rows = rng.integers(0, 256, (4, 3072), dtype=np.uint8)  # a row: all red, all green, all blue
        numbers = rng.integers(0, 10, 4).tolist()
        content = {"batch_label": name, "labels": numbers, "data": rows, "filenames": ["a.png"] * 4}
        packed[name] = pickle.dumps(content, protocol=2)
        arrays.append(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels += numbers
    packed["batches.meta"] = pickle.dumps({"label_names": list(CLASSES), "num_vis": 3072}, protocol=2)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in packed.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue(), packed, np.concatenate(arrays), np.array(labels)


@pytest.fixture
def host(monkeypatch, tmp_path):
    """torchvision's host with a small CIFAR-10, and a source.toml that asks for it."""
    import torchvision  # seconds, for the tests of it alone

    archive, packed, pixels, labels = batches(np.random.default_rng(0))
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in packed.items()}
    names = list(packed)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Hub({HOST: {ARCHIVE: archive}}) as running:
        cifar10 = torchvision.datasets.CIFAR10
        monkeypatch.setattr(cifar10, "url", f"{running.cdn}/cdn/{HOST}/{ARCHIVE}")
        monkeypatch.setattr(cifar10, "tgz_md5", hashlib.md5(archive).hexdigest())
        monkeypatch.setattr(cifar10, "train_list", [[name, md5[name]] for name in names[:5]])
        monkeypatch.setattr(cifar10, "test_list", [[names[5], md5[names[5]]]])
        meta = {"filename": names[6], "key": "label_names", "md5": md5[names[6]]}
        monkeypatch.setattr(cifar10, "meta", meta)
        running.expected = {"train": (pixels[:20], labels[:20]), "test": (pixels[20:], labels[20:])}
        running.datasets = torchvision.datasets
        running.source = tmp_path / "source.toml"
        running.source.write_text(
            '[images]\ntorchvision = "CIFAR10"\nroot = "data"\n[ensemble]\nfiles = ["runs/log.pt"]\n'
        )
        write_log(
            tmp_path / "runs/log.pt", np.zeros((2, 4, 10), np.float16), np.zeros((2, 20, 10), np.float16)
        )
        yield running


def open_toml(host, offline=False):
    return open_source(SourceRequest(str(host.source)), offline=offline)


def assert_in_order(source, host):
    for split, (pixels, labels) in host.expected.items():
        examples = images.load_examples(source.images, split)
        np.testing.assert_array_equal(examples.images, pixels)
        np.testing.assert_array_equal(examples.labels, labels)
        assert examples.class_names == CLASSES


def test_torchvision_downloads_and_reads_in_order(host, capsys):
    with pytest.raises(NotBuilt):
        open_toml(host, offline=True)
    assert host.log == []
    assert_in_order(open_toml(host), host)
    assert set(host.fetched()) == {ARCHIVE}
    assert capsys.readouterr().out == ""
    host.heal()
    assert_in_order(open_toml(host, offline=True), host)
    open_toml(host)
    assert host.log == []


def test_torchvision_host_out_of_reach_is_refused_each_time(host, monkeypatch):
    monkeypatch.setattr(host.datasets.CIFAR10, "url", f"{CLOSED}/{ARCHIVE}")
    for _ in range(2):
        with pytest.raises(DownloadError, match=r"could not fetch CIFAR10 into .*refused.*run again"):
            open_toml(host)


def test_torchvision_host_that_falls_silent_is_refused(host, monkeypatch):
    monkeypatch.setattr(torchvision_images, "TIMEOUT", 0.2)
    host.faults[ARCHIVE] = "stall"
    with pytest.raises(DownloadError, match=r"could not fetch CIFAR10 .*timed out"):
        open_toml(host)
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("fault", ["cut always", "reset", "short", "flip", "503 body"])
def test_torchvision_archive_that_comes_broken_is_refused_and_heals(host, fault):
    host.faults[ARCHIVE] = fault
    with pytest.raises(DownloadError, match="could not fetch CIFAR10"):
        open_toml(host)
    host.heal()
    assert_in_order(open_toml(host), host)


def test_torchvision_extraction_that_broke_off_is_done_anew(host):
    """Its folder is there, a file in it is not."""
    source = open_toml(host)
    (source.images.paths["root"] / "cifar-10-batches-py/data_batch_5").unlink()
    assert_in_order(open_toml(host), host)


def test_torchvision_file_that_is_damaged_is_refused_and_the_advice_helps(host):
    source = open_toml(host)
    folder = source.images.paths["root"] / "cifar-10-batches-py"
    (folder / "data_batch_5").write_bytes(b"")
    with pytest.raises(
        DataError, match=f"cannot read CIFAR10 .* delete {re.escape(str(folder))} and run again"
    ):
        images.load_examples(open_toml(host).images, "train")
    shutil.rmtree(folder)
    assert_in_order(open_toml(host), host)


def test_torchvision_download_that_failed_is_tried_again(host, monkeypatch):
    """torchvision makes the folder of MNIST and its kin before it asks for anything."""
    monkeypatch.setattr(host.datasets.MNIST, "mirrors", [f"{CLOSED}/"])
    host.source.write_text(host.source.read_text().replace("CIFAR10", "MNIST"))
    for _ in range(2):
        with pytest.raises(DownloadError, match="could not fetch MNIST"):
            open_toml(host)
