"""The running top-k of float32 values on the CPU: one pass over a tile, few merges, any order of arrival.

A value and its column are packed into one integer. Sorted ascending, these have the larger values first, ties
by smaller column. NumPy sorts integers six times as fast as torch sorts values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Values = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

LANES = 64  # columns whose maximum is compared first: most groups hold nothing new
STRIDED_LANES = 16  # the same where the columns of a row lie apart in memory: each then costs a cache line
MANY_GROUPS = 0.75  # of all; where more hold something new, a closer bound is looked for first
FEW_CANDIDATES = 128  # per row; where there are more, the rows of a tile are taken in parts, to save memory
PART_ROWS = 64  # rows that are not taken in parts
MERGED_AT = 0.5  # new columns, relative to those merged before, at which candidates are merged
NOTHING = np.float32(-np.inf)
LAST = np.iinfo(np.int64).max  # sorts behind every key


def pack(values: Values, columns: Integers | int) -> Integers:
    """Return keys that sort ascending: larger values first, ties by smaller column, which is below 2^32."""
    rising = _flipped((values + np.float32(0)).view(np.int32))  # -0.0 becomes 0.0, as they are equal
    keys: Integers = (~rising).astype(np.int64) << 32 | columns
    return keys


def unpack(keys: Integers) -> Values:
    """Return the values of keys."""
    return _flipped(~(keys >> 32).astype(np.int32)).view(np.float32)


def columns_of(keys: Integers) -> Integers:
    """Return the columns of keys."""
    return keys & 0xFFFFFFFF


def _flipped(bits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Turn the bits of float32 numbers into integers that rise with the numbers, or back."""
    return bits ^ (bits >> 31 & np.int32(0x7FFFFFFF))


@dataclass
class _Candidates:
    """What may belong to the top-k of a range of rows: its rows, counted in the range, and its keys.

    before: columns merged before. columns: columns seen since.
    """

    before: int = 0
    columns: int = 0
    rows: list[Integers] = field(default_factory=list)
    keys: list[Integers] = field(default_factory=list)


class PackedTopK:
    """The k largest values seen so far of each of n rows, and their columns, as sorted keys (n, k).

    Candidates of a range of rows wait until a merge pays; a range is named by its first row.
    least: as in `RunningTopK`.
    """

    def __init__(self, n: int, k: int, least: Values | None = None) -> None:
        self.k, self.least = k, least
        self.keys = np.full((n, k), pack(np.array([NOTHING]), 0))
        self.waiting: dict[int, _Candidates] = {}

    def merge(self, first_row: int, tile: Tensor, first_column: int) -> None:
        """Take in a tile of values (q, b), or the transpose of one, as `RunningTopK.merge` says."""
        waiting = self.waiting.setdefault(first_row, _Candidates())
        self._collect(waiting, first_row, first_row, tile, first_column)
        waiting.columns += tile.shape[1]
        if waiting.columns >= MERGED_AT * waiting.before:
            self._merge_waiting(first_row)

    @property
    def values(self) -> Tensor:
        """The values (n, k) in their order; -inf where there is none."""
        return torch.from_numpy(unpack(self._merged()))

    @property
    def indices(self) -> Tensor:
        """Their columns, int64 (n, k)."""
        return torch.from_numpy(columns_of(self._merged()))

    def _merged(self) -> Integers:
        for first_row in self.waiting:
            self._merge_waiting(first_row)
        return self.keys

    def _collect(
        self, waiting: _Candidates, range_row: int, first_row: int, tile: Tensor, first_column: int
    ) -> None:
        """Add the candidates of a tile to those that wait; `range_row`: the first row of their range."""
        q, k = len(tile), self.k
        held = self.keys[first_row : first_row + q]
        last = unpack(held[:, -1])
        # One that ties with the last value held takes its place only if its column is smaller.
        bound = np.where(columns_of(held[:, -1]) < first_column, last, np.nextafter(last, NOTHING))
        if self.least is not None:
            bound = np.maximum(bound, np.nextafter(self.least[first_row : first_row + q], NOTHING))
        groups = _Groups(tile, _lanes(tile, k, is_empty=bool(bound[0] == NOTHING)))
        hits = groups.above(bound)
        if len(hits) > MANY_GROUPS * groups.maxima.size:
            # The k-th of what is held and of the groups' maxima together: no value below it can stay.
            known = np.concatenate([unpack(held), groups.maxima], axis=1)
            known.partition(known.shape[1] - k, axis=1)
            closer = np.nextafter(known[:, -k], NOTHING)
            bound = np.maximum(bound, closer)
            hits = groups.above(bound)
        rows, lanes, columns = groups.of(hits)
        words = _words(lanes > bound[rows][:, None])
        if np.bitwise_count(words).sum(dtype=np.int64) > FEW_CANDIDATES * q and q > PART_ROWS:
            half = q // 2
            self._collect(waiting, range_row, first_row, tile[:half], first_column)
            self._collect(waiting, range_row, first_row + half, tile[half:], first_column)
            return
        hit, lane = _set_bits(words)
        waiting.rows.append(rows[hit] + (first_row - range_row))
        values = lanes.reshape(-1)[hit * groups.lanes + lane]
        waiting.keys.append(pack(values, columns[hit] + lane + first_column))

    def _merge_waiting(self, first_row: int) -> None:
        """Merge the candidates of a range of rows."""
        waiting = self.waiting[first_row]
        if sum(map(len, waiting.keys)):
            row, key = np.concatenate(waiting.rows), np.concatenate(waiting.keys)
            # NumPy sorts 16-bit integers by counting.
            order = np.argsort(row.astype(np.uint16) if row.max() < 2**16 else row, kind="stable")
            row, key = row[order], key[order]
            count = np.bincount(row)
            changed = np.flatnonzero(count)
            count = count[changed]
            width = self.k + int(count.max())
            table = np.full((len(changed), width), LAST)
            table[:, : self.k] = self.keys[first_row + changed]
            # The place of a row's i-th candidate, in the flat table.
            first = np.arange(len(changed)) * width + self.k - (np.cumsum(count) - count)
            table.reshape(-1)[np.repeat(first, count) + np.arange(len(key))] = key
            table.sort(axis=1)
            self.keys[first_row + changed] = table[:, : self.k]
            if self.least is not None:  # where another thread writes too, the lower may stay, which is safe
                last = unpack(table[:, self.k - 1])
                self.least[first_row + changed] = np.maximum(self.least[first_row + changed], last)
        self.waiting[first_row] = _Candidates(waiting.before + waiting.columns)


class _Groups:
    """The values of a tile (q, b) in groups of neighboring columns, and their maxima (q, groups).

    The tile has contiguous rows, or is the transpose of one, which is not copied.
    """

    def __init__(self, tile: Tensor, lanes: int) -> None:
        self.lanes = lanes
        missing = -tile.shape[1] % lanes
        self.transposed = tile.stride(1) != 1
        if self.transposed:
            base = _padded(tile.T, (0, 0, 0, missing))
            base = base.view(-1, lanes, len(tile))  # (groups, lanes, q)
            self.maxima = base.amax(1).numpy().T
        else:
            base = _padded(tile, (0, missing))
            base = base.view(len(tile), -1, lanes)  # (q, groups, lanes)
            self.maxima = base.amax(2).numpy()
        self.base = base.numpy()

    def above(self, bound: Values) -> Integers:
        """Return the places of the maxima that exceed the bound (q,) of their row, in the order of memory."""
        above = self.maxima > bound[:, None]
        return np.flatnonzero(above.T if self.transposed else above)

    def of(self, hits: Integers) -> tuple[Integers, Values, Integers]:
        """Return the rows (h,), values (h, lanes) and first columns (h,) of groups at these places."""
        row_count, group_count = self.maxima.shape
        if self.transposed:
            group = hits // row_count  # with the next line, twice as fast as divmod
            row = hits - group * row_count
            values = self.base[group[:, None], np.arange(self.lanes), row[:, None]]
        else:
            row = hits // group_count
            group = hits - row * group_count
            values = np.take(self.base.reshape(-1, self.lanes), hits, axis=0)
        return row, values, group * self.lanes


def _padded(values: Tensor, missing: tuple[int, ...]) -> Tensor:
    return torch.nn.functional.pad(values, missing, value=-torch.inf) if any(missing) else values


def _lanes(tile: Tensor, k: int, *, is_empty: bool) -> int:
    """Return how many columns to group: fewer where nothing is held yet, so that there are 2k maxima."""
    lanes = LANES if tile.stride(1) == 1 else STRIDED_LANES
    while is_empty and lanes > 8 and tile.shape[1] < 2 * k * lanes:
        lanes //= 2
    return lanes


def _words(mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return each row of a mask (h, lanes) as one integer: bit i is column i. lanes: 8, 16, 32 or 64."""
    return np.packbits(mask.reshape(-1), bitorder="little").view(f"<u{mask.shape[1] // 8}")


def _set_bits(words: npt.NDArray[Any]) -> tuple[Integers, Integers]:
    """Return the places of words and the numbers of their bits that are set: of each its lowest, then others.

    Nearly every word has one, which is therefore twice as fast as to look for what is true in a mask.
    """
    place, places, bits = np.arange(len(words)), [], []
    while len(words):
        places.append(place)
        bits.append(np.bitwise_count((words & -words) - words.dtype.type(1)))
        words = words & (words - words.dtype.type(1))
        left = np.flatnonzero(words)
        place, words = place[left], words[left]
    return np.concatenate([place, *places]), np.concatenate([place, *bits])
