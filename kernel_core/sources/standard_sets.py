"""Well-known data sets by name: a copy that is already here, else torchvision's, else the Hub's."""

from __future__ import annotations

from dataclasses import dataclass

from kernel_core.errors import DownloadError, NotBuilt
from kernel_core.progress import Progress, no_progress
from kernel_core.sources import hub_images
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.torchvision_images import fetched, from_torchvision


@dataclass(frozen=True)
class StandardSet:
    """A data set of which there are copies in several places.

    dataset: torchvision's name. hub: the Hub's copy, as `hub_images.described` takes it. about: what it is.
    """

    dataset: str
    hub: str
    about: str


STANDARD_SETS = {
    "cifar10": StandardSet("CIFAR10", "hub:uoft-cs/cifar10", "60,000 images of 10 kinds of things"),
    "cifar100": StandardSet(
        "CIFAR100", "hub:uoft-cs/cifar100?label=fine_label", "60,000 images of 100 kinds of things"
    ),
    "fashion-mnist": StandardSet(
        "FashionMNIST", "hub:zalando-datasets/fashion_mnist", "70,000 gray images of clothes"
    ),
    "mnist": StandardSet("MNIST", "hub:ylecun/mnist", "70,000 handwritten digits"),
    "svhn": StandardSet(
        "SVHN", "hub:ufldl-stanford/svhn?config=cropped_digits", "99,289 digits of house numbers"
    ),
}
"""Name of a built-in source → its images."""


def standard_images(name: str, *, offline: bool = False, progress: Progress = no_progress) -> ImagesFrom:
    """Return the images of a data set: a copy that is already here, else downloaded.

    name: a key of `STANDARD_SETS`. Raises `NotBuilt` if offline and there is no copy, `DownloadError` if both
    hosts fail.
    """
    of = STANDARD_SETS[name]
    by_torchvision, on_hub = from_torchvision(of.dataset), hub_images.described(of.hub)
    try:
        return fetched(by_torchvision, offline=True)
    except NotBuilt as absent:
        try:
            return hub_images.fetched(on_hub, offline=True)
        except NotBuilt:
            if offline:
                raise absent from None
    try:
        progress(f"downloading {of.dataset} by torchvision", 0, 1)
        return fetched(by_torchvision, offline=False)
    except DownloadError as torchvision_error:
        try:
            return hub_images.fetched(on_hub, progress=progress)
        except DownloadError as hub_error:
            raise DownloadError(f"{torchvision_error} The Hub's copy failed too: {hub_error}") from None
