"""Similarities of vectors as inner products of rows: cosine, correlation, dot product, Euclidean distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.block_array import unmap_large
from kernel_core.machine import piece_bytes
from kernel_core.nngp import GrayInputs, nngp_of_cosine
from kernel_core.similarities import Similarity
from kernel_core.similarity.rows import SimilarityRows


class _VectorRows(SimilarityRows):
    """Rows made of vectors; values: (N, D), any number type, in memory, mapped, or made when cut."""

    def __init__(self, values: npt.NDArray[Any] | GrayInputs) -> None:
        self.values = values
        self.width = values.shape[1]
        self.raw_bytes = values.shape[1] * values.itemsize

    def __len__(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int, _run_slice: slice) -> npt.NDArray[Any]:
        """Return the vectors (b, D) as they are."""
        vectors = np.array(self.values[start:stop])
        unmap_large(self.values)
        return vectors

    def rows(self, raw: Tensor, _start: int, _run_slice: slice) -> Tensor:
        """Return the rows (b, width), made in pieces since their arithmetic is float64."""
        rows = torch.empty(len(raw), self.width, dtype=self.dtype, device=raw.device)
        size = max(1, piece_bytes(raw.device.type) // (8 * self.width))
        for i in range(0, len(raw), size):
            rows[i : i + size] = self._rows_of(raw[i : i + size].double())
        return rows

    def _rows_of(self, vectors: Tensor) -> Tensor:
        """Return the rows of float64 vectors (p, D), which may be overwritten."""
        raise NotImplementedError


class CosineRows(_VectorRows):
    """Vectors as rows of unit length: their inner product is the cosine. A zero vector stays zero.

    values: (N, D). centered: subtract each vector's own mean first, which makes the cosine the Pearson
        correlation of two vectors. For pixels, that is a similarity that brightness and contrast do not
        change.
    """

    def __init__(self, values: npt.NDArray[Any] | GrayInputs, *, centered: bool = False) -> None:
        super().__init__(values)
        self.centered = centered

    def _rows_of(self, vectors: Tensor) -> Tensor:
        if self.centered:
            vectors -= vectors.mean(1, keepdim=True)
        norm = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        return torch.where(norm > 0, vectors / norm, 0.0).float()


class DotRows(_VectorRows):
    """Vectors as they are: their inner product, in float64, since nothing bounds the size of a term.

    values: (N, D).
    """

    dtype = torch.float64

    def _rows_of(self, vectors: Tensor) -> Tensor:
        return vectors


class EuclideanRows(_VectorRows):
    """Vectors as rows whose inner product is minus the squared Euclidean distance.

    -|q-d|^2 = 2 q·d - |q|^2 - |d|^2: a query row is (sqrt2 q, -|q|^2, 1), a database row (sqrt2 d, 1,
    -|d|^2). They are float64, since the terms cancel for near examples.

    values: (N, D). center: (D,), subtracted on both sides to bring down the norms, and so the cancellation.
    """

    dtype = torch.float64

    def __init__(self, values: npt.NDArray[Any], center: npt.NDArray[np.float64], *, is_query: bool) -> None:
        super().__init__(values)
        self.center, self.is_query = torch.from_numpy(center), is_query
        self.width += 2

    def _rows_of(self, vectors: Tensor) -> Tensor:
        x = vectors - self.center.to(vectors.device)
        minus_squares = -x.square().sum(1, keepdim=True)
        one = torch.ones_like(minus_squares)
        ends = [minus_squares, one] if self.is_query else [one, minus_squares]
        return torch.cat([x * 2**0.5, *ends], dim=1)


def shown_values(similarity: Similarity, products: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return a similarity's values, of the inner products that its neighbors were found by; the order stays.

    A product of `EuclideanRows` becomes a minus distance, rounded to above 0 a distance of 0; a cosine of the
    networks' inputs becomes the closed form.
    """
    if similarity.is_distance:
        products = -np.sqrt(np.maximum(-products, 0))
    elif similarity.kind == "nngp":
        products = nngp_of_cosine(products)
    return products.astype(np.float32)
