"""The published ensemble and CIFAR-10 from the Hugging Face Hub, through huggingface_hub alone.

HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean there. A connection cut midway is taken up
again by a ranged request; files already whole are never fetched again, those of an interrupted command included.
For files that the Hub keeps in its large-file storage, the cache names a file by its SHA-256, which is checked.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]
from tqdm import tqdm

from kernel_core.errors import DownloadError, NotBuilt, SourceError
from kernel_core.files import sha256_of
from kernel_core.progress import Progress, no_progress
from kernel_core.sources.source import ImagesFrom

LOGITS_REPO = "kjj0/cifar10-multirun-logits"
IMAGES_REPO = "uoft-cs/cifar10"
# The file that the dataset card computes with: 500 runs of the main configuration.
FIRST_FILE = "logs_saveoutputs_main/06109e85-f5d7-4ac8-b0b0-f03542f23234/log.pt"
TIMEOUT = 20.0  # seconds for a listing
log = logging.getLogger("kernel_core")

# hf_xet, through which the client fetches from Xet storage, raises bare RuntimeErrors.
UNREACHABLE = (TransportError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Listing:
    """The files of a dataset repository at one commit; local if read from what is already downloaded."""

    commit: str
    files: tuple[str, ...]
    local: bool


def list_files(repo: str, *, offline: bool = False) -> Listing:
    """What the repository holds now; without a connection, what of it is downloaded.

    Raises `NotBuilt` if offline and nothing is downloaded, `DownloadError` if the Hub fails and nothing is either.
    """
    if offline or constants.HF_HUB_OFFLINE:
        return _list_downloaded(repo)
    try:
        info = HfApi().dataset_info(repo, timeout=TIMEOUT)
    except UNREACHABLE as error:
        try:
            listing = _list_downloaded(repo)
        except NotBuilt:
            raise DownloadError(
                f"The Hub did not list the dataset {repo} ({reason(error)}), and nothing of it is downloaded. "
                f"Check the connection to {constants.ENDPOINT} (HF_ENDPOINT) and run the command again."
            ) from None
        log.warning("the Hub is out of reach (%s); using what is downloaded of %s", reason(error), repo)
        return listing
    return Listing(str(info.sha), tuple(sorted(s.rfilename for s in info.siblings or [])), local=False)


def _list_downloaded(repo: str) -> Listing:
    """The newest snapshot in the Hub's cache."""
    for folder in sorted(_snapshots(repo).glob("*"), key=lambda path: -path.stat().st_mtime):
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        if files:
            return Listing(folder.name, tuple(files), local=True)
    raise NotBuilt(
        f"Nothing of the dataset {repo} is downloaded in {constants.HF_HUB_CACHE}; a build with a connection to the Hub "
        "downloads it."
    )


def _snapshots(repo: str) -> Path:
    """The folder in the Hub's cache that holds <commit>/<file>, each a link to ../../blobs/<SHA-256>."""
    return Path(constants.HF_HUB_CACHE) / f"datasets--{repo.replace('/', '--')}" / "snapshots"


def reason(error: BaseException) -> str:
    """Why a request failed, in one line: the client's own errors often say it only in their cause."""
    if isinstance(error, json.JSONDecodeError):
        return "its answer is not JSON; it may come from a proxy or a login page"
    while isinstance(error, (HfHubHTTPError, LocalEntryNotFoundError)) and error.__cause__:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def configurations(listing: Listing) -> dict[str, list[str]]:
    """Training configuration (a top folder with */log.pt) → its files, the card's first file before the others."""
    found: dict[str, list[str]] = {}
    for file in listing.files:
        if re.fullmatch(r"[^/]+/[^/]+/log\.pt", file):
            found.setdefault(file.split("/")[0], []).append(file)
    return {name: sorted(files, key=lambda file: (file != FIRST_FILE, file)) for name, files in found.items()}


def fetch_logits(
    configuration: str | None, count: int, *, offline: bool = False, progress: Progress = no_progress
) -> tuple[Path, tuple[Path, ...]]:
    """The first `count` files of a configuration (None: the card's): the folder they lie in, and their paths.

    Raises `SourceError` for an unknown configuration or too large a count, `NotBuilt` if offline and not
    downloaded, `DownloadError` if a file does not come whole.
    """
    listing = list_files(LOGITS_REPO, offline=offline)
    known = configurations(listing)
    name = configuration or FIRST_FILE.split("/")[0]
    missing = NotBuilt if listing.local else SourceError
    if name not in known:
        raise missing(
            f"{LOGITS_REPO} has no training configuration {name!r}{_where(listing)}; "
            f"known: {', '.join(f'cifar10-multirun/{known_name}' for known_name in known) or 'none'}."
        )
    if count > len(known[name]):
        raise missing(
            f"{count} files were asked for, but {name} has {len(known[name])}{_where(listing)}; ask for fewer."
        )
    paths = []
    for number, file in enumerate(known[name][:count], start=1):
        step = f"downloading logits, file {number} of {count}"
        paths.append(download(LOGITS_REPO, file, listing, step=step, progress=progress))
    return paths[0].parents[2], tuple(paths)


def _where(listing: Listing) -> str:
    return " among the files already downloaded" if listing.local else ""


def fetch_images(*, offline: bool = False, progress: Progress = no_progress) -> ImagesFrom:
    """CIFAR-10's images as the Hub's own Parquet files. Raises like `fetch_logits`."""
    listing = list_files(IMAGES_REPO, offline=offline)
    paths = {}
    for split in ("train", "test"):
        files = [file for file in listing.files if re.search(rf"(^|/){split}-[^/]*\.parquet$", file)]
        if len(files) != 1:
            kind = NotBuilt if listing.local else DownloadError
            raise kind(f"{IMAGES_REPO} has {len(files)} {split} Parquet files{_where(listing)}; expected 1.")
        paths[split] = download(
            IMAGES_REPO, files[0], listing, step=f"downloading {split} images", progress=progress
        )
    return ImagesFrom("parquet", paths)


def download(repo: str, file: str, listing: Listing, *, step: str, progress: Progress = no_progress) -> Path:
    """One file of a repository, whole, in the Hub's cache. Raises `DownloadError` if it does not come.

    A file that is here is only looked up: the client would ask the Hub something even then.
    """
    here = _snapshots(repo) / listing.commit / file
    if here.is_file():
        return here
    damage = ""
    for attempt in (1, 2):  # a damaged file may be one that lay here already, and is linked to again
        progress(f"{step} (MB)", 0, 1)
        path = _fetch(repo, file, listing, _bar_class(step, progress))
        damage = _damage(path)
        if not damage:
            return path
        discard(path)
        if attempt == 1:
            log.warning("%s of %s is damaged (%s); it is downloaded anew", file, repo, damage)
    raise DownloadError(
        f"{file} of {repo} came damaged twice: {damage}. It was removed; run the command again, which downloads it "
        f"anew. The Hub asked: {constants.ENDPOINT} (HF_ENDPOINT)."
    )


def _fetch(repo: str, file: str, listing: Listing, bar_class: type[Any]) -> Path:
    try:
        path = huggingface_hub.hf_hub_download(
            repo,
            file,
            repo_type="dataset",
            revision=listing.commit,
            local_files_only=listing.local,
            tqdm_class=bar_class,
        )
    except UNREACHABLE as error:
        hint = " HF_HUB_DISABLE_XET=1 goes without Xet storage." if isinstance(error, RuntimeError) else ""
        raise DownloadError(
            f"{file} of {repo} did not come whole ({reason(error)}). Run the command again: files that are "
            f"whole already are kept. The Hub asked: {constants.ENDPOINT} (HF_ENDPOINT).{hint}"
        ) from None
    return Path(path)


def _damage(path: Path) -> str:
    """How a downloaded file differs from what the Hub promised; empty if it does not."""
    promised = expected_sha256(path)
    if promised is None:
        return ""
    found = sha256_of(path)
    return "" if found == promised else f"its SHA-256 is {found[:12]}…, the Hub promised {promised[:12]}…"


def expected_sha256(path: Path) -> str | None:
    """The SHA-256 that the Hub promises for a downloaded large file; None for any other file."""
    blob = _blob(path)
    return blob.name if blob else None


def discard(path: Path) -> None:
    """Remove a downloaded large file, so that it is downloaded anew."""
    blob = _blob(path)
    if blob:
        blob.resolve().unlink(missing_ok=True)
        blob.unlink(missing_ok=True)


def _blob(path: Path) -> Path | None:
    """blobs/<SHA-256>, which a downloaded large file is a link to; None for any other file.

    It may be a link again, to blobs/<xx>/<Xet hash>: that hash looks the same, and is another.
    """
    while path.is_symlink():
        path = path.parent / path.readlink()
        if path.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", path.name):
            return path
    return None


def _bar_class(step: str, progress: Progress) -> type[Any]:
    """A silent tqdm that passes the bytes on to `progress`."""

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})
            self.size, self.came = int(kwargs.get("total") or 0), int(kwargs.get("initial") or 0)
            self.received = self.came

        def update(self, n: float | None = 1) -> bool | None:
            self.came += int(n or 0)
            self._report()
            return None

        # With these two, the client reports in one bar what came over the net and what of it is on the disk.
        def update_transfer(self, n: float) -> None:
            self.received += int(n)
            self._report()

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
            pass

        def _report(self) -> None:
            came = max(self.came, self.received)
            progress(f"{step} (MB)", came // 1_000_000, max(self.size, came) // 1_000_000 or 1)

    return Bar
