"""The published ensembles on CIFAR-10, in dataset repositories of the Hub."""

from __future__ import annotations

import re
from pathlib import Path

from kernel_core.errors import DownloadError, NotBuilt, SourceError
from kernel_core.progress import Progress, no_progress
from kernel_core.sources.hub import Listing, download, list_files
from kernel_core.sources.hub_prefix import fetch_prefix, local_prefix

LOGITS_REPO = "kjj0/cifar10-multirun-logits"
MANY_REPO = "kjj0/cifar10-multirun-logits-60k"
MANY_FILE, FIRST_500 = "logits.npy", "logits500.npy"  # 61,565 runs in 12.3 GB, and the first of them
# The file that the dataset card computes with: 500 runs of the main configuration.
FIRST_FILE = "logs_saveoutputs_main/06109e85-f5d7-4ac8-b0b0-f03542f23234/log.pt"


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


def fetch_many(count: int, *, offline: bool = False, progress: Progress = no_progress) -> Path:
    """Return a file of logits (runs, test examples, classes) with the first `count` of 60,000 runs, or more.

    Up to 500 are a file of their own; of more, those that are asked for are downloaded and no others. Raises
    `SourceError` if there are fewer, `NotBuilt` if offline and too few are here, `DownloadError` if a
    download fails.
    """
    if count <= 500:
        listing = list_files(MANY_REPO, offline=offline)
        return download(
            MANY_REPO, FIRST_500, listing, step="downloading logits of 500 runs", progress=progress
        )
    here = local_prefix(MANY_REPO, MANY_FILE, count)
    try:
        listing = list_files(MANY_REPO, offline=offline)
        if not listing.local:
            return fetch_prefix(MANY_REPO, MANY_FILE, listing.commit, count, progress)
    except (NotBuilt, DownloadError):
        if here is None:
            raise
    if here is None:
        raise NotBuilt(
            f"{count:,} runs of {MANY_REPO} are not downloaded; run a build with a connection to the Hub."
        )
    return here
