"""Labeled datasets of the Hub by the real client, over HTTP, from a stand-in for the Hub."""

import re
import tomllib

import numpy as np
import pytest

from kernel_core.errors import SourceError
from kernel_core.sources.hub_images import described
from tests.sources.test_hub import assert_refused, environment
from tests.support import forked
from tests.support.hub_server import CONVERTED, Hub
from tests.support.planted import write_log, write_parquet

PETS, FINE, RAW, TWO, VALIDATED = "owner/pets", "owner/fine", "owner/raw", "owner/two", "owner/validated"
COUNT = {"train": 60, "test": 20}
NAMES = ("cat", "dog", "owl", "fox")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Bytes of Parquet files: train in two parts, test in one."""
    path, rng = tmp_path_factory.mktemp("parquet") / "file", np.random.default_rng(0)
    files = {}
    for name, count in (("train0", 40), ("train1", 20), ("test", 20)):
        pixels = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        write_parquet(path, pixels, np.arange(count) % 4, NAMES)
        files[name] = path.read_bytes()
    return files


@pytest.fixture(scope="module")
def server(shards):
    train = {f"data/train-0000{i}-of-00002.parquet": shards[f"train{i}"] for i in (0, 1)}
    test = {"data/test-00000-of-00001.parquet": shards["test"]}
    converted = {
        "default/train/0000.parquet": shards["train0"],
        "default/train/0001.parquet": shards["train1"],
    }
    converted["default/test/0000.parquet"] = shards["test"]
    card = {"README.md": b"# A card"}
    two = {f"{c}/{s}-00000-of-00001.parquet": shards["test"] for c in ("big", "small") for s in COUNT}
    validated = {"data/validation-00000-of-00001.parquet": shards["test"]}
    repos = {
        PETS: train | test | card,
        RAW: {"images.zip": b"PK", **card},
        RAW + CONVERTED: converted,
        TWO: two,
        VALIDATED: train | validated,
        "owner/none": card,
    }
    with Hub(repos) as running:
        yield running


@pytest.fixture
def hub(server):
    server.heal()
    yield server
    server.heal()


@pytest.fixture
def source(tmp_path):
    """A folder with logits; call it with the lines of [images] to write the source.toml."""

    def write(*lines):
        rng = np.random.default_rng(1)
        logits = {s: rng.normal(size=(8, n, 4)).astype(np.float16) for s, n in COUNT.items()}
        (tmp_path / "source/runs").mkdir(parents=True, exist_ok=True)
        write_log(tmp_path / "source/runs/log.pt", logits["test"], logits["train"])
        text = "\n".join(["[images]", *lines, "[ensemble]", 'files = ["runs/log.pt"]\n'])
        (tmp_path / "source/source.toml").write_text(text)
        return tmp_path / "source"

    return write


def build(hub, home, source, **settings):
    return forked.cli("build", source, "--similarity", "kernel", env=environment(hub, home, **settings))


def test_source_names_a_dataset_and_nothing_is_fetched_twice(hub, tmp_path, source):
    folder = source(f'hub = "{PETS}"')
    output = build(hub, tmp_path, folder)
    assert output.returncode == 0, output.stderr
    assert output.stdout.startswith("source: 8 runs, 60 train and 20 test examples")
    assert "downloading train images, file 2 of 2 (MB) …" in output.stderr
    assert sorted(hub.fetched()) == sorted(f for f in hub.repos[PETS] if f.endswith(".parquet"))
    for settings in ({}, {"HF_HUB_OFFLINE": "1"}):
        hub.log.clear()
        again = build(hub, tmp_path, folder, **settings)
        assert again.stdout == output.stdout
        assert hub.log == []


def test_dataset_without_parquet_is_read_from_what_the_hub_made_of_it(hub, tmp_path, source):
    output = build(hub, tmp_path, source(f'hub = "{RAW}"'))
    assert output.returncode == 0, output.stderr
    assert "60 train and 20 test examples" in output.stdout
    assert len(hub.fetched()) == 3


def test_split_of_another_name_and_one_of_several_configurations(hub, tmp_path, source):
    output = build(hub, tmp_path, source(f'hub = "{VALIDATED}"', 'splits = {test = "validation"}'))
    assert output.returncode == 0, output.stderr
    folder = source(f'hub = "{TWO}"', 'config = "small"')
    output = build(hub, tmp_path, folder)  # 20 training images, but logits of 60
    assert_refused(output, "train", "60", "20")
    assert {file.split("/")[0] for file in hub.fetched() if "/train-00000-of-00001" in file} == {"small"}


def test_revision_is_kept_to(hub, tmp_path, source):
    commit = hub.commit(PETS)
    output = build(hub, tmp_path, source(f'hub = "{PETS}"', f'revision = "{commit}"'))
    assert output.returncode == 0, output.stderr
    output = build(
        hub, tmp_path, source(f'hub = "{PETS}"', 'revision = "absent"'), HF_HOME=str(tmp_path / "new")
    )
    assert_refused(output, PETS, "404", "correct the name")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ((f'hub = "{VALIDATED}"',), ("no split 'test'", "it has train, validation", 'splits = {test = ')),
        ((f'hub = "{TWO}"',), ("several configurations", "big, small", 'config = "big"')),
        ((f'hub = "{TWO}"', 'config = "huge"'), ("no configuration 'huge'", "big, small")),
        (('hub = "owner/none"',), ("404",)),
        (('hub = "owner/absent"',), ("404",)),
        (('hub = "https://huggingface.co/x/y"',), ("expected a dataset of the Hub",)),
        ((f'hub = "{PETS}"', 'folder = "x"'), ("names folder and hub",)),
    ],
)  # fmt: skip
def test_what_the_hub_lacks_is_said(hub, tmp_path, source, lines, says):
    assert_refused(build(hub, tmp_path, source(*lines)), *says)


def test_missing_shard_is_noticed_offline(hub, tmp_path, source):
    folder = source(f'hub = "{PETS}"')
    assert build(hub, tmp_path, folder).returncode == 0
    (shard,) = (tmp_path / "hub").glob("*/snapshots/*/data/train-00001-of-00002.parquet")
    shard.unlink()
    output = build(hub, tmp_path, folder, HF_HUB_OFFLINE="1")
    assert_refused(output, "has 1 of the files data/train-00000-of-00002.parquet", "expected 2")
    assert build(hub, tmp_path, folder).returncode == 0


@pytest.mark.slow  # two networks are trained
def test_training_takes_a_dataset_and_the_folder_names_it(hub, tmp_path):
    words = (
        "train",
        "cifar10-small",
        "--images",
        f"hub:{PETS}",
        "--epochs",
        "1",
        "--runs",
        "2",
        "--workers",
        "1",
    )
    out = tmp_path / "out"
    output = forked.cli(*words, "--size", "32", "--out", out, env=environment(hub, tmp_path))
    assert output.returncode == 0, output.stderr
    images = tomllib.loads((out / "source.toml").read_text())["images"]
    assert images == {"hub": PETS, "revision": hub.commit(PETS), "size": 32}
    output = build(hub, tmp_path, out, HF_HUB_OFFLINE="1")
    assert output.returncode == 0, output.stderr


def test_writer_takes_a_dataset(hub, tmp_path):
    script = (
        "import numpy as np\nfrom kernel_core import EnsembleWriter\n"
        f"with EnsembleWriter({str(tmp_path / 'out')!r}, images='hub:{PETS}') as writer:\n"
        "    for run in range(2):\n"
        "        rng = np.random.default_rng(run)\n"
        "        logits = {'test': rng.normal(size=(20, 4)), 'train': rng.normal(size=(60, 4))}\n"
        "        writer.add(run, logits=logits)\n"
    )
    output = forked.run(forked.code, script, env=environment(hub, tmp_path))
    assert output.returncode == 0, output.stderr
    assert f'hub = "{PETS}"' in (tmp_path / "out/source.toml").read_text()


def test_text_names_repository_columns_and_splits():
    images = described("hub:uoft-cs/cifar100?label=fine_label&config=cifar100&test=val&revision=main")
    assert images.hub == {"hub": "uoft-cs/cifar100", "config": "cifar100", "revision": "main"}
    assert images.columns == {"label": "fine_label"}
    assert images.split_names == {"test": "val"}
    for text in ("hub:", "hub:cifar100", "hub:a/b/c", "hub:a/b?labels=x", "hub:a/b?label="):
        with pytest.raises(SourceError, match=re.escape(text.partition("?")[0])):
            described(text)
