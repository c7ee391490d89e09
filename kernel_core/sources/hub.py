"""The published ensemble and CIFAR-10 from the Hugging Face Hub, by its own client.

The client reads HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE. It resumes an interrupted download with a
ranged request, and never fetches a complete file again. A large file is stored in the client's cache under
its SHA-256, which is checked here. The client takes a while to import, so functions import it when they need
it.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_core.errors import DownloadError, NotBuilt, SourceError
from kernel_core.files import sha256_of
from kernel_core.progress import Progress, no_progress
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import SPLITS, Split

LOGITS_REPO = "kjj0/cifar10-multirun-logits"
IMAGES_REPO = "uoft-cs/cifar10"
# The file that the dataset card computes with: 500 runs of the main configuration.
FIRST_FILE = "logs_saveoutputs_main/06109e85-f5d7-4ac8-b0b0-f03542f23234/log.pt"
TIMEOUT = 20.0  # seconds for a listing
log = logging.getLogger("kernel_core")


@dataclass(frozen=True)
class Listing:
    """The files of a dataset repository at one commit.

    local: whether only the files that are already downloaded are listed.
    """

    commit: str
    files: tuple[str, ...]
    local: bool

    @property
    def where(self) -> str:
        """Words that end the statement that a file is not listed."""
        return " among the files already downloaded" if self.local else ""


def list_files(repo: str, *, offline: bool = False) -> Listing:
    """List the files of a repository; offline or without a connection, those already downloaded.

    Raises `NotBuilt` if offline and nothing is downloaded, `DownloadError` if the Hub fails and nothing is
    either.
    """
    from huggingface_hub import constants

    if offline or constants.HF_HUB_OFFLINE:
        return _list_downloaded(repo)
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(repo, timeout=TIMEOUT)
    except _client_errors() as error:
        try:
            listing = _list_downloaded(repo)
        except NotBuilt:
            raise DownloadError(
                f"The Hub did not list the dataset {repo} ({reason(error)}), and none of it is downloaded. "
                f"Check the connection to {constants.ENDPOINT} (HF_ENDPOINT) and run the command again."
            ) from None
        log.warning("the Hub is out of reach (%s); using what is downloaded of %s", reason(error), repo)
        return listing
    return Listing(str(info.sha), tuple(sorted(s.rfilename for s in info.siblings or [])), local=False)


def _client_errors() -> tuple[type[Exception], ...]:
    """Return what the client raises when a request fails."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    # hf_xet, through which the client downloads from Xet storage, raises bare RuntimeErrors.
    return HTTPError, OSError, ValueError, RuntimeError


def _list_downloaded(repo: str) -> Listing:
    """List the newest snapshot in the client's cache."""
    from huggingface_hub import constants

    for folder in sorted(_snapshots(repo).glob("*"), key=lambda path: -path.stat().st_mtime):
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        if files:
            return Listing(folder.name, tuple(files), local=True)
    raise NotBuilt(
        f"Nothing of the dataset {repo} is downloaded in {constants.HF_HUB_CACHE}; run a build with a "
        "connection to the Hub."
    )


def _snapshots(repo: str) -> Path:
    """Return the folder in the client's cache of <commit>/<file>, each a link to ../../blobs/<SHA-256>."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"datasets--{repo.replace('/', '--')}" / "snapshots"


def reason(error: BaseException) -> str:
    """Return why a request failed, in one line: the client's own errors often say it only in their cause."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if isinstance(error, json.JSONDecodeError):
        return "its answer is not JSON; it may come from a proxy or a login page"
    while isinstance(error, (HfHubHTTPError, LocalEntryNotFoundError)) and error.__cause__:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def configurations(listing: Listing) -> dict[str, list[str]]:
    """Return training configuration → its files, sorted, but the file that the card computes with first.

    A configuration is a top folder with */log.pt.
    """
    files: dict[str, list[str]] = {}
    for file in listing.files:
        if re.fullmatch(r"[^/]+/[^/]+/log\.pt", file):
            files.setdefault(file.split("/")[0], []).append(file)
    return {name: sorted(own, key=lambda file: (file != FIRST_FILE, file)) for name, own in files.items()}


def fetch_logits(
    configuration: str | None, count: int, *, offline: bool = False, progress: Progress = no_progress
) -> tuple[Path, tuple[Path, ...]]:
    """Download the first `count` files of a configuration; return their common folder, and their paths.

    configuration: None for the one that the card computes with. Raises `SourceError` if the Hub has no such
    configuration or fewer files, `NotBuilt` if only downloaded files are listed and they are not among them,
    `DownloadError` if a download fails.
    """
    listing = list_files(LOGITS_REPO, offline=offline)
    known = configurations(listing)
    name = configuration or FIRST_FILE.split("/")[0]
    missing = NotBuilt if listing.local else SourceError
    if name not in known:
        names = ", ".join(f"cifar10-multirun/{known_name}" for known_name in known)
        raise missing(
            f"{LOGITS_REPO} has no training configuration {name!r}{listing.where}; known: {names or 'none'}."
        )
    files = known[name]
    if count > len(files):
        raise missing(
            f"{count} files were asked for, but {name} has {len(files)}{listing.where}; ask for fewer."
        )
    paths = []
    for number, file in enumerate(files[:count], start=1):
        step = f"downloading logits, file {number} of {count}"
        paths.append(download(LOGITS_REPO, file, listing, step=step, progress=progress))
    return paths[0].parents[2], tuple(paths)


def fetch_images(*, offline: bool = False, progress: Progress = no_progress) -> ImagesFrom:
    """Download CIFAR-10's images as Parquet files. Raises like `fetch_logits`."""
    listing = list_files(IMAGES_REPO, offline=offline)
    shards: dict[Split, tuple[Path, ...]] = {}
    for split in SPLITS:
        files = [file for file in listing.files if re.search(rf"(^|/){split}-[^/]*\.parquet$", file)]
        if len(files) != 1:
            kind = NotBuilt if listing.local else DownloadError
            raise kind(f"{IMAGES_REPO} has {len(files)} {split} Parquet files{listing.where}; expected 1.")
        step = f"downloading {split} images"
        shards[split] = (download(IMAGES_REPO, files[0], listing, step=step, progress=progress),)
    return ImagesFrom("parquet", shards=shards)


def download(repo: str, file: str, listing: Listing, *, step: str, progress: Progress = no_progress) -> Path:
    """Download one file of a repository into the client's cache, and return its path.

    A file that is already here is only looked up: the client would send the Hub a request even then.
    Raises `DownloadError` if the file arrives incomplete or damaged.
    """
    from huggingface_hub import constants

    downloaded = _snapshots(repo) / listing.commit / file
    if downloaded.is_file():
        return downloaded
    damage = ""
    for attempt in (1, 2):  # a damaged file may have been in the cache already, and only been linked to
        progress(f"{step} (MB)", 0, 1)
        path = _fetch(repo, file, listing, _bar_class(step, progress))
        damage = _damage(path)
        if not damage:
            return path
        discard(path)
        if attempt == 1:
            log.warning("%s of %s is damaged (%s); it is downloaded again", file, repo, damage)
    raise DownloadError(
        f"{file} of {repo} arrived damaged twice: {damage}. It was removed. Run the command again to "
        f"download it again. The Hub in use: {constants.ENDPOINT} (HF_ENDPOINT)."
    )


def _fetch(repo: str, file: str, listing: Listing, bar_class: type[Any]) -> Path:
    from huggingface_hub import constants, hf_hub_download

    try:
        path = hf_hub_download(
            repo,
            file,
            repo_type="dataset",
            revision=listing.commit,
            local_files_only=listing.local,
            tqdm_class=bar_class,
        )
    except _client_errors() as error:
        hint = " Set HF_HUB_DISABLE_XET=1 to avoid Xet storage." if isinstance(error, RuntimeError) else ""
        raise DownloadError(
            f"{file} of {repo} was not downloaded completely ({reason(error)}). Run the command again: "
            f"complete files are kept. The Hub in use: {constants.ENDPOINT} (HF_ENDPOINT).{hint}"
        ) from None
    return Path(path)


def _damage(path: Path) -> str:
    """Return how a downloaded file differs from what the Hub promised; empty if it does not."""
    promised = expected_sha256(path)
    if promised is None:
        return ""
    actual = sha256_of(path)
    return "" if actual == promised else f"its SHA-256 is {actual[:12]}…, the Hub promised {promised[:12]}…"


def expected_sha256(path: Path) -> str | None:
    """Return the SHA-256 that the Hub promises for a large file that it delivered; None for other files."""
    blob = _blob(path)
    return blob.name if blob else None


def discard(path: Path) -> None:
    """Remove a large file that the Hub delivered, so that it is downloaded again."""
    blob = _blob(path)
    if blob:
        blob.resolve().unlink(missing_ok=True)
        blob.unlink(missing_ok=True)


def _blob(path: Path) -> Path | None:
    """Return blobs/<SHA-256>, which a large file that the Hub delivered is a link to; None for other files.

    The blob may itself be a link to blobs/<xx>/<Xet hash>: that hash looks alike, but is not the SHA-256.
    """
    while path.is_symlink():
        path = path.parent / path.readlink()
        if path.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", path.name):
            return path
    return None


def _bar_class(step: str, progress: Progress) -> type[Any]:
    """Return a silent kind of tqdm that passes the number of bytes on to `progress`."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})
            self.size, self.counted = int(kwargs.get("total") or 0), int(kwargs.get("initial") or 0)
            self.received = self.counted

        def update(self, n: float | None = 1) -> bool | None:
            self.counted += int(n or 0)
            self._report()
            return None

        # With these two, the client reports both the bytes received and those written to disk in one bar.
        def update_transfer(self, n: float) -> None:
            self.received += int(n)
            self._report()

        def set_transfer_postfix_str(self, *_: Any, **__: Any) -> None:
            pass

        def _report(self) -> None:
            arrived = max(self.counted, self.received)
            progress(f"{step} (MB)", arrived // 1_000_000, max(self.size, arrived) // 1_000_000 or 1)

    return Bar
