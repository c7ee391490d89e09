"""The definition of each similarity: raw values → rows whose inner product it is.

The kernel, for logits L of shape (M, N, C) (M runs, N examples, C classes):

    Z = log_softmax(L, -1);  Z = (Z - Z.mean(0)) / Z.std(0)              (unbiased std over the runs)
    K[i, j] = 1/C * sum_c 1/M * sum_r Zq[r, i, c] * Zd[r, j, c]

so K = (M-1)/M * the mean over classes of the Pearson correlation across runs, and K[x, x] = (M-1)/M is the largest
value there is. A class whose output does not vary over the runs contributes 0.
Source: the card of the Hub dataset `kjj0/cifar10-multirun-logits`; the author's script sums over the classes where
this averages, so its values are C times larger.

Variants: without log_softmax (`transform="none"`), and averaged over some of the classes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.checks import refuse_non_finite
from kernel_core.errors import DataError
from kernel_core.machine import piece_bytes
from kernel_core.progress import Progress, no_progress
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.similarity.moments import Moments, merge, pieces, read_moments, standardized
from kernel_core.spec import KernelSpec, Split

KEPT_BYTES = 32_000_000  # of float32 rows, made at a time where they are kept


class _SimilarityRows:
    """Examples as rows of `runs * width` numbers, of which a slice of the runs can be asked for alone.

    What rows are made of is read first (`read`, on any thread) and turned into rows after (`rows`).
    """

    dtype = torch.float32
    runs = 1  # a vector is all there is
    width: int
    raw_bytes: int  # bytes that `read` holds for an example and run

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def dim(self) -> int:
        """Numbers in a whole row."""
        return self.runs * self.width

    def read(self, start: int, stop: int, runs: slice) -> npt.NDArray[Any]:
        """What rows start … stop-1 are made of, as it is stored."""
        raise NotImplementedError

    def rows(self, raw: Tensor, start: int, runs: slice) -> Tensor:
        """What `read` gave, on some device → rows (b, width * runs) there; start: the first one's index."""
        raise NotImplementedError

    def block(self, start: int, stop: int, device: torch.device, runs: slice = slice(None)) -> Tensor:
        """Rows start … stop-1 of a slice of the runs: (stop-start, width * runs) of `dtype` on `device`."""
        return self.rows(torch.from_numpy(self.read(start, stop, runs)).to(device), start, runs)


class KernelRows(_SimilarityRows):
    """The examples of one split as rows for the kernel.

    transform: log_softmax, or none for the raw logits. classes: the classes averaged over, None for all. moments: of
    the split over all the ensemble's runs, where they are known; where all runs are asked for at once they are not
    needed. A row holds, class after class, the values of the runs. Raises `DataError` on a NaN or infinite logit,
    or if there are fewer than two runs.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        split: Split,
        *,
        transform: str = "log_softmax",
        classes: tuple[int, ...] | None = None,
        moments: Moments | None = None,
    ) -> None:
        if ensemble.run_count < 2:
            raise DataError(
                f"The ensemble has {ensemble.run_count} run; the kernel correlates over runs and needs at least 2."
            )
        self.ensemble, self.split, self.transform, self.known = ensemble, split, transform, moments
        self.runs = ensemble.run_count
        self.classes = range(ensemble.class_count) if classes is None else classes
        self.width = len(self.classes)
        self.stored = np.result_type(*(part[split] for part in ensemble.parts))
        self.raw_bytes = ensemble.class_count * self.stored.itemsize

    def __len__(self) -> int:
        return self.ensemble.example_count(self.split)

    def moments(self, device: torch.device) -> Moments:
        """Mean and spread over all the runs, of all examples; computed on the device if they are not known."""
        if self.known is None:
            files = range(len(self.ensemble.parts))
            self.known = merge(
                [read_moments(self.ensemble, f, self.split, self.transform, device) for f in files]
            )
        return self.known

    def read(self, start: int, stop: int, runs: slice) -> npt.NDArray[Any]:
        """The logits (m, b, C) of these runs of all files, one after the other."""
        first, last, _ = runs.indices(self.runs)
        raw = np.empty((last - first, stop - start, self.ensemble.class_count), self.stored)
        into = torch.from_numpy(raw)  # torch copies with all cores
        self.ensemble.check_unchanged()
        at = 0
        for part in (part[self.split] for part in self.ensemble.parts):
            i, j = max(first, at), min(last, at + len(part))
            if i < j:
                into[i - first : j - first] = torch.from_numpy(part)[i - at : j - at, start:stop]
            at += len(part)
        return raw

    def rows(self, raw: Tensor, start: int, runs: slice) -> Tensor:
        """Rows (b, classes * m), standardised over all the runs."""
        m, b, C = raw.shape  # runs, examples, classes
        whole = m == self.runs and self.known is None
        made = torch.empty(b, self.width, m, device=raw.device)
        # Squares that sum to 1 over the runs → rows whose inner product is the kernel.
        unit = ((self.runs - 1) / (self.runs * self.width)) ** 0.5
        for i, piece in pieces(raw):  # (p, C, m)
            first, last = start + i, start + i + len(piece)
            known = None if whole else self.moments(raw.device)[first:last].to(raw.device)
            z, moments = standardized(piece, self.transform, known)
            if whole and not torch.isfinite(moments.mean).all():
                self._refuse_non_finite(first, last)
            made[i : i + len(piece)] = z[:, self.classes] if self.width < C else z
        return made.mul_(unit).view(b, -1)

    def _refuse_non_finite(self, start: int, stop: int) -> None:
        for name, part in zip(self.ensemble.names, self.ensemble.parts, strict=True):
            refuse_non_finite(part[self.split][:, start:stop], name, self.split, first_example=start)


class _VectorRows(_SimilarityRows):
    """Rows made of vectors held in memory, values (N, D)."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values
        self.width = values.shape[1]
        self.raw_bytes = values.shape[1] * values.itemsize

    def __len__(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int, _runs: slice) -> npt.NDArray[Any]:
        """The vectors (b, D) as they are."""
        return np.array(self.values[start:stop])

    def rows(self, raw: Tensor, _start: int, _runs: slice) -> Tensor:
        """Rows (b, width), made in pieces since their arithmetic is float64."""
        made = torch.empty(len(raw), self.width, dtype=self.dtype, device=raw.device)
        size = max(1, piece_bytes(raw.device.type) // (8 * self.width))
        for i in range(0, len(raw), size):
            made[i : i + size] = self._rows_of(raw[i : i + size].double())
        return made

    def _rows_of(self, vectors: Tensor) -> Tensor:
        raise NotImplementedError


class CosineRows(_VectorRows):
    """Feature vectors as rows of unit length: their inner product is the cosine. A zero vector stays zero.

    values: (N, D). With `centered`, each vector's own mean is subtracted first, which makes the cosine the Pearson
    correlation of two vectors: for pixels, a similarity that brightness and contrast do not change.
    """

    def __init__(self, values: npt.NDArray[Any], *, centered: bool = False) -> None:
        super().__init__(values)
        self.centered = centered

    def _rows_of(self, vectors: Tensor) -> Tensor:
        if self.centered:
            vectors -= vectors.mean(1, keepdim=True)
        norm = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        return torch.where(norm > 0, vectors / norm, 0.0).float()


class EuclideanRows(_VectorRows):
    """Feature vectors as rows whose inner product is minus the squared Euclidean distance.

    -|q-d|^2 = 2 q·d - |q|^2 - |d|^2: a query row is (sqrt2 q, -|q|^2, 1), a database row (sqrt2 d, 1, -|d|^2).
    float64, since the terms cancel for near examples. values: (N, D); center: (D,), the same for both sides, brings
    the norms, and so the cancellation, down.
    """

    dtype = torch.float64

    def __init__(self, values: npt.NDArray[Any], center: npt.NDArray[np.float64], *, is_query: bool) -> None:
        super().__init__(values)
        self.center, self.is_query = torch.from_numpy(center), is_query
        self.width += 2

    def _rows_of(self, vectors: Tensor) -> Tensor:
        x = vectors - self.center.to(vectors.device)
        squared = -x.square().sum(1, keepdim=True)
        one = torch.ones_like(squared)
        ends = [squared, one] if self.is_query else [one, squared]
        return torch.cat([x * 2**0.5, *ends], dim=1)


def distance(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Minus squared distances, as `EuclideanRows` gives them, → minus distances; rounding above 0 becomes 0."""
    return -np.sqrt(np.maximum(-values, 0))


def rows_of(
    spec: KernelSpec,
    examples: Mapping[Split, ExampleSet],
    ensemble: Ensemble,
    features: Features | None = None,
    moments: Mapping[Split, Moments] | None = None,
) -> tuple[_SimilarityRows, _SimilarityRows]:
    """Query rows and database rows of what a spec describes; features where it is of penultimate features."""
    splits = spec.query, spec.database
    if spec.similarity == "kernel":
        known = moments or {}
        query, database = (
            KernelRows(ensemble, s, transform=spec.transform, classes=spec.classes, moments=known.get(s))
            for s in splits
        )
        return query, database
    if features is None:
        flat = (examples[s].images.reshape(len(examples[s]), -1) for s in splits)
        pixels, database_pixels = (CosineRows(values, centered=True) for values in flat)
        return pixels, database_pixels
    values, database_values = (features.values[s] for s in splits)
    if spec.similarity == "penultimate":
        return CosineRows(values), CosineRows(database_values)
    center = database_values.mean(0, dtype=np.float64)
    as_query = EuclideanRows(values, center, is_query=True)
    return as_query, EuclideanRows(database_values, center, is_query=False)


def blocks_to_keep(
    ensemble: Ensemble, split: Split, progress: Progress = no_progress
) -> Iterator[npt.NDArray[np.float16]]:
    """The rows of a split as `kernel_core.explain.traces` describes them, over all the ensemble's runs, block by block: (b, C, M).

    Raises `DataError` on a NaN or infinite logit.
    """
    rows = KernelRows(ensemble, split)
    N, C, M = len(rows), rows.width, rows.runs  # examples, classes, runs
    size = max(1, KEPT_BYTES // (4 * C * M))
    for start in range(0, N, size):
        stop = min(start + size, N)
        block = rows.block(start, stop, torch.device("cpu")).view(-1, M)
        block *= (M * C) ** 0.5  # of unit length → of unbiased variance 1
        # NumPy finds a median three times as fast as torch, torch makes float16 ten times as fast as NumPy.
        block -= torch.from_numpy(np.partition(block.numpy(), M // 2, axis=1)[:, M // 2, None])
        yield block.half().numpy().reshape(-1, C, M)
        progress("keeping what explains a value", stop, N)
