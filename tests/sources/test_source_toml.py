"""A wrong `source.toml` or request is refused with one message."""

import pytest

from kernel_core.errors import RequestError, SourceError
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest


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


def test_unknown_source_lists_the_known_ones():
    with pytest.raises(SourceError, match=r"Known: digits, cifar10-multirun, .*source\.toml"):
        open_source(SourceRequest("cifar100"))


def test_fewer_than_two_runs_are_refused_before_anything_is_opened():
    with pytest.raises(RequestError, match="ask for 2 or more"):
        SourceRequest("digits", run_count=1)
