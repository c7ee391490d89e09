"""What is seen of a source's files that change below its results."""

import os

import pytest

from kernel_core.errors import NotBuilt
from kernel_core.pipeline import build
from kernel_core.results.changes import changed_files, file_states
from kernel_core.results.nearby import Nearby
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from tests.support.planted import image_folder, write_log


def changes(folder, harm):
    """What is seen to have changed in a source after something was done to it."""
    request = SourceRequest(str(folder))
    before = file_states(request)
    assert changed_files(before, file_states(request)) == []
    harm(folder)
    return changed_files(before, file_states(request))


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda folder: os.utime(folder / "runs/a/log.pt", (1, 1)), ["a/log.pt"]),
        (lambda folder: (folder / "train.parquet").write_bytes(b""), ["source/train.parquet"]),
        (lambda folder: (folder / "penultimate.safetensors").unlink(), ["source/penultimate.safetensors"]),
        (lambda folder: write_log_beside(folder), ["c/log.pt"]),
    ],
)
def test_file_that_changed_came_or_went_is_named(source_folder, harm, expected):
    assert changes(source_folder, harm) == expected


def write_log_beside(folder):
    (folder / "runs/c").mkdir()
    (folder / "runs/c/log.pt").write_bytes((folder / "runs/a/log.pt").read_bytes())


def test_source_that_cannot_be_opened_any_more_has_changed(source_folder):
    changed = changes(source_folder, lambda folder: (folder / "source.toml").write_text("nonsense"))
    assert "source/source.toml" in changed


def test_image_added_to_a_folder_is_seen(source_folder):
    image_folder(source_folder / "images", {"cat": (8, 8), "dog": (8, 8)})
    text = (source_folder / "source.toml").read_text()
    text = text.replace('train = "train.parquet"\ntest = "test.parquet"', 'folder = "images"')
    (source_folder / "source.toml").write_text(text)
    added = "images/train/dog/9.png"
    assert changes(source_folder, lambda folder: (folder / added).write_bytes(b"")) == ["train/dog"]


@pytest.mark.parametrize("inside", ["", "train"])
def test_images_alone_that_change_are_seen(tmp_path, inside):
    image_folder(tmp_path / "pets", {"cat": (8, 8), "dog": (8, 8)})
    folder = tmp_path / "pets" / inside
    assert changes(folder, lambda folder: os.remove(next(folder.rglob("dog/0.png"))))
    assert f"{folder.name}/elk" in changes(folder, lambda folder: (folder / "elk").mkdir())
    assert f"{folder.name}/source.toml" in changes(folder, lambda folder: (folder / "source.toml").touch())


def test_results_are_not_mixed_with_files_that_changed(source_folder, cache, planted):
    request = SourceRequest(str(source_folder))
    results = build(request)
    assert set(Nearby(request, results, Store()).vectors("penultimate")) == {"train", "test"}
    write_log(source_folder / "runs/b/log.pt", planted.test[14:] + 1, planted.train[14:])
    for similarity in ("kernel", "penultimate"):
        with pytest.raises(NotBuilt, match=r"The files of planted changed since these results were built\."):
            Nearby(request, results, Store()).vectors(similarity)
    with pytest.raises(NotBuilt):
        open_results(request)
