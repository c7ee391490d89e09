"""Labelled images from torchvision, Hub-style Parquet files, folders of images, or scikit-learn's digits.

Every reader takes an `ImagesFrom` and a split and returns that split's `ExampleSet`.
"""

from __future__ import annotations

import io
import json
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from kernel_core.errors import DataError, DownloadError, NotBuilt
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
DIGITS_SPLIT_SEED = 0
DIGITS_TEST = 500

TIMEOUT = 20.0  # seconds without a byte from torchvision's host
# Dataset name → the folder below the torchvision root that holds its files.
TORCHVISION = {
    "CIFAR10": "cifar-10-batches-py",
    "CIFAR100": "cifar-100-python",
    "FashionMNIST": "FashionMNIST/raw",
    "KMNIST": "KMNIST/raw",
    "MNIST": "MNIST/raw",
}
# Dataset name → the files in that folder without which it is not whole.
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
TORCHVISION_FILES = {
    "CIFAR10": (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"),
    "CIFAR100": ("train", "test", "meta"),
    "FashionMNIST": MNIST_FILES,
    "KMNIST": MNIST_FILES,
    "MNIST": MNIST_FILES,
}


def load_examples(source: ImagesFrom, split: Split, progress: Progress = no_progress) -> ExampleSet:
    """The images, labels and class names of one split.

    Raises `DataError` for anything missing, unreadable or of another size, `DownloadError` when a host fails.
    """
    return READERS[source.reader](source, split, progress)


def image_units(source: ImagesFrom) -> dict[str, list[Path]]:
    """The files that images are read from, in groups that are hashed together; empty for the embedded digits.

    Raises `DataError` if a file or folder is missing.
    """
    if source.reader == "digits":
        return {}
    if source.reader == "parquet":
        return {f"{split}.parquet": [_existing(source.paths[split])] for split in source.splits}
    if source.reader == "torchvision":
        folder = source.paths["root"] / TORCHVISION[source.dataset]
        files = sorted(path for path in _existing(folder).iterdir() if path.is_file())
        return {source.dataset: files}
    return {
        f"{split}/{name}": paths
        for split in source.splits
        for name, paths in _class_folders(source.paths["folder"] / split).items()
    }


def _existing(path: Path) -> Path:
    if not path.exists():
        raise DataError(f"{path} does not exist; the source names it. Put it there, or correct the source.")
    return path


def decode_image(data: bytes | Path, name: str, size: int | None = None) -> npt.NDArray[np.uint8]:
    """One image as uint8 (H, W, 3), cropped to its middle and resized to (size, size, 3) where a size is given.

    `name` stands in the message of the `DataError` for an unreadable one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # 600 KB of PNG can take 800 MB
            with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
                return np.asarray(resized(image, size))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{name} cannot be read as an image ({error}); replace it with a whole image file."
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is too large to be an example ({error}); expected a small image.") from None


def resized(image: Image.Image, size: int | None) -> Image.Image:
    """The image in RGB; where a size is given, its middle square at size × size pixels."""
    if size is None:
        return image.convert("RGB")
    image.draft("RGB", (2 * size, 2 * size))  # a large JPEG is read at a fraction of its size
    return ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)


def _stack(
    images: Iterator[tuple[str, bytes | Path]], total: int, step: str, size: int | None, progress: Progress
) -> Any:
    """Decode `total` images, of one size or resized to it, into uint8 (total, H, W, 3)."""
    stacked: npt.NDArray[np.uint8] | None = None
    for i, (name, data) in enumerate(images):
        image = decode_image(data, name, size)
        if stacked is None:
            stacked = np.empty((total, *image.shape), np.uint8)
        if image.shape != stacked.shape[1:]:
            h, w = stacked.shape[1:3]
            raise DataError(
                f"{name} is {image.shape[1]}×{image.shape[0]} pixels, the images before it {w}×{h}; "
                "expected one size. Give one in the source's [images], as in size = 32, or resize the images."
            )
        stacked[i] = image
        if i % 500 == 499 or i + 1 == total:
            progress(step, i + 1, total)
    if stacked is None:
        raise DataError(f"{step}: found no images; expected at least one.")
    return stacked


def _load_parquet(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """Hub-style Parquet: a column img {bytes, path}, a column label, class names in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _existing(source.paths[split])
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); fetch it again.") from None
    image_column = next((name for name in ("img", "image") if name in table.column_names), None)
    if image_column is None or "label" not in table.column_names:
        raise DataError(
            f"{path} has the columns {table.column_names}; expected img {{bytes, path}} and label."
        )
    try:
        encoded = table.column(image_column).combine_chunks().field("bytes").to_pylist()
        labels = table.column("label").to_numpy().astype(np.int64, casting="safe")
    except (pa.ArrowException, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{path}: {error}; expected img {{bytes, path}} and whole-number labels.") from None
    names = _parquet_class_names(table.schema.metadata or {})
    named = ((f"{path.name}, row {i},", data or b"") for i, data in enumerate(encoded))
    images = _stack(named, len(encoded), f"reading {split} images", source.size, progress)
    return ExampleSet(
        split, images, labels, names or tuple(str(c) for c in range(int(labels.max(initial=0)) + 1))
    )


def _parquet_class_names(metadata: dict[bytes, bytes]) -> tuple[str, ...]:
    """The names of the ClassLabel `label` in the metadata that the `datasets` library writes; empty if absent."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(str(name) for name in names)


def _class_folders(folder: Path) -> dict[str, list[Path]]:
    """Class name → its image files, both sorted."""
    classes = {}
    for entry in sorted(_existing(folder).iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            classes[entry.name] = sorted(p for p in entry.iterdir() if p.suffix.lower() in SUFFIXES)
    if not any(classes.values()):
        raise DataError(
            f"{folder} holds no images; expected {folder.name}/<class>/*.png (or .jpg, .webp, …)."
        )
    return classes


def _load_folder(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """train/<class>/*.png and test/<class>/*.png; classes are numbered by the sorted names of the train folders, or of
    the test folders where the source has no other split."""
    root = source.paths["folder"]
    names = tuple(_class_folders(root / source.splits[0]))
    classes = _class_folders(root / split)
    unknown = sorted(set(classes) - set(names))
    if unknown:
        raise DataError(f"{root / split} has the class folder {unknown[0]!r}, which {root / 'train'} lacks.")
    files = [(path, names.index(name)) for name, paths in classes.items() for path in paths]
    named = ((str(path), path) for path, _ in files)
    images = _stack(named, len(files), f"reading {split} images", source.size, progress)
    return ExampleSet(split, images, np.array([label for _, label in files], np.int64), names)


def torchvision_root() -> Path:
    """Where torchvision's datasets are kept when a source names no folder: beside its model weights."""
    home = (
        os.environ.get("TORCH_HOME")
        or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "torch"
    )
    return Path(home) / "datasets"


def torchvision_is_here(source: ImagesFrom) -> bool:
    """Whether every file of a torchvision dataset is here; a download that broke off leaves its folder behind."""
    folder = source.paths["root"] / TORCHVISION[source.dataset]
    return all((folder / name).is_file() for name in TORCHVISION_FILES[source.dataset])


def fetched(source: ImagesFrom, *, offline: bool) -> ImagesFrom:
    """The same torchvision dataset, once it is here. Raises `NotBuilt` if it is not and `offline` forbids to fetch."""
    if not torchvision_is_here(source):
        if offline:
            raise NotBuilt(f"{source.dataset} is not downloaded in {source.paths['root']}.")
        download_torchvision(source)
    return source


def download_torchvision(source: ImagesFrom) -> None:
    """Fetch a torchvision dataset unless it is there; torchvision checks each file's MD5.

    Raises `DownloadError` if its host is out of reach.
    """
    import torchvision

    root = source.paths["root"]
    patience = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(TIMEOUT)  # torchvision would wait for a silent host without end
        getattr(torchvision.datasets, source.dataset)(root, train=True, download=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise DownloadError(
            f"torchvision could not fetch {source.dataset} into {root} ({' '.join(str(error).split())}). Check the "
            "connection and run again, or name Parquet files in the source's [images]."
        ) from None
    finally:
        socket.setdefaulttimeout(patience)


def _load_torchvision(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    import torchvision

    progress(f"reading {split} images", 0, 1)
    try:
        dataset = getattr(torchvision.datasets, source.dataset)(source.paths["root"], train=split == "train")
    except (OSError, RuntimeError) as error:
        folder = source.paths["root"] / TORCHVISION[source.dataset]
        raise DataError(
            f"torchvision cannot read {source.dataset} ({error}); delete {folder} and run again, which fetches it anew."
        ) from None
    images = np.asarray(dataset.data, dtype=np.uint8)
    if images.ndim == 3:  # grey: (N, H, W)
        images = np.repeat(images[..., None], 3, axis=3)
    if source.size is not None and images.shape[1:3] != (source.size, source.size):
        images = np.stack([np.asarray(resized(Image.fromarray(image), source.size)) for image in images])
    progress(f"reading {split} images", 1, 1)
    labels = np.asarray(dataset.targets, dtype=np.int64)
    return ExampleSet(split, images, labels, tuple(str(name) for name in dataset.classes))


def _load_digits(source: ImagesFrom, split: Split, progress: Progress) -> ExampleSet:
    """scikit-learn's 1,797 handwritten digits, 8×8, grey levels 0 … 16, split once and for all with every class
    in its share (stratified)."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    progress(f"reading {split} images", 0, 1)
    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)),
        test_size=DIGITS_TEST,
        stratify=digits.target,
        random_state=DIGITS_SPLIT_SEED,
    )
    rows = {"train": train, "test": test}[split]
    grey = np.round(digits.images[rows] * (255 / 16)).astype(np.uint8)  # (N, 8, 8)
    images = np.repeat(grey[..., None], 3, axis=3)
    progress(f"reading {split} images", 1, 1)
    return ExampleSet(split, images, digits.target[rows].astype(np.int64), tuple("0123456789"))


READERS: dict[str, Callable[[ImagesFrom, Split, Progress], ExampleSet]] = {
    "digits": _load_digits,
    "folder": _load_folder,
    "parquet": _load_parquet,
    "torchvision": _load_torchvision,
}
