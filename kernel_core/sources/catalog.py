"""A source by its name or path: where its images, its ensemble's logits and its features are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kernel_core.errors import DownloadError, NotBuilt, RequestError, SourceError
from kernel_core.files import cache_root
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import DIGITS, Training
from kernel_core.sources import hub_images, published, source_toml, torchvision_images
from kernel_core.sources.folder_listing import split_folder
from kernel_core.sources.source import ImagesFrom, Source, SourceRequest, penultimate
from kernel_core.sources.source_toml import FEATURES, read_images_table, read_source_file
from kernel_core.sources.torchvision_images import fetched, from_torchvision
from kernel_core.spec import SPLITS, Split

RUNS_PER_FILE = 500  # in the published dataset
MANY = "cifar10-multirun-60k"

# Measured on two cores: 2 s of training; each network 95.9%, averaged 96.8%, kernel 3-NN 98.8%.
DIGITS_TRAINING = Training(DIGITS, run_count=256, seed=0)


def open_source(request: SourceRequest, *, offline: bool = False, progress: Progress = no_progress) -> Source:
    """Return the source that a request names, downloaded if need be.

    offline: download nothing. Raises `SourceError` for an unknown name or a malformed `source.toml`,
    `NotBuilt` if a download is needed and `offline` forbids it, `DownloadError` if it fails.
    """
    path = request.path
    if path is None:
        family, _, configuration = request.name.partition("/")
        if configuration and family != "cifar10-multirun":
            raise SourceError(f"{family} has no configurations; found {request.name!r}, expected {family!r}.")
        return BUILT_IN[family](request, configuration or None, offline, progress)
    if os.path.isdir(path):
        path = path / source_toml.FILE
    if not os.path.isfile(path):
        raise SourceError(
            f"No source is called {request.name!r}, and no such file exists. Known: {', '.join(BUILT_IN)}, "
            "cifar10-multirun/<configuration>, or the path of a source.toml."
        )
    if request.files is not None:
        raise RequestError(
            "--files is for cifar10-multirun; a source.toml names its own files. Use --runs instead."
        )
    return read_source_file(path.resolve(), offline=offline, progress=progress)


def _digits(
    request: SourceRequest, _configuration: str | None, _offline: bool, _progress: Progress
) -> Source:
    if request.files is not None:
        raise RequestError("--files is for cifar10-multirun; digits has no files. Use --runs instead.")
    return Source("digits", ImagesFrom("digits"), DIGITS_TRAINING)


def _cifar10_multirun(
    request: SourceRequest, configuration: str | None, offline: bool, progress: Progress
) -> Source:
    """Return the published ensemble; its images are torchvision's, or the Hub's if that host fails."""
    count = request.files or -(-(request.run_count or RUNS_PER_FILE) // RUNS_PER_FILE)
    root, files = published.fetch_logits(configuration, count, offline=offline, progress=progress)
    name = f"cifar10-multirun/{configuration}" if configuration else "cifar10-multirun"
    features = downloaded_features(name)
    images = _cifar10_images(offline, progress)
    sets = (penultimate(features),) if features.is_file() else ()
    return Source(name, images, files, sets, root=root)


def _cifar10_many(
    request: SourceRequest, _configuration: str | None, offline: bool, progress: Progress
) -> Source:
    """Return the ensemble of 60,000 runs: its logits are of the test set alone."""
    if request.files is not None:
        raise RequestError(
            f"--files is for cifar10-multirun; {MANY} has --runs N, of which so many are fetched."
        )
    file = published.fetch_many(request.run_count or RUNS_PER_FILE, offline=offline, progress=progress)
    images = replace(_cifar10_images(offline, progress), splits=("test",))
    features = downloaded_features(MANY)
    sets = (penultimate(features),) if features.is_file() else ()
    return Source(MANY, images, (file,), sets, root=file.parent)


def downloaded_features(name: str) -> Path:
    """Return the file of features made here for a downloaded source.

    It is in the cache's folder, but not an entry of the cache: pruning leaves it alone.
    """
    return cache_root() / "sources" / name.replace("/", "-") / FEATURES


def _cifar10_images(offline: bool, progress: Progress) -> ImagesFrom:
    """Return CIFAR-10: a copy that is already here, else downloaded by torchvision, else from the Hub."""
    by_torchvision = from_torchvision("CIFAR10")
    try:
        return fetched(by_torchvision, offline=True)
    except NotBuilt:
        pass
    try:
        return published.fetch_images(offline=True)
    except NotBuilt:
        if offline:
            raise
    try:
        progress("downloading CIFAR-10 by torchvision", 0, 1)
        return fetched(by_torchvision, offline=False)
    except DownloadError as torchvision_error:
        try:
            return published.fetch_images(progress=progress)
        except DownloadError as hub_error:
            raise DownloadError(f"{torchvision_error} The Hub's copy failed too: {hub_error}") from None


BUILT_IN: dict[str, Callable[[SourceRequest, str | None, bool, Progress], Source]] = {
    "digits": _digits,
    "cifar10-multirun": _cifar10_multirun,
    MANY: _cifar10_many,
}
"""Name → function that opens the source: (request, configuration or None, offline, progress) → source."""


def find_images(text: str, base: Path, progress: Progress = no_progress) -> ImagesFrom:
    """Return the images that a text stands for; base: the folder that a relative path starts from.

    The text is one of: `digits`; a torchvision dataset such as `CIFAR10`, or one of the Hub such as
    `hub:uoft-cs/cifar100?label=fine_label`, downloaded if need be; a
    `source.toml`, for its [images]; a folder with train/<class>/ and test/<class>/, or with train/ and test/
    that hold images and a metadata.csv; a folder with Parquet files, one or the Hub's shards of each split,
    or with them in its folder data/. Raises `SourceError` if it is none of them, `DownloadError` if a
    download fails.
    """
    if text == "digits":
        return ImagesFrom("digits")
    if text in torchvision_images.FOLDERS:
        return fetched(from_torchvision(text), offline=False)
    if text.startswith(hub_images.PREFIX):
        return hub_images.fetched(hub_images.described(text), progress=progress)
    path = base / os.path.expanduser(text)
    if path.suffix == ".toml":
        images = read_images_table(path)
        return fetched(images, offline=False) if images.reader == "torchvision" else images
    tables = {split: _shards(path, split) for split in SPLITS}
    if all(tables.values()):
        return ImagesFrom("parquet", shards=tables)
    if path.is_dir() and not any(path.glob("*.parquet")):
        folder = ImagesFrom("folder", {"folder": path})
        for split in SPLITS:
            split_folder(folder, split)  # refuses other folders
        return folder
    counts = " and ".join(f"{len(list(path.glob(f'{split}*.parquet')))} {split}*.parquet" for split in SPLITS)
    found = f"has {counts}" if path.is_dir() else "does not exist"
    raise SourceError(
        f"No images are called {text!r}: {path} {found}. Expected a folder with train/<class>/ and "
        "test/<class>/, a folder with train.parquet and test.parquet or the Hub's shards of them, a "
        f"source.toml, digits, or one of torchvision's {', '.join(sorted(torchvision_images.FOLDERS))}."
    )


def _shards(folder: Path, split: Split) -> tuple[Path, ...]:
    """Return the Parquet files of a split: the only one of its name, or all shards as the Hub calls them."""
    for place in (folder, folder / "data"):
        files = sorted(place.glob(f"{split}*.parquet"))
        if len(files) == 1 or (files and all(re.search(r"-\d+-of-\d+\.parquet$", f.name) for f in files)):
            return tuple(files)
    return ()
