"""An ensemble written run by run, by any training loop, by one process or by many at once.

    folder/ensemble.json                        what the runs are of, and what made them
    folder/labels.safetensors                   the labels, which accuracies are computed from
    folder/images/{train,test}.parquet          the images, where they were given as arrays
    folder/runs/pending/run-000007.safetensors  a run as it was added
    folder/runs/part-000/log.pt                 those of the runs 0 … 499 that there are, packed by `finish`
    folder/runs/dropped.json                    runs that came to nothing, and why
    folder/penultimate.safetensors              features of the lowest run that gave some
    folder/source.toml                          what the rest of this program opens

Every file is written whole or not at all, and under one lock, so that a file half written is that of a dead process.
After `finish` the bytes of the folder depend on its runs alone, not on who added them when.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock
import numpy as np
import numpy.typing as npt

from kernel_core.ensembles.folder import PACKED, RunFiles
from kernel_core.ensembles.inputs import COPIES, GivenImages, run_arrays, run_number
from kernel_core.ensembles.manifest import (
    FILE,
    Identity,
    fingerprints,
    plain,
    read_identity,
    refuse_foreign,
    refuse_other,
)
from kernel_core.errors import DataError, RequestError, StoreError
from kernel_core.files import write_json
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources.parquet import write_parquet
from kernel_core.sources.source import ImagesFrom
from kernel_core.sources.source_toml import FEATURES, write_source_file
from kernel_core.spec import Split
from kernel_core.tensor_files import read_arrays, write_arrays

LOCK = ".lock"


class EnsembleWriter:
    """The folder of an ensemble, to which runs are added; left without an error, it is finished.

    images: split → (uint8 images (N, H, W, 3) or (N, H, W), labels (N,)), or split → `ExampleSet`, which are copied, of
    train and test, or of test alone where no outputs for the training set are to be saved; or a path, a torchvision name (see `sources.find_images`) or an `ImagesFrom`, which the source refers to; None
    where the folder has them. made_by: plain values that say how runs are made. What is None or empty is not
    compared with what the folder says of itself. Raises `RequestError`, and touches nothing, if the folder holds
    another ensemble or something else; `DataError` for images that do not fit together; `StoreError` if the disk
    refuses.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        images: Mapping[Split, Any] | ImagesFrom | str | Path | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
        layer: str = "",
        made_by: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self._files = RunFiles(self.folder)
        given = GivenImages.of(images, class_names)
        said = given.said(self.folder) if given else Identity(class_names=list(class_names or ()))
        said = Identity(said.images, said.examples, said.class_names, name, layer, plain(made_by))
        known = self._agreed(given, said)
        with self._locked("its folder"):
            known = self._agreed(given, said)  # another process may have made it meanwhile
            self._files.clean()
            examples = None
            if known is None:
                assert given is not None
                examples = given.load()
                known = said.of(examples, COPIES)
                write_json(self.folder / FILE, known.to_json())
            self.identity = known
            self.labels = self._complete(given, examples)

    def _agreed(self, given: GivenImages | None, said: Identity) -> Identity | None:
        """What the folder says of itself, which is nothing else than what is said here; None for a new folder."""
        known = read_identity(self.folder)
        if known is not None:
            refuse_other(self.folder, known, said)
            return known
        refuse_foreign(self.folder, {LOCK} | (given.own(self.folder) if given else set()))
        if given is None:
            raise RequestError(f"{self.folder} has no images yet; give the writer images=….")
        return None

    def _complete(
        self, given: GivenImages | None, examples: dict[Split, ExampleSet] | None
    ) -> dict[Split, npt.NDArray[np.int64]]:
        """Write images and labels where they are missing, as after a kill; the labels of each split."""
        copies = {split: COPIES[split] for split in self.identity.splits}
        parts = (
            {s: self.folder / path for s, path in copies.items()} if self.identity.images == copies else {}
        )
        labels = self.folder / "labels.safetensors"
        if not all(path.exists() for path in (labels, *parts.values())):
            if given is None:
                raise RequestError(
                    f"{self.folder} lacks images or labels; give the writer the same images again."
                )
            examples = examples or given.load()
            refuse_other(self.folder, self.identity, Identity(examples=fingerprints(examples)))
            for split, path in parts.items():
                if not path.exists():
                    write_parquet(path, examples[split])
            write_arrays(labels, {split: of_split.labels for split, of_split in examples.items()}, {})
        return {split: values for split, values in read_arrays(labels)[0].items() if split in copies}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()

    @property
    def runs(self) -> tuple[int, ...]:
        """The runs that are here whole, packed or not, in rising order."""
        return self._files.runs

    @property
    def dropped(self) -> dict[int, str]:
        """The runs that came to nothing, and why."""
        return self._files.dropped

    def add(
        self,
        run: int,
        *,
        logits: Mapping[Split, Any],
        features: Mapping[Split, Any] | None = None,
        accuracy: float | None = None,
        replace: bool = False,
    ) -> None:
        """Add a run: its logits (N, C) on the images of each split, arrays or tensors of any floating kind.

        features: its penultimate features (N, D); the lowest run's are kept in the end. accuracy: on the test set, in 0 … 1;
        without it, that of the logits. replace: whether it may take the place of a run already here, or dropped.
        Raises `DataError` where the arrays do not fit the images or are not finite in float16, `RequestError` if the
        run is here already, `StoreError` if the disk refuses; then nothing of it is kept.
        """
        run = run_number(run)
        arrays = run_arrays(run, logits, features, self.identity)
        if accuracy is None:
            accuracy = float((arrays["logits"]["test"].argmax(1) == self.labels["test"]).mean())
        if not 0 <= accuracy <= 1:
            raise DataError(f"Run {run}: its accuracy is {accuracy}; expected a share from 0 to 1.")
        with self._locked(f"run {run}"):
            if not replace and run in self._files:
                raise RequestError(
                    f"Run {run} is here already; leave it out, or replace it with replace=True."
                )
            if not replace and run in self.dropped:
                raise RequestError(
                    f"Run {run} was dropped ({self.dropped[run]}); replace=True adds it all the same."
                )
            self._files.write(run, arrays, accuracy)

    def drop(self, run: int, why: str) -> None:
        """Note that a run came to nothing, so that it is not done again. Raises `RequestError` if it is here."""
        run = run_number(run)
        with self._locked(f"the note on run {run}"):
            if run in self.runs:
                raise RequestError(f"Run {run} is here, whole; drop() is for runs that came to nothing.")
            self._files.write_dropped({**self.dropped, run: why})

    def finish(self, progress: Progress = no_progress) -> Path:
        """Pack what was added and write `source.toml`, whose path is returned; more can be added later.

        Raises `RequestError` with fewer than two runs, which stay as they are, `StoreError` if the disk refuses.
        """
        with self._locked("the ensemble"):
            self._files.clean()
            runs, pending = self.runs, len(self._files.pending)
            if len(runs) < 2:
                raise RequestError(
                    f"{self.folder} has {len(runs)} run(s); the kernel correlates over runs and needs at least 2. "
                    "What was added is kept: add more, then finish()."
                )
            has_features = self._files.write_features(self.identity.layer)
            packed = 0
            for added in self._files.pack(self.identity):
                packed += added
                progress("packing runs", packed, pending)
            self._files.write_dropped({run: why for run, why in self.dropped.items() if run not in runs})
            return self._write_source(has_features)

    def _write_source(self, has_features: bool) -> Path:
        path = self.folder / "source.toml"
        features = FEATURES if has_features else None
        with contextlib.suppress(FileNotFoundError, tomllib.TOMLDecodeError, AttributeError):
            named = tomllib.loads(path.read_text(encoding="utf-8")).get("features", {}).get("file")
            if named and named != FEATURES and (self.folder / named).exists():
                features = named  # put there by somebody else
        write_source_file(
            path,
            name=self.identity.name,
            images=self.identity.images,
            logits=PACKED,
            splits=self.identity.splits,
            features=features,
        )
        return path

    @contextlib.contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        """Hold the right to write in the folder; what: that which a full disk keeps from being written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / LOCK):
                yield
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(
                f"{what} could not be written to {self.folder} ({reason}); nothing half written is left, and what was "
                "there before is unchanged. Free some space or mend the folder's permissions, and do it again."
            ) from None
