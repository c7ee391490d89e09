"""Images of every kind are decoded to what a person would see, or refused by name."""

import io
import re
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from kernel_core.errors import DataError
from kernel_core.sources import decode
from kernel_core.sources.decode import decode_image

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def saved(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(data, size=None):
    return decode_image(data, "x.png", size)


def in_rgb(gray):
    return np.repeat(gray[..., None], 3, axis=2)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_divided_by_256(form):
    values = RNG.integers(0, 2**16, (6, 8), dtype=np.uint16)
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(values), form)), in_rgb(values // 256))


def test_big_endian_sixteen_bits_are_divided_by_256():
    values = RNG.integers(0, 2**16, (6, 8)).astype(">u2")
    image = Image.frombytes("I;16B", (8, 6), values.tobytes())
    np.testing.assert_array_equal(decoded(saved(image, "TIFF")), in_rgb(values // 256))


@pytest.mark.parametrize(
    ("dtype", "words"), [(np.float32, "floating-point numbers"), (np.int32, "32-bit whole numbers")]
)
def test_numbers_without_a_scale_are_refused_by_name(dtype, words):
    data = saved(Image.fromarray(GRAY.astype(dtype)), "TIFF")
    with pytest.raises(DataError, match=rf"x\.png cannot be read .*its pixels are {words}; expected 8 or 16"):
        decoded(data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form, options in (("PNG", {}), ("JPEG", {"quality": 100, "subsampling": 0}), ("TIFF", {})):
        data = saved(Image.fromarray(COLOR), form, exif=exif, **options)
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        np.testing.assert_array_equal(decoded(data), np.asarray(expected))
    assert decoded(data).shape == ((8, 6, 3) if orientation >= 5 else (6, 8, 3))


def test_malformed_metadata_say_nothing():
    plain = saved(Image.fromarray(COLOR), "JPEG")
    for marker in (
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"http://ns.adobe.com/xap/1.0/\0<\xa8\xff tiff:Orientation/>",
    ):
        block = b"\xff\xe1" + (len(marker) + 2).to_bytes(2, "big") + marker
        np.testing.assert_array_equal(decoded(plain[:2] + block + plain[2:]), decoded(plain))


def on_white(rgba):
    color, alpha = rgba[..., :3].astype(int), rgba[..., 3:].astype(int)
    return (color * alpha + 255 * (255 - alpha)) / 255


def test_transparency_is_laid_on_white():
    rgba = RNG.integers(0, 256, (6, 8, 4), dtype=np.uint8)
    np.testing.assert_allclose(decoded(saved(Image.fromarray(rgba))), on_white(rgba), atol=1)
    la = Image.merge("LA", (Image.fromarray(GRAY), Image.fromarray(rgba[..., 3])))
    layers = np.concatenate([in_rgb(GRAY), rgba[..., 3:]], axis=2)
    np.testing.assert_allclose(decoded(saved(la)), on_white(layers), atol=1)
    opaque = np.concatenate([COLOR, np.full((6, 8, 1), 255, np.uint8)], axis=2)
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(opaque))), COLOR)
    palette = Image.fromarray(GRAY // 128).convert("P")
    seen = decoded(saved(palette, transparency=0))
    assert (seen[GRAY < 128] == 255).all()
    assert (seen[GRAY >= 128] == 1).all()
    colored = Image.fromarray(COLOR)
    assert (decoded(saved(colored, transparency=tuple(COLOR[0, 0].tolist())))[0, 0] == 255).all()


def test_other_modes_and_first_frames():
    bits = GRAY > 128
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(bits))), in_rgb(bits * np.uint8(255)))
    cmyk = Image.fromarray(COLOR).convert("CMYK")
    for form in ("JPEG", "TIFF"):
        data = saved(cmyk, form)
        np.testing.assert_array_equal(decoded(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    pages = [Image.fromarray(COLOR), Image.fromarray(255 - COLOR)]
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = saved(pages[0], form, save_all=True, append_images=pages[1:], **options)
        np.testing.assert_array_equal(decoded(data), COLOR)


def test_no_warning_of_pillow_reaches_the_terminal():
    palette = Image.fromarray(COLOR).quantize(16)
    data = saved(palette, transparency=bytes([0] * 8 + [255] * 8))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        decoded(data)
    assert not seen


def test_huge_photos_are_shrunk_while_they_are_read(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000)
    photo = Image.fromarray(np.kron(COLOR, np.ones((40, 40, 1), np.uint8)))  # 320×240
    data = saved(photo, "JPEG", quality=95)
    small = decoded(data, 8)
    assert small.shape == (8, 8, 3)
    whole = ImageOps.fit(photo, (8, 8), Image.Resampling.BICUBIC)
    assert np.abs(small.astype(int) - np.asarray(whole)).mean() < 6
    with pytest.raises(DataError, match="too large to be an example"):
        decoded(data)
    with pytest.raises(DataError, match="too large to be an example"):
        decoded(saved(photo), 8)  # PNG cannot be shrunk while it is read


def test_small_file_of_a_huge_image_is_refused():
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = 30_000
    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    for size in (None, 32):
        with pytest.raises(DataError, match="too large to be an example"):
            decoded(bomb, size)


def test_broken_image_is_named(tmp_path):
    path = tmp_path / "3.jpg"
    path.write_bytes(saved(Image.fromarray(COLOR), "JPEG")[:-40])
    for size in (None, 8):
        with pytest.raises(DataError, match=re.escape(f"{path} cannot be read as an image (")):
            decode_image(path, str(path), size)


def test_memory_is_that_of_the_container(tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text("1000\n")
    assert decode.memory_here(limit) == 1000
    limit.write_text("max\n")
    assert decode.memory_here(limit) > 10**8
