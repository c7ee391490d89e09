"""Images go from their files into mapped entries, block by block; larger ones get thumbnails for tiles."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kernel_core.pipeline import images as step
from kernel_core.pipeline.build import build
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.review import judged
from kernel_core.review.verdicts import pixel_hash
from kernel_core.sources.source import SourceRequest
from tests.support.planted import CLASS_NAMES, write_parquet

SIDE = 120  # pixels of images that are larger than thumbnails


@pytest.fixture
def photos(source_folder, planted):
    """The source with images larger than thumbnails: smooth ones, as photos are."""
    rng = np.random.default_rng(2)
    for split, labels in (("train", planted.train_labels), ("test", planted.test_labels)):
        small = rng.integers(0, 256, (len(labels), 4, 4, 3), np.uint8)
        images = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for image in small]
        write_parquet(source_folder / f"{split}.parquet", np.stack(images), labels, CLASS_NAMES)
    return source_folder


def opened(folder):
    return open_results(SourceRequest(str(folder)))


def test_images_are_mapped_with_hashes_and_thumbnails(photos, cache):
    results = build(SourceRequest(str(photos)))
    for of in (*results.examples.values(), *opened(photos).examples.values()):
        assert isinstance(of.images, np.memmap)
        assert isinstance(of.thumbnails, np.memmap)
        assert of.small.shape == (len(of), 96, 96, 3)
        for index in (0, len(of) - 1):
            assert of.sha256[index].tobytes().hex() == pixel_hash(of.images[index])
            shrunk = Image.fromarray(of.images[index]).resize((96, 96), Image.Resampling.BICUBIC)
            np.testing.assert_array_equal(of.thumbnails[index], np.asarray(shrunk))


def test_small_images_are_their_own_thumbnails(source_folder, cache):
    build(SourceRequest(str(source_folder)))
    assert not (cache / "thumbnails").exists()
    of_test = opened(source_folder).examples["test"]
    assert of_test.small is of_test.images


def test_opening_reads_and_hashes_no_image(photos, cache, monkeypatch):
    build(SourceRequest(str(photos)))
    monkeypatch.setattr(judged, "pixel_hash", None)
    monkeypatch.setattr("kernel_core.results.store.digest_of_file", None)
    results = opened(photos)
    item = judged.PixelHashes(results.examples).item(("test", 3))
    assert item.sha256 == pixel_hash(results.examples["test"].images[3])


def test_interrupted_build_decodes_no_split_twice(photos, cache, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(step, "keep_looks", fail)
        with pytest.raises(KeyboardInterrupt):
            build(SourceRequest(str(photos)))
    assert not (cache / "examples").exists()
    written = {path: path.stat().st_mtime_ns for path in (cache / "images").iterdir()}
    assert len(written) == 2
    monkeypatch.setattr(step, "write_images", fail)
    results = build(SourceRequest(str(photos)))
    assert {path: path.stat().st_mtime_ns for path in (cache / "images").iterdir()} == written
    assert results.examples["train"].sha256 is not None


@pytest.mark.parametrize("kind", ["images", "thumbnails", "examples"])
def test_lost_entry_is_built_again_alone(photos, cache, kind):
    results = build(SourceRequest(str(photos)))
    before = {
        path: path.read_bytes() for path in cache.glob("*/*.safetensors") if path.parent.name != "hashes"
    }
    lost = min((cache / kind).iterdir())
    lost.unlink()
    again = build(SourceRequest(str(photos)))
    assert again.id == results.id
    assert {path: path.read_bytes() for path in before} == before


def test_entry_of_an_older_version_is_neither_read_nor_in_the_way(photos, cache):
    """Its kind is the same, its key another; neighbors keep theirs."""
    results = build(SourceRequest(str(photos)))
    store = Store(cache)
    arrays = {f"{split}_images": np.zeros((3, 2, 2, 3), np.uint8) for split in ("train", "test")}
    key = next((cache / "examples").iterdir()).stem
    store.write("examples", key[::-1], arrays, {"class_names": ["a"]}, about="as older versions wrote it")
    np.testing.assert_array_equal(opened(photos).examples["test"].images, results.examples["test"].images)


def test_tiles_are_a_few_kilobytes_and_large_images_exact(photos, cache, monkeypatch):
    from pages.ui import load, pictures

    results = build(SourceRequest(str(photos)))
    monkeypatch.setitem(load.by_id, results.id, results)
    tile, whole = (picture(results.id, "test", 5) for picture in (pictures.tile, pictures.whole))
    assert tile.startswith("data:image/webp;base64,")
    assert len(tile) < 6_000 < len(whole)
    assert decoded(tile).shape == (96, 96, 3)
    np.testing.assert_array_equal(decoded(whole), results.examples["test"].images[5])


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
