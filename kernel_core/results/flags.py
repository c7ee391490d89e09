"""The cache entries of the labels that confident learning flags, of splits for which that takes seconds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from kernel_core.findings.confident_learning import WHOLE_CELLS, flag_issues
from kernel_core.progress import Progress
from kernel_core.results.keys import Keys
from kernel_core.results.label_check import judging
from kernel_core.results.results import Results
from kernel_core.results.store import Store, key_of
from kernel_core.results.unseen import UnseenEntries
from kernel_core.spec import Split

KIND = "flags"
BY = "cleanlab's find_label_issues, class by class"  # how labels are flagged; part of the key


def read_flags(keys: Keys, store: Store) -> dict[Split, npt.NDArray[np.bool_]]:
    """Return by split which labels are flagged, mapped, bool (N,), for those that are kept."""
    mapped = {split: store.map(KIND, _key(keys, store, split), "flagged") for split in keys.predictions}
    return {split: flagged for split, flagged in mapped.items() if flagged is not None}


def lacks_flags(results: Results) -> bool:
    """Return whether a build would keep flags that are not kept yet."""
    return bool(_lacking(results))


def keep_flags(
    results: Results, keys: Keys, store: Store, progress: Progress
) -> Mapping[Split, npt.NDArray[np.bool_]]:
    """Write which labels are flagged, of every split that lacks it; return what is kept then, by split.

    Raises `StoreError` if the disk refuses.
    """
    lacking = _lacking(results)
    for number, split in enumerate(lacking):
        progress("looking for labels to flag", number, len(lacking))
        probabilities, labels = judging(results, split)[1], results.examples[split].labels
        index = np.flatnonzero(probabilities.known)
        flagged = np.zeros(len(labels), bool)
        flagged[index] = flag_issues(labels[index], probabilities.rows(index))
        about = f"{results.name}: {split} labels that confident learning flags"
        store.write(KIND, _key(keys, store, split), {"flagged": flagged}, {}, about=about)
    progress("looking for labels to flag", len(lacking), len(lacking))
    return read_flags(keys, store)


def _lacking(results: Results) -> list[Split]:
    """Return the splits whose flags are kept, as there are many examples times classes, but are not yet."""
    cells = {split: len(of) * len(of.class_names) for split, of in results.examples.items()}
    return [split for split, count in cells.items() if count > WHOLE_CELLS and split not in results.flags]


def _key(keys: Keys, store: Store, split: Split) -> str:
    content = {"labels": keys.labels, "predictions": keys.predictions[split]}
    unseen = UnseenEntries(keys, store).key if split == "train" else None
    return key_of({"kind": KIND, "by": BY, "unseen": unseen, **content})
