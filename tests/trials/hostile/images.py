"""Hostile folders of images: bombs, files that are no images, odd names, links and devices."""

import os
import struct
import zlib

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.trials.hostile.case import ANY, INSTEAD, LOOP, SECRET, Case, instead_of, several

DEFLATED = 400 << 20  # bytes of pixels that a bomb unpacks to, at most


def first(place):
    """Return the path of the first test image."""
    return min((place.source / "images/test").glob("*/*.png"))


def png(width, height):
    """Return a PNG file of black pixels, deflated a thousand times."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    megabytes = min(width * height * 3, DEFLATED) >> 20
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


CONTENT = {
    "a PNG of 30,000 pixels a side": lambda: png(30_000, 30_000),
    "a PNG of 12,000 pixels a side": lambda: png(12_000, 12_000),
    "a PNG a million pixels wide": lambda: png(10**6, 80),
    "a PNG of no pixels": lambda: png(0, 0),
    "a PNG cut in its header": lambda: png(8, 8)[:20],
    "an SVG with a script": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "HTML": lambda: b"<html><script>alert(1)</script></html>",
    "PostScript that writes a file": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(x) (w) file",
    "a BMP that claims 2^31 pixels": lambda: b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, 2**31 - 1, 1, 1, 24, 0, 4, 0, 0, 0, 0
    ),
    "a GIF of 65,535 pixels a side": lambda: b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff,"
    b"\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;",
    "nothing": lambda: b"",
    "a megabyte of noise": lambda: os.urandom(1 << 20),
}  # fmt: skip


def replaced(place, make):
    first(place).write_bytes(make())


def long_text(place):
    """Put a text of 200 MB, packed, into an image."""
    about = PngInfo()
    about.add_text("x", "a" * (200 << 20), zip=True)
    Image.open(first(place)).save(first(place), pnginfo=about)


def all_large(place):
    """Make every image large, and ask for a small size."""
    content = png(9_000, 9_000)
    for path in (place.source / "images").rglob("*.png"):
        path.write_bytes(content)
    description = place.source / "source.toml"
    description.write_text(description.read_text().replace("[images]", "[images]\nsize = 32"))


def class_named(place, name):
    for split in ("train", "test"):
        folder = os.fsencode(place.source / "images" / split)
        os.rename(folder + b"/bee", folder + b"/" + name)


NAMES = {
    "of 250 bytes": b"c" * 250,
    "that a terminal obeys": b"\x1b[31mred\n\x07",
    "that is no text": b"\xff\xfe",
    "of markup": b"<script>alert(1)<&script>",
    "of a reversed direction": "\u202eab".encode(),
    "of a shell's words": b"$(touch x); `y` && z",
    "that begins with a dot": b".hidden",
}


def link_to_above(place):
    """Make a class a link to the folder that holds it."""
    (place.source / "images/test/zoo").symlink_to("..")


def many_classes(place):
    for split in ("train", "test"):
        for number in range(3_000):
            (place.source / "images" / split / f"class {number}").mkdir()


def class_is_a_file(place):
    for split in ("train", "test"):
        (place.source / "images" / split / "zebra").write_text(SECRET)


def deep_folders(place):
    folder = place.source / "images/test/zoo"
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(500):  # beyond the longest path that the system takes
        os.mkdir("d" * 9, dir_fd=here)
        below = os.open("d" * 9, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def case(make, expected=ANY):
    return Case(make, expected, "folder")


CASES = {
    **several("image is", replaced, CONTENT, images="folder"),
    **several("image is", instead_of(first), {**INSTEAD, **LOOP}, images="folder"),
    **several("class", class_named, NAMES, ANY, images="folder"),
    "image with 200 MB of text": case(long_text),
    "images of 9,000 pixels to be made small": case(all_large),
    "class is a link to its own folder": case(link_to_above),
    "class is a file": case(class_is_a_file),
    "three thousand classes": case(many_classes),
    "folders nested beyond the longest path": case(deep_folders),
}
