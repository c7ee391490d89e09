"""The files of an ensemble's runs in its folder: one a run as it was added, then parts of up to 500 runs.

    runs/pending/run-000007.safetensors  a run as it was added
    runs/part-000/log.pt                 those of the runs 0 … 499 that are packed, in the published layout
    runs/dropped.json                    runs that came to nothing, and why
    penultimate.safetensors              features of the lowest run that gave some

Nothing here takes a lock: what writes is called by one process at a time.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.ensembles.log_file import LOGIT_KEYS, load_tensors, write_log
from kernel_core.ensembles.manifest import Identity
from kernel_core.errors import DataError
from kernel_core.files import UNFINISHED, write_json
from kernel_core.sources.source_toml import FEATURES
from kernel_core.spec import SPLITS, Split
from kernel_core.tensor_files import read_arrays, read_metadata, read_names, write_arrays

RUNS_PER_PART = 500  # as in the published ensemble
PACKED = "runs/part-*/log.pt"


@dataclass(frozen=True)
class RunFiles:
    """The runs in one folder."""

    folder: Path

    @property
    def runs(self) -> tuple[int, ...]:
        """The runs that are here whole, packed or not, in rising order."""
        pending = self.pending  # first: a run that is packed meanwhile is then seen twice, not never
        parts = (int(path.parent.name[5:]) for path in self.folder.glob(PACKED))
        return tuple(sorted({*pending, *(run for part in parts for run in self._packed(part)[0])}))

    @property
    def pending(self) -> list[int]:
        """The runs that are not packed yet, in rising order."""
        return sorted(int(path.stem[4:]) for path in self.folder.glob("runs/pending/run-*.safetensors"))

    @property
    def dropped(self) -> dict[int, str]:
        """The runs that came to nothing, and why."""
        try:
            content = json.loads((self.folder / "runs/dropped.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {int(run): str(why) for run, why in content.items()}

    def __contains__(self, run: int) -> bool:
        return self._pending_path(run).exists() or run in self._packed(run // RUNS_PER_PART)[0]

    def write(
        self, run: int, arrays: Mapping[str, Mapping[Split, npt.NDArray[np.float16]]], accuracy: float
    ) -> None:
        """Keep a run until it is packed: its logits, and its features unless a lower run's are seen to be here."""
        if self._has_lower_features(run):  # of 500 runs of CIFAR-10, 512 numbers each, they would be 30 GB
            arrays = {"logits": arrays["logits"]}
        named = {f"{what}_{split}": array for what, both in arrays.items() for split, array in both.items()}
        write_arrays(self._pending_path(run), named, {"accuracy": repr(float(accuracy)), "run": str(run)})
        self.write_dropped({other: why for other, why in self.dropped.items() if other != run})

    def write_dropped(self, dropped: Mapping[int, str]) -> None:
        """Say which runs came to nothing."""
        if dropped == self.dropped:
            return
        path = self.folder / "runs/dropped.json"
        if dropped:
            write_json(path, {str(run): dropped[run] for run in sorted(dropped)})
        else:
            path.unlink()

    def pack(self, identity: Identity) -> Iterator[int]:
        """Pack what is pending, part by part; yields the number of runs that a part gained."""
        pending = self.pending
        for part in sorted({run // RUNS_PER_PART for run in pending}):
            added = [run for run in pending if run // RUNS_PER_PART == part]
            self._pack_part(part, added, identity)
            for run in added:  # killed before this, the next to pack does the same again
                self._pending_path(run).unlink()
            yield len(added)
        with contextlib.suppress(OSError):
            (self.folder / "runs/pending").rmdir()

    def _pack_part(self, part: int, added: list[int], identity: Identity) -> None:
        """Write a part again with the runs added to it; a run that is in both is taken as added."""
        keys = {split: key for split, key in LOGIT_KEYS.items() if split in identity.examples}
        before, content = self._packed(part, keys.values())
        runs, classes = sorted({*before, *added}), len(identity.class_names)
        logits = {
            key: np.empty((len(runs), identity.examples[split]["count"], classes), np.float16)
            for split, key in keys.items()
        }
        accuracies = []
        for i, run in enumerate(runs):
            if run in added:
                arrays, meta = read_arrays(self._pending_path(run))
                accuracies.append(float(meta["accuracy"]))
            else:
                j = before.index(run)
                arrays = {f"logits_{split}": content[key][j].numpy() for split, key in keys.items()}
                accuracies.append(float(content["accs"][j]))
            for split, key in keys.items():
                logits[key][i] = arrays[f"logits_{split}"]
        write_log(
            self._part_path(part), runs=runs, logits=logits, accuracies=accuracies,
            code=json.dumps(identity.made_by, sort_keys=True),
        )  # fmt: skip

    def _packed(self, part: int, keys: Iterable[str] = ("logits",)) -> tuple[list[int], Mapping[str, Any]]:
        """The numbers of a part's runs, and its content, memory-mapped; nothing where there is none. keys: what it is
        to hold of each run."""
        path = self._part_path(part)
        if not path.exists():
            return [], {}
        content = load_tensors(path)
        runs = content.get("runs")
        if not isinstance(runs, list) or not all(
            isinstance(content.get(key), torch.Tensor) and len(content[key]) == len(runs)
            for key in (*keys, "accs")
        ):
            raise DataError(f"{path} does not name its runs as ours do; take it out of {self.folder}.")
        return runs, content

    def write_features(self, layer: str) -> bool:
        """Write the features of the lowest run, pending or kept before, that has some; whether there are any then."""
        path, pending = self.folder / FEATURES, self.pending
        kept = read_metadata(path).get("run", "") if path.exists() else None
        if kept is not None and not kept.isdecimal():
            return True  # put there by somebody else
        having = [run for run in pending if "features_test" in read_names(self._pending_path(run))]
        earlier = [] if kept is None or int(kept) in pending else [int(kept)]
        lowest = min([*having, *earlier], default=None)
        if lowest is None:
            path.unlink(missing_ok=True)  # of a run that was replaced by one without
            return False
        if lowest in having:
            arrays = read_arrays(self._pending_path(lowest))[0]
            named = {split: f"features_{split}" for split in SPLITS}
            features = {str(split): arrays[name] for split, name in named.items() if name in arrays}
            write_arrays(path, features, {"layer": layer or "not named", "run": str(lowest)})
        return True

    def _has_lower_features(self, run: int) -> bool:
        """Whether the lowest run that is pending has features, or features were kept before, and of a lower run."""
        path, lowest = self.folder / FEATURES, min(self.pending, default=run)
        if lowest < run and "features_test" in read_names(self._pending_path(lowest)):
            return True
        kept = read_metadata(path).get("run", "") if path.exists() else ""
        return kept.isdecimal() and int(kept) < run and not self._pending_path(int(kept)).exists()

    def clean(self) -> None:
        """Remove what dead processes left half written."""
        unfinished = f"*.{'[0-9a-f]' * 32}{UNFINISHED}"
        for folder in ("", "images/", "runs/", "runs/pending/", "runs/part-*/"):
            for path in self.folder.glob(folder + unfinished):
                path.unlink()

    def _pending_path(self, run: int) -> Path:
        return self.folder / f"runs/pending/run-{run:06d}.safetensors"

    def _part_path(self, part: int) -> Path:
        return self.folder / f"runs/part-{part:03d}/log.pt"
