"""Files of dataset repositories of the Hugging Face Hub, listed and downloaded by its own client.

The client reads HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE. It resumes an interrupted download with a
ranged request, and never fetches a complete file again. A large file is stored in the client's cache under
its SHA-256, which is checked here. The client takes a while to import, so functions import it when they need
it.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_core.errors import DownloadError, NotBuilt
from kernel_core.files import sha256_of
from kernel_core.progress import Progress, no_progress
from kernel_core.sources.network_errors import advice, reason

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


def list_files(repo: str, *, offline: bool = False, revision: str | None = None) -> Listing:
    """List the files of a repository; offline or without a connection, those already downloaded.

    revision: a commit, branch or tag; None for the main branch. Of what is downloaded, only a commit is told.
    Raises `NotBuilt` if offline and nothing is downloaded, `DownloadError` if the Hub fails and nothing is
    either.
    """
    from huggingface_hub import constants

    if offline or constants.HF_HUB_OFFLINE:
        return _list_downloaded(repo, revision)
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(repo, revision=revision, timeout=TIMEOUT)
    except client_errors() as error:
        try:
            listing = _list_downloaded(repo, revision)
        except NotBuilt:
            raise DownloadError(
                f"The Hub did not list the dataset {repo} ({reason(error)}), and none of it is downloaded. "
                f"{hub_advice(error, repo)}."
            ) from None
        log.warning(
            "the Hub did not list %s (%s); using what is downloaded of it. %s",
            repo, reason(error), hub_advice(error, repo),
        )  # fmt: skip
        return listing
    return Listing(str(info.sha), tuple(sorted(s.rfilename for s in info.siblings or [])), local=False)


def hub_advice(error: BaseException, repo: str) -> str:
    """Return what to do about a request to the Hub that failed, without the last full stop."""
    from huggingface_hub import constants, get_token

    return advice(
        error,
        f"{constants.ENDPOINT} (HF_ENDPOINT)",
        folder="HF_HOME to another folder",
        terms=f"{constants.ENDPOINT}/datasets/{repo}",
        has_token=bool(get_token()),
    )


def incomplete(error: BaseException, repo: str, file: str) -> DownloadError:
    """Return the error for a file that did not arrive completely."""
    # hf_xet says no more of what failed.
    hint = " Set HF_HUB_DISABLE_XET=1 to avoid Xet storage." if isinstance(error, RuntimeError) else ""
    return DownloadError(
        f"{file} of {repo} was not downloaded completely ({reason(error)}). {hub_advice(error, repo)}: "
        f"complete files are kept.{hint}"
    )


def client_errors() -> tuple[type[Exception], ...]:
    """Return what the client raises when a request fails."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    # hf_xet, through which the client downloads from Xet storage, raises bare RuntimeErrors.
    return HTTPError, OSError, ValueError, RuntimeError


def _list_downloaded(repo: str, revision: str | None) -> Listing:
    """List the snapshot of a commit in the client's cache, or else the newest."""
    from huggingface_hub import constants

    commit = revision if revision and re.fullmatch("[0-9a-f]{40}", revision) else "*"
    for folder in sorted(_snapshots(repo).glob(commit), key=lambda path: -path.stat().st_mtime):
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        if files:
            return Listing(folder.name, tuple(files), local=True)
    raise NotBuilt(
        f"Nothing of the dataset {repo} is downloaded in {constants.HF_HUB_CACHE}; run a build with a "
        "connection to the Hub."
    )


def repository_folder(repo: str) -> Path:
    """Return the folder of a dataset repository in the client's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"datasets--{repo.replace('/', '--')}"


def _snapshots(repo: str) -> Path:
    """Return the folder in the client's cache of <commit>/<file>, each a link to ../../blobs/<SHA-256>."""
    return repository_folder(repo) / "snapshots"


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
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(
            repo,
            file,
            repo_type="dataset",
            revision=listing.commit,
            local_files_only=listing.local,
            tqdm_class=bar_class,
        )
    except client_errors() as error:
        raise incomplete(error, repo, file) from None
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
