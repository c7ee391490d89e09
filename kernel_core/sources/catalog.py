"""A source by its name or path: where its images, its ensemble's logits and its features are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kernel_core.did_you_mean import did_you_mean, nearest_path
from kernel_core.errors import DownloadError, NotBuilt, RequestError, SourceError, UnknownSource
from kernel_core.files import cache_root
from kernel_core.looks_like import foreign, looks_like
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress, no_progress
from kernel_core.recipes import DIGITS, HEADS, HEADS_RUNS, Training
from kernel_core.sources import hub_images, published, source_toml, torchvision_images
from kernel_core.sources.datamodels_data import datamodels_data_in
from kernel_core.sources.images_alone import EXPECTED, images_at
from kernel_core.sources.source import ImagesFrom, Source, SourceRequest, penultimate
from kernel_core.sources.source_toml import FEATURES, read_images_table, read_source_file
from kernel_core.sources.standard_sets import STANDARD_SETS, standard_images
from kernel_core.sources.torchvision_images import fetched, from_torchvision

RUNS_PER_FILE = 500  # in the published dataset
MANY = "cifar10-multirun-60k"

# Measured on two cores: 2 s of training; each network 95.9%, averaged 96.8%, kernel 3-NN 98.8%.
DIGITS_TRAINING = Training(DIGITS, run_count=256, seed=0)
HEADS_TRAINING = Training(HEADS, HEADS_RUNS, seed=0)  # of images alone

PLAIN = re.compile(r"\w[\w.-]*/\w[\w.-]*")  # a dataset of the Hub without the prefix that says so


def open_source(request: SourceRequest, *, offline: bool = False, progress: Progress = no_progress) -> Source:
    """Return the source that a request names, downloaded if need be.

    offline: download nothing. Raises `SourceError` for an unknown name or a malformed `source.toml`,
    `NotBuilt` if a download is needed and `offline` forbids it, `DownloadError` if it fails.
    """
    path = request.path
    if path is None and (family := request.name.partition("/")[0]) in BUILT_IN:
        configuration = request.name.partition("/")[2]
        if configuration and family != "cifar10-multirun":
            raise SourceError(f"{family} has no configurations; found {request.name!r}, expected {family!r}.")
        return BUILT_IN[family](request, configuration or None, offline, progress)
    if request.files is not None:
        raise RequestError(
            "--files is for cifar10-multirun; other sources have files of their own, or none. Use --runs "
            "instead."
        )
    described = path is not None and _description(path)
    if described:
        return read_source_file(described.resolve(), offline=offline, progress=progress)
    return _of_images_alone(request, offline, progress)


def source_file_of(request: SourceRequest) -> Path | None:
    """Return the `source.toml` that a request names; None for a source without one."""
    described = None if request.path is None else _description(request.path)
    return None if described is None else described.resolve()


def _description(path: Path) -> Path | None:
    """Return the `source.toml` that a path stands for; None for images without one.

    Raises `SourceError` for a file that is neither.
    """
    if os.path.isdir(path):
        return path / source_toml.FILE if os.path.isfile(path / source_toml.FILE) else None
    if not os.path.isfile(path):
        return None
    if path.suffix.lower() == ".parquet" or looks_like(path).form == "parquet":
        return None
    expected = "a source.toml, a Parquet file, or a folder with a folder of images per class"
    if path.suffix != ".toml" and (other := foreign(path, str(path), expected, "text", "json")):
        raise SourceError(other)
    return path


def _of_images_alone(request: SourceRequest, offline: bool, progress: Progress) -> Source:
    """Return a source that is nothing but images; heads are trained on them, as many as --runs says."""
    path, name = request.path, request.name
    training = _heads(request)
    if path is not None and path.suffix != ".toml" and (os.path.isdir(path) or os.path.isfile(path)):
        return _at(path.resolve(), training)
    if name in torchvision_images.FOLDERS:
        return Source(name, fetched(from_torchvision(name), offline=offline), training)
    of_hub = name.startswith(hub_images.PREFIX) or PLAIN.fullmatch(name)
    if not of_hub or path is not None:
        raise UnknownSource(
            f"No source is called {name!r}, and no such file exists.{_meant(name)} Known: "
            f"{', '.join(BUILT_IN)}, cifar10-multirun/<configuration>, "
            f"{', '.join(sorted(torchvision_images.FOLDERS))}, OWNER/NAME on the Hub, or the path of a "
            "source.toml, of a folder of labeled images, or of a Parquet file."
        )
    text = name if name.startswith(hub_images.PREFIX) else hub_images.PREFIX + name
    try:
        images = hub_images.fetched(
            hub_images.described(text), offline=offline, progress=progress, alone=True
        )
    except (DownloadError, NotBuilt) as error:
        here = "" if name == text else f"{name!r} does not exist here.{_meant(name)} "
        raise type(error)(f"{here}{error}") from None
    return Source(images.hub["hub"], replace(images, choose_size=True), training)


def _at(path: Path, training: Training) -> Source:
    """Return the images in a folder or a file, with the files of datamodels that lie beside them."""
    if not os.path.isdir(path):
        return Source(printable(path.stem, NAME), replace(images_at(path), choose_size=True), training)
    data = datamodels_data_in(path)
    try:
        images = replace(images_at(path), choose_size=True)
    except SourceError as error:
        if data is None:
            raise
        raise SourceError(
            f"{printable(path, NAME)} has {data.about}, but no labeled images beside; expected {EXPECTED}. "
            f"Put them there, or write these lines to a source.toml there: {data.lines}"
        ) from error
    name = printable(path.name, NAME)
    if data is None:
        return Source(name, images, training)
    logits = data.logits or training
    return Source(name, images, logits, given=data.given, root=path, logit_form=data.form)


def _meant(name: str) -> str:
    """Return the question whether a source with a name was meant, or a path that exists; else nothing."""
    path = nearest_path(name)
    return did_you_mean(name, [*BUILT_IN, *torchvision_images.FOLDERS, *([path] if path else [])])


def _digits(
    request: SourceRequest, _configuration: str | None, _offline: bool, _progress: Progress
) -> Source:
    if request.files is not None:
        raise RequestError("--files is for cifar10-multirun; digits has no files. Use --runs instead.")
    return Source("digits", ImagesFrom("digits"), DIGITS_TRAINING)


def _standard(
    request: SourceRequest, _configuration: str | None, offline: bool, progress: Progress
) -> Source:
    """Return a well-known data set; heads are trained on its images."""
    if request.files is not None:
        raise RequestError(f"--files is for cifar10-multirun; {request.name} has --runs N.")
    images = standard_images(request.name, offline=offline, progress=progress)
    return Source(request.name, images, _heads(request))


def _heads(request: SourceRequest) -> Training:
    """Return the training of heads, of as many as --runs says."""
    return replace(HEADS_TRAINING, run_count=request.run_count or HEADS_TRAINING.run_count)


def _cifar10_multirun(
    request: SourceRequest, configuration: str | None, offline: bool, progress: Progress
) -> Source:
    """Return the published ensemble; its images are torchvision's, or the Hub's if that host fails."""
    count = request.files or -(-(request.run_count or RUNS_PER_FILE) // RUNS_PER_FILE)
    root, files = published.fetch_logits(configuration, count, offline=offline, progress=progress)
    name = f"cifar10-multirun/{configuration}" if configuration else "cifar10-multirun"
    features = downloaded_features(name)
    images = standard_images("cifar10", offline=offline, progress=progress)
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
    images = replace(standard_images("cifar10", offline=offline, progress=progress), splits=("test",))
    features = downloaded_features(MANY)
    sets = (penultimate(features),) if features.is_file() else ()
    return Source(MANY, images, (file,), sets, root=file.parent)


def downloaded_features(name: str) -> Path:
    """Return the file of features made here for a downloaded source.

    It is in the cache's folder, but not an entry of the cache: pruning leaves it alone.
    """
    return cache_root() / "sources" / name.replace("/", "-") / FEATURES


BUILT_IN: dict[str, Callable[[SourceRequest, str | None, bool, Progress], Source]] = {
    "digits": _digits,
    **dict.fromkeys(STANDARD_SETS, _standard),
    "cifar10-multirun": _cifar10_multirun,
    MANY: _cifar10_many,
}
"""Name → function that opens the source: (request, configuration or None, offline, progress) → source."""


def find_images(text: str, base: Path, progress: Progress = no_progress) -> ImagesFrom:
    """Return the images that a text stands for; base: the folder that a relative path starts from.

    The text is one of: `digits`; a torchvision dataset such as `CIFAR10`, or one of the Hub such as
    `hub:uoft-cs/cifar100?label=fine_label`, downloaded if need be; a `source.toml`, for its [images]; a
    folder or a Parquet file, as `images_at` takes it; a name of `STANDARD_SETS`. Raises `SourceError` if it
    is none of them, `DownloadError` if a download fails.
    """
    if text == "digits":
        return ImagesFrom("digits")
    if text in torchvision_images.FOLDERS:
        return fetched(from_torchvision(text), offline=False)
    if text.startswith(hub_images.PREFIX):
        return hub_images.fetched(hub_images.described(text), progress=progress, alone=True)
    path = base / os.path.expanduser(text)
    if path.suffix == ".toml":
        images = read_images_table(path)
        return fetched(images, offline=False) if images.reader == "torchvision" else images
    if os.path.exists(path):
        return images_at(path)
    if text in STANDARD_SETS:
        return standard_images(text, progress=progress)
    raise UnknownSource(
        f"No images are called {text!r}: {path} does not exist. Expected {EXPECTED}, a source.toml, digits, "
        f"{', '.join(STANDARD_SETS)}, hub:OWNER/NAME, or one of torchvision's "
        f"{', '.join(sorted(torchvision_images.FOLDERS))}."
    )
