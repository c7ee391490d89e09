"""The first runs of one large array on the Hub, without the rest: a `.npy` whose first axis is runs.

They are stored as a `.npy` of their own in the client's cache, under the repository's commit, with a record
of what they are. The array's header is read first and checked; then come the bytes that are asked for and no
others, by ranged requests. What has arrived stays, however a download ends, and the next goes on there; a
prefix that is there already is the beginning of a longer one.

The Hub promises the SHA-256 of the whole file alone. Of fewer runs, it is recorded as they arrived, so that
later damage is noticed.
"""

from __future__ import annotations

import io
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from kernel_core.errors import DownloadError, SourceError
from kernel_core.files import read_json, sha256_of, write_json
from kernel_core.progress import Progress
from kernel_core.sources.hub import client_errors, incomplete, repository_folder

FOLDER = "prefixes"  # in the repository's folder of the client's cache
HEAD = 4096  # bytes that hold the header of any plain array
CHUNK = 1 << 20  # bytes
log = logging.getLogger("kernel_core")


@dataclass(frozen=True)
class _Remote:
    """A file on the Hub: where its bytes are, what was promised of it, and the header of its array."""

    url: str
    headers: dict[str, str]
    etag: str
    size: int


@dataclass(frozen=True)
class _Header:
    """The header of a `.npy`: shape, and the bytes before the array."""

    shape: tuple[int, ...]
    content: bytes

    def end_of(self, count: int) -> int:
        """Return the number of bytes of the file up to the end of so many runs."""
        return len(self.content) + 2 * count * math.prod(self.shape[1:])

    def of(self, count: int) -> bytes:
        """Return a header of the same length for so many runs."""
        if count == self.shape[0]:
            return self.content
        content = {"descr": "<f2", "fortran_order": False, "shape": (count, *self.shape[1:])}
        text = repr(content).encode().ljust(len(self.content) - 11) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def fetch_prefix(repo: str, file: str, commit: str, count: int, progress: Progress) -> Path:
    """Return a `.npy` that holds the first `count` runs of a file, or more, downloaded if need be.

    Raises `SourceError` if there are fewer runs, `DownloadError` if they do not arrive or the file is not
    what is expected.
    """
    found = local_prefix(repo, file, count, commit)
    if found:
        return found
    folder = _folder(repo) / commit
    path = folder / _name(file, count)
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(folder / "lock"):
            if not path.is_file():
                _download(repo, file, commit, count, path, progress)
    except client_errors() as error:
        raise incomplete(error, repo, file) from None
    return path


def local_prefix(repo: str, file: str, count: int, commit: str = "*") -> Path | None:
    """Return the shortest prefix here that holds so many runs, of the newest commit that has one, or None."""
    known = [(path, _count_of(path)) for path in _folder(repo).glob(f"{commit}/{Path(file).stem}-*.npy")]
    long = [(-path.parent.stat().st_mtime, number, path) for path, number in known if number >= count]
    return min(long)[2] if long else None


def recorded_sha256(path: Path) -> str | None:
    """Return the SHA-256 that a prefix had when it arrived; None for other files."""
    if path.parent.parent.name != FOLDER:
        return None
    try:
        return str(read_json(path.with_suffix(".json"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _folder(repo: str) -> Path:
    return repository_folder(repo) / FOLDER


def _name(file: str, count: int) -> str:
    return f"{Path(file).stem}-{count}.npy"


def _count_of(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _download(repo: str, file: str, commit: str, count: int, path: Path, progress: Progress) -> None:
    step = f"downloading logits of {count:,} runs (MB)"
    progress(step, 0, 1)
    remote = _look_up(repo, file, commit)
    header = _read_header(remote, f"{file} of {repo}")
    if count > header.shape[0]:
        raise SourceError(
            f"{count:,} runs were asked for, but {file} of {repo} has {header.shape[0]:,}; ask for fewer."
        )
    stop = header.end_of(count)
    part = path.with_suffix(".part")
    if not part.exists():
        _begin_with_shorter(path, part)
    _refuse_lack_of_space(part, stop, count)
    with open(part, "r+b" if part.exists() else "w+b") as output:
        output.write(header.of(count))
        output.seek(0, io.SEEK_END)

        def report(position: int) -> None:
            progress(step, position // 1_000_000, stop // 1_000_000 or 1)

        _receive(lambda: _look_up(repo, file, commit), remote, output, stop, report)
        output.truncate(stop)
    sha256 = sha256_of(part)
    if count == header.shape[0] and len(remote.etag) == len(sha256) and remote.etag != sha256:
        part.unlink()
        raise DownloadError(
            f"{file} of {repo} arrived damaged: its SHA-256 is {sha256[:12]}…, the Hub promised "
            f"{remote.etag[:12]}…. It was removed. Run the command again to download it again."
        )
    record = {"repository": repo, "file": file, "commit": commit, "etag": remote.etag, "runs": count}
    write_json(path.with_suffix(".json"), {**record, "sha256": sha256})
    part.replace(path)


def _begin_with_shorter(path: Path, part: Path) -> None:
    """Copy the longest prefix that is shorter, if there is one, as the beginning of a new part."""
    shorter = [(n, p) for p in path.parent.glob("*.npy") if 0 < (n := _count_of(p)) < _count_of(path)]
    if shorter:
        shutil.copyfile(max(shorter)[1], part)


def _refuse_lack_of_space(part: Path, stop: int, count: int) -> None:
    missing = stop - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise DownloadError(
            f"{count:,} runs take {missing / 1e9:,.1f} GB more, but {part.parent} has {free / 1e9:,.1f} GB "
            "free. Free some space, set HF_HOME to a folder on another disk, or ask for fewer --runs."
        )


def _look_up(repo: str, file: str, commit: str) -> _Remote:
    """Ask the Hub where a file is, and what it promises of it. Raises one of `client_errors`."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    found = get_hf_file_metadata(hf_hub_url(repo, file, repo_type="dataset", revision=commit))
    if not found.etag or not found.size:
        raise ValueError(f"the Hub does not say the size of {file}")
    own = found.location.startswith(constants.ENDPOINT)  # a token is for the Hub, not for its storage
    headers = build_hf_headers(token=None if own else False)
    return _Remote(found.location, headers, found.etag, found.size)


def _read_header(remote: _Remote, name: str) -> _Header:
    """Read and check the header of the array. Raises `DownloadError` if it is no float16 of three axes."""
    first = b"".join(_chunks(remote, 0, min(HEAD, remote.size)))
    try:
        file = io.BytesIO(first)
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of the format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        header = _Header(shape, first[: file.tell()])
        if fortran or dtype != np.dtype("<f2") or len(shape) != 3 or header.end_of(shape[0]) != remote.size:
            raise ValueError(f"{dtype} {shape}, {remote.size:,} bytes in all")
    except (ValueError, EOFError, SyntaxError) as error:
        raise DownloadError(
            f"{name} is not an array of float16 (runs, examples, classes) as NumPy saves it ({error}). It "
            "was changed, or what answered is not the Hub."
        ) from None
    return header


def _receive(
    look_up: Callable[[], _Remote],
    remote: _Remote,
    output: IO[bytes],
    stop: int,
    report: Callable[[int], None],
) -> None:
    """Append the bytes of a file up to `stop`; after a broken connection go on, as long as bytes arrive.

    Raises one of `client_errors`.
    """
    while output.tell() < stop:
        start = output.tell()
        try:
            for chunk in _chunks(remote, start, stop):
                output.write(chunk)
                report(output.tell())
        except client_errors() as error:
            if output.tell() == start:
                raise
            log.warning("the connection broke (%s); going on where it did", error)
            remote = look_up()  # the address may have been for a short time only


def _chunks(remote: _Remote, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes of a range. Raises one of `client_errors`, also if they are not what was asked for."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        hf_raise_for_status,
        http_stream_backoff,
    )

    headers = {**remote.headers, "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    options: dict[str, Any] = {"timeout": constants.HF_HUB_DOWNLOAD_TIMEOUT, "retry_on_exceptions": ()}
    with http_stream_backoff(
        "GET", remote.url, headers=headers, retry_on_status_codes=(), **options
    ) as answer:
        hf_raise_for_status(answer)
        expected = f"bytes {start}-{stop - 1}/{remote.size}"
        if answer.status_code != 206 or answer.headers.get("Content-Range") != expected:
            raise ValueError(f"its host does not send parts of files: {answer.headers.get('Content-Range')}")
        yield from answer.iter_bytes(CHUNK)
