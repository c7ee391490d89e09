"""The files of an ensemble's runs in its folder: one per run as it was added, then parts of up to 500 runs.

    runs/pending/run-000007.safetensors  a run as it was added
    runs/part-000/log.pt                 the packed ones of the runs 0 … 499, in the published layout
    runs/dropped.json                    runs that failed, and why
    penultimate.safetensors              features of the lowest run that has some

Nothing here takes a lock: only one process at a time may call the functions that write.
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

from kernel_core.ensembles.log_file import load_tensors, write_log
from kernel_core.ensembles.manifest import Identity
from kernel_core.errors import DataError
from kernel_core.files import read_json, write_json
from kernel_core.held import UNFINISHED
from kernel_core.sources.logit_form import LOGIT_KEYS
from kernel_core.sources.source_toml import FEATURES
from kernel_core.spec import SPLITS, Split
from kernel_core.tensor_files import read_arrays, read_metadata, read_names, write_arrays

RUNS_PER_PART = 500  # as in the published ensemble
PACKED = "runs/part-*/log.pt"
MASKS = "trained_on"  # the name of a run's training mask in its file


@dataclass(frozen=True)
class RunFiles:
    """The runs in one folder."""

    folder: Path

    @property
    def run_numbers(self) -> tuple[int, ...]:
        """The runs that are complete, packed or not, in ascending order."""
        pending = self.pending  # read first: a run that is packed meanwhile is then seen twice, not never
        parts = _numbers(path.parent.name for path in self.folder.glob(PACKED))
        return tuple(sorted({*pending, *(run for part in parts for run in self._packed(part)[0])}))

    @property
    def pending(self) -> list[int]:
        """The runs that are not packed yet, in ascending order."""
        return sorted(_numbers(path.stem for path in self.folder.glob("runs/pending/run-*.safetensors")))

    @property
    def dropped(self) -> dict[int, str]:
        """The runs that failed, each with the reason. Raises `DataError` if their file is damaged."""
        path = self.folder / "runs/dropped.json"
        try:
            return {int(run): str(why) for run, why in read_json(path).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path} is damaged ({error}); expected the runs that failed, each with the reason. "
                "Delete it."
            ) from None

    def __contains__(self, run: int) -> bool:
        return self._pending_path(run).exists() or run in self._packed(run // RUNS_PER_PART)[0]

    @property
    def has_masks(self) -> bool | None:
        """Whether the runs have training masks, which all or none have; None if there are no runs."""
        for run in self.pending[:1]:
            return MASKS in read_names(self._pending_path(run))
        for path in sorted(self.folder.glob(PACKED))[:1]:
            return MASKS in load_tensors(path)
        return None

    def write(
        self,
        run: int,
        arrays: Mapping[str, Mapping[Split, npt.NDArray[np.float16]]],
        accuracy: float,
        trained_on: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Write a run as pending: its logits, and its features unless a lower run is known to have some.

        arrays: "logits" and perhaps "features" → split → (N, C) or (N, D).
        accuracy: on the test split, in 0 … 1. trained_on: (N,), its training mask, if the runs have some.
        """
        if self._has_lower_features(run):  # 500 runs of CIFAR-10 with 512 features each would take 30 GB
            arrays = {"logits": arrays["logits"]}
        by_name: dict[str, npt.NDArray[Any]] = {
            f"{what}_{split}": array for what, splits in arrays.items() for split, array in splits.items()
        }
        if trained_on is not None:
            by_name[MASKS] = trained_on
        write_arrays(self._pending_path(run), by_name, {"accuracy": repr(float(accuracy)), "run": str(run)})
        self.write_dropped({other: why for other, why in self.dropped.items() if other != run})

    def write_dropped(self, dropped: Mapping[int, str]) -> None:
        """Record which runs failed, and why."""
        if dropped == self.dropped:
            return
        path = self.folder / "runs/dropped.json"
        if dropped:
            write_json(path, {str(run): dropped[run] for run in sorted(dropped)})
        else:
            path.unlink()

    def pack(self, identity: Identity) -> Iterator[int]:
        """Pack the pending runs part by part, yielding the number of runs added to each part."""
        pending = self.pending
        for part in sorted({run // RUNS_PER_PART for run in pending}):
            added = [run for run in pending if run // RUNS_PER_PART == part]
            self._pack_part(part, added, identity)
            for run in added:  # after a kill before this, the next call packs the same runs again
                self._pending_path(run).unlink()
            yield len(added)
        with contextlib.suppress(OSError):
            (self.folder / "runs/pending").rmdir()

    def _pack_part(self, part: int, added: list[int], identity: Identity) -> None:
        """Rewrite a part with more runs; of a run that is in both, the added version is kept."""
        keys = {split: key for split, key in LOGIT_KEYS.items() if split in identity.examples}
        before, content = self._packed(part, keys.values())
        run_numbers, class_count = sorted({*before, *added}), len(identity.class_names)
        logits = {
            key: np.empty((len(run_numbers), identity.examples[split]["count"], class_count), np.float16)
            for split, key in keys.items()
        }
        accuracies, masks = [], []
        for i, run in enumerate(run_numbers):
            if run in added:
                arrays, metadata = read_arrays(self._pending_path(run))
                accuracies.append(float(metadata["accuracy"]))
                masks += [arrays[MASKS]] if MASKS in arrays else []
            else:
                j = before.index(run)
                arrays = {f"logits_{split}": content[key][j].numpy() for split, key in keys.items()}
                accuracies.append(float(content["accs"][j]))
                masks += [content[MASKS][j].numpy()] if MASKS in content else []
            for split, key in keys.items():
                logits[key][i] = arrays[f"logits_{split}"]
        code = json.dumps(identity.made_by, sort_keys=True)
        arrays = {**logits, MASKS: np.stack(masks)} if masks else dict(logits)
        path = self._part_path(part)
        write_log(path, run_numbers=run_numbers, arrays=arrays, accuracies=accuracies, code=code)

    def _packed(self, part: int, keys: Iterable[str] = ("logits",)) -> tuple[list[int], Mapping[str, Any]]:
        """Open a part; return its run numbers and its memory-mapped content, or nothing if it does not exist.

        keys: the logits that the part must have. Raises `DataError` if it lacks one.
        """
        path = self._part_path(part)
        if not path.exists():
            return [], {}
        content = load_tensors(path)
        run_numbers = content.get("runs")
        if not isinstance(run_numbers, list) or not all(
            isinstance(content.get(key), torch.Tensor) and len(content[key]) == len(run_numbers)
            for key in (*keys, "accs")
        ):
            raise DataError(
                f"{path} was not written by Kernel Explorer: it does not list its runs. Move it out of "
                f"{self.folder}."
            )
        return run_numbers, content

    def logits(self, run: int) -> dict[Split, npt.NDArray[np.float16]]:
        """Return the logits of a run that is here, by split, (N, C)."""
        if self._pending_path(run).exists():
            arrays = read_arrays(self._pending_path(run))[0]
            return {split: arrays[f"logits_{split}"] for split in SPLITS if f"logits_{split}" in arrays}
        numbers, content = self._packed(run // RUNS_PER_PART)
        at = numbers.index(run)
        return {split: content[key][at].numpy() for split, key in LOGIT_KEYS.items() if key in content}

    def write_features(self, layer: str) -> bool:
        """Write the features of the lowest run that has some, pending or kept; return whether any exist."""
        path, pending = self.folder / FEATURES, self.pending
        kept = read_metadata(path).get("run", "") if path.exists() else None
        if kept is not None and not kept.isdecimal():
            return True  # a file that somebody else put there
        candidates = [run for run in pending if "features_test" in read_names(self._pending_path(run))]
        earlier = [] if kept is None or int(kept) in pending else [int(kept)]
        lowest = min([*candidates, *earlier], default=None)
        if lowest is None:
            path.unlink(missing_ok=True)  # of a run that was replaced by one without features
            return False
        if lowest in candidates:
            arrays = read_arrays(self._pending_path(lowest))[0]
            names = {split: f"features_{split}" for split in SPLITS}
            features = {str(split): arrays[name] for split, name in names.items() if name in arrays}
            write_arrays(path, features, {"layer": layer or "not named", "run": str(lowest)})
        return True

    def _has_lower_features(self, run: int) -> bool:
        """Return whether the lowest pending run has features, or features of a lower run are kept already."""
        path, lowest = self.folder / FEATURES, min(self.pending, default=run)
        if lowest < run and "features_test" in read_names(self._pending_path(lowest)):
            return True
        kept = read_metadata(path).get("run", "") if path.exists() else ""
        return kept.isdecimal() and int(kept) < run and not self._pending_path(int(kept)).exists()

    def clean(self) -> None:
        """Delete the unfinished files of processes that died."""
        unfinished = f"*.{'[0-9a-f]' * 32}{UNFINISHED}"
        for folder in ("", "images/", "runs/", "runs/pending/", "runs/part-*/", "checkpoints/"):
            for path in self.folder.glob(folder + unfinished):
                path.unlink()

    def _pending_path(self, run: int) -> Path:
        return self.folder / f"runs/pending/run-{run:06d}.safetensors"

    def _part_path(self, part: int) -> Path:
        return self.folder / f"runs/part-{part:03d}/log.pt"


def _numbers(names: Iterable[str]) -> list[int]:
    """Return the numbers in names such as run-000007 and part-000; other names are not ours."""
    digits = (name.partition("-")[2] for name in names)
    return [int(text) for text in digits if text.isdecimal()]
