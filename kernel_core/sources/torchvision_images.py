"""torchvision's datasets: looked for, downloaded, read."""

from __future__ import annotations

import os
import socket
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kernel_core.errors import DataError, DownloadError, NotBuilt
from kernel_core.progress import Progress
from kernel_core.records import ExampleSet
from kernel_core.sources.decode import resized
from kernel_core.sources.network_errors import advice, reason
from kernel_core.sources.source import ImagesFrom, existing
from kernel_core.spec import SPLITS, Split

TIMEOUT = 20.0  # seconds without a byte from torchvision's host

FOLDERS = {
    "CIFAR10": "cifar-10-batches-py",
    "CIFAR100": "cifar-100-python",
    "FashionMNIST": "FashionMNIST/raw",
    "KMNIST": "KMNIST/raw",
    "MNIST": "MNIST/raw",
    "SVHN": "SVHN",  # torchvision itself takes the root
}
"""Dataset → the folder of its files, below the root of torchvision's datasets."""

MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
FILES = {
    "CIFAR10": (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"),
    "CIFAR100": ("train", "test", "meta"),
    "FashionMNIST": MNIST_FILES,
    "KMNIST": MNIST_FILES,
    "MNIST": MNIST_FILES,
    "SVHN": ("train_32x32.mat", "test_32x32.mat"),
}
"""Dataset → the files that must be in that folder for it to be complete."""


def from_torchvision(dataset: str, root: Path | None = None) -> ImagesFrom:
    """Describe the images of a dataset; root: the folder of datasets, by default the user's."""
    return ImagesFrom("torchvision", {"root": root or default_root()}, dataset)


def default_root() -> Path:
    """Return the folder of the user's torchvision datasets: beside torchvision's model weights."""
    home = os.environ.get("TORCH_HOME")
    if home:
        return Path(home) / "datasets"
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME", "~/.cache"))) / "torch" / "datasets"


def _folder(source: ImagesFrom) -> Path:
    return source.paths["root"] / FOLDERS[source.dataset]


def is_complete(source: ImagesFrom) -> bool:
    """Return whether every file of the dataset is here: an interrupted download leaves its folder behind."""
    return all((_folder(source) / name).is_file() for name in FILES[source.dataset])


def fetched(source: ImagesFrom, *, offline: bool) -> ImagesFrom:
    """Return the dataset, downloaded if need be. Raises `NotBuilt` if `offline` forbids a needed download."""
    if not is_complete(source):
        if offline:
            raise NotBuilt(f"{source.dataset} is not downloaded in {source.paths['root']}.")
        download(source)
    return source


def download(source: ImagesFrom) -> None:
    """Download the dataset; torchvision checks the MD5 of each file. Raises `DownloadError` if that fails."""
    root = source.paths["root"]
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(TIMEOUT)  # torchvision would wait forever for a silent host
        for split in SPLITS if source.dataset == "SVHN" else SPLITS[:1]:
            _dataset(source, split, download=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise DownloadError(
            f"torchvision could not fetch {source.dataset} into {root} ({reason(error)}). "
            f"{advice(error, 'its host', folder='TORCH_HOME to another folder')}, or name Parquet files in "
            "the source's [images]."
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


def _dataset(source: ImagesFrom, split: Split, *, download: bool = False) -> Any:
    """Return torchvision's own object of a split. Raises whatever torchvision does."""
    import torchvision

    of, root = getattr(torchvision.datasets, source.dataset), source.paths["root"]
    if source.dataset == "SVHN":
        return of(_folder(source), split=split, download=download)
    return of(root, train=split == "train", download=download)


def dataset_files(source: ImagesFrom) -> list[Path]:
    """Return the files of the dataset, sorted. Raises `DataError` if their folder is missing."""
    return sorted(path for path in existing(_folder(source)).iterdir() if path.is_file())


def load_torchvision(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Read one split of a dataset that is downloaded."""
    progress(f"reading {split} images", 0, 1)
    processed = _folder(source).parent / "processed"
    if processed.is_dir():
        raise DataError(
            f"{processed} was made by an old torchvision, whose files would be read instead of those in "
            f"{_folder(source)}. Delete it."
        )
    try:
        dataset = _dataset(source, split)
    except Exception as error:  # noqa: BLE001 (malformed pickles and bytes can raise anything)
        raise DataError(
            f"torchvision cannot read {source.dataset} ({error}); delete {_folder(source)} and run again, "
            "which downloads it anew."
        ) from None
    images = np.asarray(dataset.data, dtype=np.uint8)
    if source.dataset == "SVHN":  # (N, 3, H, W)
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 3:  # gray: (N, H, W)
        images = np.repeat(images[..., None], 3, axis=3)
    if source.size is not None and images.shape[1:3] != (source.size, source.size):
        images = np.stack([np.asarray(resized(Image.fromarray(image), source.size)) for image in images])
    progress(f"reading {split} images", 1, 1)
    labels, names = (
        (dataset.labels, "0123456789") if source.dataset == "SVHN" else (dataset.targets, dataset.classes)
    )
    return ExampleSet(split, images, np.asarray(labels, dtype=np.int64), tuple(map(str, names)))
