"""Folders of images are read in order; what is not an image is refused."""

import numpy as np
import pytest
from PIL import Image

from kernel_core.errors import DataError
from kernel_core.sources import images
from kernel_core.sources.decode import decode_image
from kernel_core.sources.source import ImagesFrom
from tests.support.planted import image_folder, png


def test_image_folder_is_read_in_sorted_order_whatever_the_mode(tmp_path):
    image_folder(tmp_path, {"bee": (6, 4), "ant": (6, 4)})
    Image.new("L", (6, 4), 200).save(tmp_path / "train/ant/0.png")
    Image.new("RGBA", (6, 4), (1, 2, 3, 128)).save(tmp_path / "train/ant/1.png")
    source = ImagesFrom("folder", {"folder": tmp_path})
    train = images.load_examples(source, "train")
    assert train.class_names == ("ant", "bee")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert train.images.shape == (6, 4, 6, 3)
    assert train.images[0, 0, 0].tolist() == [200, 200, 200]
    assert train.images[5, 0, 0].tolist() == [ord("b"), 20, 80]
    assert len(images.image_units(source)) == 4


def test_image_folders_of_mixed_sizes_are_refused(tmp_path):
    image_folder(tmp_path, {"ant": (6, 4), "bee": (6, 5)})
    with pytest.raises(DataError, match="6×5 pixels, the images before it 6×4"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "train")


def test_test_class_unknown_to_train_is_refused(tmp_path):
    image_folder(tmp_path, {"ant": (6, 4)})
    (tmp_path / "test" / "wasp").mkdir()
    Image.new("RGB", (6, 4)).save(tmp_path / "test" / "wasp" / "0.png")
    with pytest.raises(DataError, match="'wasp'"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "test")


def test_folder_without_images_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds no images; expected train/<class>"):
        images.load_examples(ImagesFrom("folder", {"folder": tmp_path}), "train")


def test_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(DataError, match="too large to be an example"):
        decode_image(png(np.zeros((9, 9, 3), np.uint8)), "x.png")
