"""The cache entries of what runs say of examples that they did not train on, where there are masks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from kernel_core.errors import DataError, StoreError
from kernel_core.results.hashes import hash_files
from kernel_core.results.keys import Content, Keys
from kernel_core.results.store import Store, key_of
from kernel_core.spec import Split
from kernel_core.training_masks import Unseen

HELD = "mean of the likeliest classes, prediction, and counts of right runs, without and with the example"
KIND, OF_LABEL = "unseen", "label_probabilities"
BYTE_LIMIT = 4_000_000_000  # of the probabilities of labels, both splits; more are not kept
MASKED = "masked"  # in an entry's metadata: whether the ensemble has training masks
COUNTS = ("run_count", "class_count")  # fields of `Unseen` that are numbers, in the metadata
ARRAYS = [field.name for field in fields(Unseen) if field.name not in (*COUNTS, "of_label")]


class UnseenEntries:
    """The entries of one source. Reading counts a damaged entry as none; writing raises `StoreError`.

    key: of the counts; None where there can be none: without train logits, or if the runs are trained here.
    """

    def __init__(self, keys: Keys, store: Store) -> None:
        self.keys, self.store = keys, store
        content = _content(keys, store)
        self.key = None if content is None else key_of({"kind": KIND, "of": HELD, **content})
        self.of_label: dict[Split, str] = {}
        if content is not None:
            splits = keys.source.images.splits
            self.of_label = {split: key_of({"kind": OF_LABEL, "split": split, **content}) for split in splits}

    @property
    def is_known(self) -> bool:
        """Whether the cache holds the counts, or that the ensemble has no masks."""
        return self.key is None or self.store.has(KIND, self.key)

    def read(self) -> Unseen | None:
        """Return what the cache holds; None if it holds nothing, or if the ensemble has no masks."""
        entry = None if self.key is None else self.store.read(KIND, self.key)
        if entry is None or not entry[1][MASKED]:
            return None
        arrays, meta = entry
        return Unseen(meta["runs"], meta["classes"], **arrays, of_label=self._map_of_label())

    def _map_of_label(self) -> Mapping[Split, npt.NDArray[np.float16]]:
        mapped = {split: self.store.map(OF_LABEL, key, OF_LABEL) for split, key in self.of_label.items()}
        return {split: values for split, values in mapped.items() if values is not None}

    def write_none(self) -> None:
        """Note that the ensemble has no training masks. A read-only cache goes without the note."""
        assert self.key is not None
        with contextlib.suppress(StoreError):
            about = f"{self.keys.source.name}: no training masks"
            self.store.write(KIND, self.key, {}, {MASKED: False}, about=about)

    def write(self, unseen: Unseen) -> None:
        """Write all but the probabilities of labels, which `write_of_label` wrote before."""
        assert self.key is not None
        arrays = {name: getattr(unseen, name) for name in ARRAYS}
        about = f"{self.keys.source.name}: what {unseen.run_count} runs say of examples they did not train on"
        counts = {"runs": unseen.run_count, "classes": unseen.class_count}
        self.store.write(KIND, self.key, arrays, {MASKED: True, **counts}, about=about)

    def write_of_label(
        self, split: Split, shape: tuple[int, int], blocks: Iterable[npt.NDArray[np.float16]]
    ) -> None:
        """Write each run's probability of the label of a split's examples. shape: (N, M) of the whole."""
        about = f"{self.keys.source.name}: probabilities of {split} labels by {shape[1]} runs"
        self.store.write_blocks(OF_LABEL, self.of_label[split], OF_LABEL, shape, blocks, about=about)


def _content(keys: Keys, store: Store) -> Content | None:
    """Return what the entries depend on; None where there can be none."""
    source = keys.source
    if keys.trained is not None or "train" not in source.images.splits:
        return None
    content: Content = {
        "images": keys.inputs["pixels"],
        "logits": keys.inputs["kernel"],
        "runs": keys.run_count,
    }
    form = source.logit_form
    if "trained_on" in form.keys:
        content["name"] = form.keys["trained_on"]
    if form.masks is not None:
        try:
            content["masks"] = hash_files(store, [form.masks], keys.run_count)
        except (OSError, DataError):  # results without masks open without them; a build says what is missing
            return None
    return content
