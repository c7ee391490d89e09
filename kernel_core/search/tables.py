"""The nearest of a range of rows, of which several threads or machines find a share each."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.search.row_source import Range
from kernel_core.search.running_topk import in_order


@dataclass(frozen=True, eq=False)
class TopK:
    """The k nearest database rows of every query row: larger values first, ties by smaller index.

    indices: int32 (n, k), the database rows. values: (n, k), their inner products, in the dtype of the rows.
    product: the name of how blocks of rows were multiplied; None if they were not.
    """

    indices: npt.NDArray[np.int32]
    values: npt.NDArray[Any]
    product: str | None = None


class Table:
    """The k largest values known of each row of a range, and their columns.

    rows: the range. values: (n, k), descending; -inf in a place not yet taken. indices: int64 (n, k),
    ascending where values tie.
    """

    def __init__(self, rows: Range, k: int, dtype: torch.dtype, device: torch.device) -> None:
        self.rows, self.k = rows, k
        n = rows[1] - rows[0]
        self.values = torch.full((n, k), -torch.inf, dtype=dtype, device=device)
        self.indices = torch.zeros(n, k, dtype=torch.int64, device=device)
        self._lock = threading.Lock()

    def take(self, first_row: int, values: Tensor, indices: Tensor) -> None:
        """Take in values and columns (m, any number) of the rows from `first_row` on, in any order.

        No column may come twice for a row, but those whose value is -inf. Any thread may call this.
        """
        place = slice(first_row - self.rows[0], first_row - self.rows[0] + len(values))
        with self._lock:
            of_both = torch.cat([self.values[place], values], 1), torch.cat([self.indices[place], indices], 1)
            best_values, best_indices = in_order(*of_both)
            self.values[place], self.indices[place] = best_values[:, : self.k], best_indices[:, : self.k]

    def top(self, product: str | None = None) -> TopK:
        """Return what was found. product: as in `TopK`."""
        return TopK(self.indices.to(torch.int32).cpu().numpy(), self.values.cpu().numpy(), product)
