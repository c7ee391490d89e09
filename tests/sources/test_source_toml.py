"""A wrong `source.toml` or request is refused with one message."""

import pytest

from kernel_core.errors import RequestError, SourceError
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from kernel_core.sources.source_toml import read_source_file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "cannot be read as TOML"),
        ("[images]\ntrain='a'\ntest='b'", r"no section \[ensemble\]"),
        ("[images]\n[ensemble]\nfiles=['runs/*/log.pt']", "names no images"),
        ("[images]\nfolder='x'\ntorchvision='MNIST'\n[ensemble]\nfiles=['a']", "torchvision and folder"),
        ("[images]\ntorchvision='ImageNet'\n[ensemble]\nfiles=['a']", "known: CIFAR10, CIFAR100"),
        ("[images]\ntrain='a'\ntest='b'\n[ensemble]\nfiles=[]", "expected a list"),
        ("[images]\ntrain='a'\ntest='b'\n[ensemble]\nfiles=['no/*.pt']", "no file matches 'no/\\*.pt'"),
        ("[images]\ntrain='a'\n[ensemble]\nfiles=['runs/*/log.pt']", "test is None; expected a text"),
        ("[image]\n[images]\n[ensemble]", "the top level has the key 'image'"),
        (
            "[images]\ntrain='a'\ntest='b'\n[ensemble]\nfile='x'",
            r"\[ensemble\] has the key 'file'; known: files",
        ),
    ],
)
def test_malformed_source_file_is_refused(source_folder, text, message):
    (source_folder / "source.toml").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_source(SourceRequest(str(source_folder / "source.toml")))


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"a = {nested(20_000)}", "nested too deeply"),
        (f"[{'.'.join('a' * 900)}]", "no section"),
        (f"[{'.'.join('a' * 20_000)}]", "a key has more than 1,000 parts"),
        (
            "[images]\nfolder='x'\n[ensemble]\nfiles" + ".a" * 900 + " = 1",
            r"files is \{'a': \{'a'.*\.\.\.",
        ),
        ("[images]\nfolder='x'\n[ensemble]\nfiles='/**/a.pt'", "searches the whole of /; expected"),
        ("[images]\nfolder='x'\n[ensemble]\nfiles='" + "../" * 50 + "**/a.pt'", "searches the whole of /"),
        (f"a = {'9' * 100_000}", "cannot be read as TOML"),
        (
            "[images]\nfolder='x'\n[ensemble]\nfiles=['runs/*/log.pt', \"a\\u0000*\"]",
            "no file matches 'a.x00",
        ),
        ("\xff", "cannot be read as TOML"),
    ],
)
def test_hostile_source_file_is_refused(source_folder, text, message):
    (source_folder / "source.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=message) as refused:
        open_source(SourceRequest(str(source_folder / "source.toml")))
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize("pattern", ["runs/*/log.pt", "**/" * 100 + "log.pt"])
def test_patterns_match_below_a_folder_of_any_name(source_folder, pattern):
    odd = source_folder.rename(source_folder.with_name("source [1] *"))
    description = odd / "source.toml"
    description.write_text(description.read_text().replace("runs/*/log.pt", pattern))
    logits = open_source(SourceRequest(str(odd))).logits
    assert [path.relative_to(odd).as_posix() for path in logits] == ["runs/a/log.pt", "runs/b/log.pt"]


def test_name_is_one_short_line(source_folder):
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.replace("planted", "a\\u001b[31m\\n" + "n" * 10**6))
    name = open_source(SourceRequest(str(source_folder))).name
    assert name.startswith(r"a\x1b[31m\nnnn")
    assert len(name) == 200


@pytest.mark.parametrize("name", ["a" * 5_000, "~nobody-here/source.toml", "a\0b", "/dev/zero"])
def test_impossible_path_is_no_source(name):
    with pytest.raises(SourceError, match="no such file exists"):
        open_source(SourceRequest(name))


def test_unknown_source_lists_the_known_ones():
    with pytest.raises(SourceError, match=r"Known: digits, .*cifar10-multirun, .*source\.toml"):
        open_source(SourceRequest("cifar1000"))


def test_fewer_than_two_runs_are_refused_before_anything_is_opened():
    with pytest.raises(RequestError, match="ask for 2 or more"):
        SourceRequest("digits", run_count=1)


def test_home_with_brackets_in_its_own_name_is_no_pattern(source_folder, monkeypatch):
    home = source_folder.with_name("[me]")
    source_folder.rename(home)
    monkeypatch.setenv("HOME", str(home))
    path = home / "elsewhere/source.toml"
    path.parent.mkdir()
    text = (home / "source.toml").read_text()
    for name in ("train.parquet", "test.parquet", "penultimate.safetensors"):
        text = text.replace(f'"{name}"', f'"~/{name.replace(".parquet", ".p*t")}"')
    path.write_text(text.replace('"runs/', '"~/runs/'))
    source = read_source_file(path)
    assert [file.parent.name for file in source.logits] == ["a", "b"]
    assert source.images.shards["train"] == (home / "train.parquet",)
