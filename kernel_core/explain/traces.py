"""What is kept of every run's outputs, to explain a value without torch and without the files of logits.

The trace of an example is its log-softmax for each class c and run r, shifted and scaled within the class:

    trace[c, r] = (log_softmax[r, c] - median over the runs) / standard deviation over the runs

Correlations do not depend on shift and scale. The median is subtracted, not the mean, because float16 is
finest near 0: if all runs but one are sure of an example, its mean lies beside all values, and the sure runs,
which differ by little, would be rounded to one number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kernel_core.spec import Split

Real = TypeVar("Real", np.float32, np.float64)
Kept = npt.NDArray[np.floating]
"""Traces as a build keeps them, float16, or as they are read anew, float32."""

# With 500 runs the interval of a value is 0.06 wide (synthetic logits, 10 classes), and CIFAR-10 takes 600
# MB, which are read in half a second; all its 20,000 published runs would take 24 GB.
RUN_LIMIT = 500
# Of both splits. Fewer runs are kept of a source with very many examples or classes.
BYTE_LIMIT = 4_000_000_000
# A spread below this, relative to the values, can come from rounding to float16 alone.
ROUNDING = 1e-3


def kept_run_count(run_count: int, numbers_per_run: int) -> int:
    """Return how many of an ensemble's runs are kept.

    numbers_per_run: examples of both splits times classes.
    """
    return min(run_count, RUN_LIMIT, BYTE_LIMIT // (2 * numbers_per_run))


def why_none_kept(run_count: int, example_count: int, class_count: int) -> str:
    """Return a sentence on an ensemble too large for its outputs to be kept; empty if they can be.

    example_count: of all splits.
    """
    numbers = example_count * class_count
    if run_count < 2 or kept_run_count(run_count, numbers) >= 2:
        return ""
    return (
        f"Outputs run by run are not kept of this source: two runs of {example_count:,} examples and "
        f"{class_count:,} classes take {4 * numbers / 1e9:,.1f} GB, more than the {BYTE_LIMIT / 1e9:.0f} GB "
        "that are kept at most."
    )


@dataclass(frozen=True, eq=False)
class Traces:
    """The traces of one split's examples, over the ensemble's first runs.

    values: (N, C, M), 0 for a class that does not vary. A build keeps float16, which is mapped; traces that
    are read anew are float32.
    """

    split: Split
    values: Kept

    def __len__(self) -> int:
        return len(self.values)

    @property
    def class_count(self) -> int:
        """C, the number of classes."""
        return int(self.values.shape[1])

    @property
    def run_count(self) -> int:
        """M, the number of runs kept; the ensemble may have more."""
        return int(self.values.shape[2])

    def raw(self, index: int) -> npt.NDArray[np.float64]:
        """Return the trace of one example as it is kept, (C, M)."""
        return np.asarray(self.values[index], dtype=np.float64)

    def standardized(self, index: int) -> npt.NDArray[np.float64]:
        """Return the trace of one example with mean 0 and unbiased variance 1 in every class, (C, M).

        A class that does not vary is 0.
        """
        return standardize(self.raw(index))


def standardize(values: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Return values (…, M) minus their mean over the M runs, divided by their unbiased standard deviation.

    Values that vary by no more than float16 can tell become 0.
    """
    runs = np.ascontiguousarray(np.moveaxis(values, -1, 0))  # sums of few numbers each are slow in a row
    deviations = runs - runs.mean(0)
    spread = np.sqrt(np.square(deviations).sum(0) / (len(runs) - 1))
    varies = spread > ROUNDING * np.sqrt(np.square(runs).mean(0))
    np.divide(deviations, np.where(varies, spread, np.inf), out=deviations)
    return np.ascontiguousarray(np.moveaxis(deviations, 0, -1))


def to_float32(values: Kept, out: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Write finite values as float32 into `out`, and return it; of float16 four times as fast as NumPy does.

    The 16 bits, moved to where float32 has its sign, exponent and digits, are the same number except for the
    exponents' zero points, which are 112 apart. This is exact, for the smallest numbers too.
    """
    if values.dtype != np.float16:
        np.copyto(out, values)
        return out
    bits = out.view(np.int32)
    np.copyto(bits, values.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x7000_0001), out=bits)
    return np.multiply(out, np.float32(2.0**112), out=out)
