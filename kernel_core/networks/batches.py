"""Random batches of training images for the convolutional networks: shifted, mirrored, normalized."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.recipes import CnnRecipe
from kernel_core.records import ExampleSet


class Batches:
    """Batches of the training images, shifted by a few pixels and mirrored in every other epoch."""

    def __init__(
        self,
        train: ExampleSet,
        recipe: CnnRecipe,
        device: torch.device,
        dtype: torch.dtype,
        generator: torch.Generator,
    ) -> None:
        t = self.translation = min(recipe.translation, min(train.images.shape[1:3]) - 1)
        padded = np.pad(train.images, ((0, 0), (t, t), (t, t), (0, 0)), mode="reflect")
        self.images = torch.from_numpy(padded).to(device)  # uint8 (N, h + 2t, w + 2t, 3)
        self.labels = torch.from_numpy(train.labels).to(device)
        self.size = train.images.shape[1:3]
        self.batch = min(recipe.batch, len(train))
        self.device, self.dtype, self.generator = device, dtype, generator
        self.normalize = normalizer(train, device, dtype)
        self.mirrored = self._random(2, len(train)).bool()
        self.epoch = 0

    def __len__(self) -> int:
        """Number of batches per epoch; examples left over are skipped in that epoch."""
        return len(self.labels) // self.batch

    def _random(self, below: int, count: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.generator, device=self.device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one epoch: inputs (b, 3, h, w), channels last, and labels (b,)."""
        order = torch.randperm(len(self.labels), generator=self.generator, device=self.device)
        for indices in torch.split(order[: len(self) * self.batch], self.batch):
            yield self.normalize(self.shifted(indices).permute(0, 3, 1, 2)), self.labels[indices]
        self.epoch += 1

    def shifted(self, indices: Tensor) -> Tensor:
        """Return images, uint8 (b, h, w, 3), each shifted at random, and mirrored in alternate epochs."""
        h, w = self.size
        down, right = (self._random(2 * self.translation + 1, len(indices))[:, None] for _ in range(2))
        rows = down + torch.arange(h, device=self.device)  # (b, h)
        columns = torch.arange(w, device=self.device).expand(len(indices), -1)
        mirrored = self.mirrored[indices] ^ bool(self.epoch % 2)
        columns = right + torch.where(mirrored[:, None], w - 1 - columns, columns)  # (b, w)
        return self.images[indices[:, None, None], rows[:, :, None], columns[:, None, :]]


def normalizer(train: ExampleSet, device: torch.device, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Return a function that normalizes images, uint8 (b, 3, h, w).

    Over the training set, each channel then has mean 0 and deviation 1.
    """
    mean, deviation = (
        torch.from_numpy(per_channel).view(1, 3, 1, 1).to(device) for per_channel in channel_scale(train)
    )

    def normalize(x: Tensor) -> Tensor:
        return x.float().sub_(mean).div_(deviation).to(dtype).contiguous(memory_format=torch.channels_last)

    return normalize


def channel_scale(train: ExampleSet) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the mean and the deviation, at least 1, of each channel of the training images, (3,)."""
    deviation = np.maximum(_per_channel(train.images, np.std), 1.0)
    return _per_channel(train.images, np.mean).astype(np.float32), deviation.astype(np.float32)


def _per_channel(
    images: npt.NDArray[np.uint8], statistic: Callable[..., npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Compute a statistic per channel (3,), from at most about 10,000 images spread over the set."""
    return statistic(images[:: max(1, len(images) // 10_000)], axis=(0, 1, 2), dtype=np.float64)
