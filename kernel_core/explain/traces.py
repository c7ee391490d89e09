"""What is kept of every run's outputs, so that a value can be explained without the files of logits, or torch.

A row is the log-softmax of one example, class by class and run by run, shifted and scaled:

    row[c, r] = (log_softmax[r, c] - its median over the runs) / its standard deviation over the runs

Correlations do not see shift and scale. The median instead of the mean is for float16, whose steps are finest at 0:
an example of which all runs but one are sure has a mean beside all of its values, and its sure runs, which differ by
little, would be rounded to one number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernel_core.spec import Split

# With these the interval of a value is 0.06 wide (synthetic logits, 10 classes), and CIFAR-10 takes 600 MB, which are
# read in half a second; all its 20,000 published runs would take 24 GB.
RUN_LIMIT = 500
BYTE_LIMIT = (
    4_000_000_000  # of both splits: fewer runs are kept of a source with very many examples or classes
)
# A spread below this, relative to the values, is what rounding to float16 can make of no spread at all.
ROUNDING = 1e-3


def kept_run_count(run_count: int, numbers_per_run: int) -> int:
    """Return how many of an ensemble's runs are kept; numbers_per_run: examples of both splits times classes."""
    return min(run_count, RUN_LIMIT, BYTE_LIMIT // (2 * numbers_per_run))


@dataclass(frozen=True, eq=False)
class Traces:
    """The rows of one split, over the first `runs` runs of the ensemble.

    values: float16 (N, C, M), usually memory-mapped: as said above; 0 for a class that does not vary.
    """

    split: Split
    values: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def class_count(self) -> int:
        """C."""
        return int(self.values.shape[1])

    @property
    def run_count(self) -> int:
        """M, the number of runs kept; the ensemble may have more."""
        return int(self.values.shape[2])

    def raw(self, index: int) -> npt.NDArray[np.float64]:
        """The row of one example as kept: (C, M)."""
        return np.asarray(self.values[index], dtype=np.float64)

    def standardized(self, index: int) -> npt.NDArray[np.float64]:
        """The row of one example with mean 0 and unbiased variance 1 in every class: (C, M); 0 if a class is constant."""
        return standardize(self.raw(index))


def standardize(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Numbers (…, M) with their mean over the M runs subtracted, divided by their unbiased standard deviation.

    Those that do not vary, beyond what float16 can tell, become 0.
    """
    deviations = rows - rows.mean(-1, keepdims=True)
    spread = np.sqrt(np.square(deviations).sum(-1, keepdims=True) / (rows.shape[-1] - 1))
    size = np.sqrt(np.square(rows).mean(-1, keepdims=True))
    varies = spread > ROUNDING * size
    made: npt.NDArray[np.float64] = np.divide(
        deviations, spread, out=np.zeros_like(deviations), where=np.broadcast_to(varies, rows.shape)
    )
    return made


def to_float32(values: npt.NDArray[np.float16], out: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Finite float16 numbers as float32, into `out`; four times as fast as NumPy's own conversion.

    The 16 bits, moved to where float32 has its sign, exponent and digits, are the same number but for the exponents'
    different zero points, 112 apart. It is exact, for the smallest numbers too.
    """
    bits = out.view(np.int32)
    np.copyto(bits, values.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x7000_0001), out=bits)
    return np.multiply(out, np.float32(2.0**112), out=out)
