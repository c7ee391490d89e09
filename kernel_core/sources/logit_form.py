"""How the files of an ensemble are to be read: what their numbers are, and what their arrays are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel_core.spec import Split

KINDS = ("logits", "probabilities", "log-probabilities", "sigmoid")
"""What the numbers of an ensemble can be; sigmoid is the one output of a network for two classes."""

ID_NAMES = (
    "filename", "filenames", "file_name", "file", "path", "paths", "image", "image_id", "id", "ids", "name",
)  # fmt: skip
"""What a column or an array may be called that says which example each row of logits is of."""

LOGIT_KEYS: dict[Split, str] = {"test": "logits", "train": "logits_train"}
"""Split → what a `log.pt` calls its logits."""
TEST_ALONE = (
    ' If no logits of the training set were saved, write splits = ["test"] under [ensemble] in the '
    "source.toml; test examples are then compared with one another."
)
"""What is said where a file lacks the logits of the training set."""

NO_KERNEL = (
    "Margins are one number per run and example; the kernel compares the probabilities of all classes."
)
"""What is said where there are margins instead of logits."""


@dataclass(frozen=True)
class LogitForm:
    """How the files of an ensemble are to be read.

    kind: one of `KINDS`.
    keys: test, train, trained_on and id → the name of that array or column in the files.
    masks: the file of the training masks, if the files of logits do not hold them.
    """

    kind: str = "logits"
    keys: Mapping[str, str] = field(default_factory=dict)
    masks: Path | None = None

    def content(self) -> dict[str, Any]:
        """Return what of it changes the logits, as plain values for cache keys; empty for the default."""
        kind = {} if self.kind == "logits" else {"kind": self.kind}
        names = {name: key for name, key in sorted(self.keys.items()) if name != "trained_on"}
        return {**kind, "keys": names} if names else dict(kind)
