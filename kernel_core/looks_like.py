"""What a file that cannot be read looks like, by its first bytes: the advice in an error depends on it."""

from __future__ import annotations

import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from kernel_core.printable import printable

READ = 4096  # bytes looked at
WORDS = 60  # characters quoted of a title
AGAIN = "Write or download it again"
TORCH_BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the first bytes that torch wrote then


@dataclass(frozen=True)
class Looks:
    """What bytes look like; all is empty if nothing is known of them.

    form: a word or two. what: the same for people, with an article. advice: what to do, without a full stop.
    """

    form: str = ""
    what: str = ""
    advice: str = ""


UNPACK = "Unpack it first"
IMAGE = "Name it where images are expected"
FIRST_BYTES = (
    (b"version https://git-lfs", Looks("lfs", "a Git LFS pointer instead of the file",
                                       "Run git lfs pull in the folder of its repository")),
    (b"\x93NUMPY", Looks("npy", "a NumPy array (.npy)", "Give it the ending .npy, or save it in that form")),
    (TORCH_BEFORE_1_6, Looks("old torch", "a torch file of the format before torch 1.6",
                             "Load it with torch.load and save it again with torch.save")),
    (b"PAR1", Looks("parquet", "a Parquet file", "Correct the path, or save it in that form")),
    (b"PARE", Looks("parquet", "an encrypted Parquet file", "Write it without encryption")),
    (b"ARROW1", Looks("arrow", "an Arrow or Feather file", "Write it as Parquet, with pyarrow or pandas")),
    (b"\xff\xff\xff\xff", Looks("arrow", "an Arrow stream, as the datasets library caches them",
                                "Write it as Parquet, with its to_parquet")),
    (b"\x89HDF\r\n\x1a\n", Looks("hdf5", "an HDF5 file", "Load it with h5py and save its arrays")),
    (b"MATLAB 5.0", Looks("matlab", "a MATLAB file", "Load it with scipy.io and save its arrays")),
    (b"SQLite format 3", Looks("sqlite", "an SQLite database", "Write its table in that form")),
    (b"GGUF", Looks("gguf", "a GGUF model", "Save the weights with torch or safetensors")),
    (b"\x1f\x8b", Looks("gzip", "a file compressed by gzip", "Unpack it first, as with gunzip")),
    (b"BZh", Looks("bzip2", "a file compressed by bzip2", UNPACK)),
    (b"\xfd7zXZ\0", Looks("xz", "a file compressed by xz", UNPACK)),
    (b"\x28\xb5\x2f\xfd", Looks("zstd", "a file compressed by zstd", UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Looks("7z", "a 7z archive", UNPACK)),
    (b"Rar!", Looks("rar", "a RAR archive", UNPACK)),
    (b"\x89PNG", Looks("image", "an image (PNG)", IMAGE)),
    (b"\xff\xd8\xff", Looks("image", "an image (JPEG)", IMAGE)),
    (b"GIF8", Looks("image", "an image (GIF)", IMAGE)),
    (b"II*\0", Looks("image", "an image (TIFF)", IMAGE)),
    (b"MM\0*", Looks("image", "an image (TIFF)", IMAGE)),
    (b"%!PS", Looks("postscript", "a PostScript file", "Save it as PNG")),
    (b"%PDF", Looks("pdf", "a PDF document", "Save its images as PNG")),
    (b"8BPS", Looks("photoshop", "a Photoshop file", "Save it as PNG")),
    (b"\xff\xfe\0\0", Looks("utf-16", "text in UTF-32", "Save it as UTF-8")),
    (b"\xff\xfe", Looks("utf-16", "text in UTF-16", "Save it as UTF-8")),
    (b"\xfe\xff", Looks("utf-16", "text in UTF-16", "Save it as UTF-8")),
)  # fmt: skip
"""First bytes → what they are of; the first that fits counts."""


def looks_like(content: Path | bytes) -> Looks:
    """Return what a file, or bytes, look like; nothing is known of a file that cannot be read.

    Of a file, the first `READ` bytes are read, and of a zip archive the names of its members.
    """
    if isinstance(content, bytes):
        return _looks_of(content[:READ], len(content), None) if content else Looks()
    try:
        if not content.is_file():
            return Looks()
        with open(content, "rb") as file:
            return _looks_of(file.read(READ), os.fstat(file.fileno()).st_size, content)
    except (OSError, ValueError):
        return Looks()


def foreign(content: Path | bytes, name: str, expected: str, *own: str) -> str:
    """Return the message about a file that is of another form than expected; empty if it may be of that form.

    So is one whose name is not UTF-8, which the libraries that read most forms do not take.
    name: what to call the file. expected: what it should be, as in "a Parquet file". own: the forms that are
    no surprise.
    """
    if isinstance(content, Path) and not _is_named_in_utf8(content):
        return f"{name} cannot be read: its name is not UTF-8. Rename it, or the folder that is not."
    found = looks_like(content)
    if not found.form or found.form in own:
        return ""
    return f"{name} is {found.what}; expected {expected}. {found.advice}."


def _is_named_in_utf8(path: Path) -> bool:
    """Return whether the name of a file is text, as it is nearly everywhere but on old disks."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _looks_of(first: bytes, size: int, path: Path | None) -> Looks:
    if not first:
        return Looks("empty", "an empty file", f"{AGAIN}: its writing was cut short, or the disk was full")
    if not first.strip(b"\0"):
        return Looks("zeros", "a file that begins with zeros alone", f"{AGAIN}: it is incomplete")
    for beginning, looks in FIRST_BYTES:
        if first.startswith(beginning):
            return looks
    if first.startswith(b"PK\x03\x04"):
        return _looks_of_archive(path)
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return Looks("image", "an image (WebP)", IMAGE)
    if first[4:8] == b"ftyp":
        return Looks("heif", "a photo or film of a phone (HEIF, AVIF, MP4)", "Save it as PNG or JPEG")
    if first[257:262] == b"ustar":
        return Looks("tar", "a tar archive", "Unpack it first, as with tar xf")
    if first[4:9] == bytes(4) + b"{":
        return Looks("safetensors", "a safetensors file", "Give it the ending .safetensors")
    if first[:1] == b"\x80" and first[1] <= 5:
        return Looks("pickle", "a Python pickle", "Save its arrays alone: a pickle may run code")
    return _looks_of_text(first, size)


def _looks_of_archive(path: Path | None) -> Looks:
    archive = Looks("zip", "a zip archive", UNPACK)
    try:
        if path is None:
            return archive
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except Exception:  # noqa: BLE001 (a malformed archive can raise anything)
        return Looks("damaged zip", "a zip archive that is cut short or damaged", AGAIN)
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return Looks("torch", "a torch file", "Save it in that form, or correct the path")
    if names and all(name.endswith(".npy") for name in names):
        return Looks("npz", "a NumPy archive (.npz)", "Give it the ending .npz, or save it in that form")
    return archive


def _looks_of_text(first: bytes, size: int) -> Looks:
    """Quote nothing but the title of a page: the path may lead to another's file, with secrets in it."""
    whole = size <= len(first)
    try:
        text = first.decode() if whole else first[:-4].decode(errors="ignore")
    except ValueError:
        return Looks()
    if not all(c.isprintable() or c.isspace() or c == "\ufeff" for c in text):
        return Looks()
    text = text.lstrip("\ufeff \t\r\n")
    if re.match(r"<(!doctype html|html|head|body|title|script)\b", text, re.IGNORECASE):
        page = "a login or error page was saved instead of the file. Download it again, signed in if need be"
        title = re.search(r"<title[^>]*>\s*([^<]+?)\s*<", text, re.IGNORECASE)
        called = f" titled {printable(repr(title[1]), WORDS)}" if title else ""
        return Looks("html", f"an HTML page{called}", page[0].upper() + page[1:])
    if text.startswith("<svg") or "<svg" in text[:600]:
        return Looks("svg", "a drawing (SVG)", "Save it as PNG")
    if text.startswith("<"):
        advice = "It may be an error of a server, saved instead of the file. Download it again"
        return Looks("xml", "XML", advice)
    if whole and _is_json(text):
        advice = "It may be an error of a server, saved instead of the file. Download it again"
        return Looks("json", "JSON", advice)
    return Looks("text", "plain text", f"{AGAIN}, or correct the path")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return text[:1] in ("{", "[")
