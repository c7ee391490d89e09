"""An ensemble written run by run, by any training loop, from one process or many at once.

    folder/ensemble.json                        the manifest: what the runs are of, and what made them
    folder/labels.safetensors                   the labels, from which accuracies are computed
    folder/images/{train,test}.parquet          the images, if they were given as arrays
    folder/runs/pending/run-000007.safetensors  a run as it was added
    folder/runs/part-000/log.pt                 the runs 0 … 499 that exist, packed by `finish`
    folder/runs/dropped.json                    runs that failed, and why
    folder/penultimate.safetensors              features of the lowest run that has some
    folder/source.toml                          what the rest of this program opens

Every file is written whole or not at all, and under one lock, so an unfinished file is that of a dead
process. After `finish`, the bytes of the folder depend only on its runs, not on who added them when.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock
import numpy as np
import numpy.typing as npt

from kernel_core.ensembles.folder import PACKED, RunFiles
from kernel_core.ensembles.inputs import (
    COPIES,
    Array,
    InputImages,
    LabeledImages,
    entries_in,
    run_arrays,
    run_number,
    training_mask,
    with_no_images,
)
from kernel_core.ensembles.manifest import (
    FILE,
    LABELS,
    Identity,
    fingerprints,
    json_values,
    read_identity,
    refuse_foreign_files,
    refuse_other_ensemble,
)
from kernel_core.errors import DataError, RequestError, StoreError
from kernel_core.files import write_json
from kernel_core.progress import Progress, no_progress
from kernel_core.records import ExampleSet
from kernel_core.sources.parquet import write_parquet
from kernel_core.sources.source import FeatureSet, ImagesFrom
from kernel_core.sources.source_toml import FEATURES, features_named_in, write_source_file
from kernel_core.spec import Split
from kernel_core.tensor_files import read_arrays, write_arrays

LOCK = ".lock"


class EnsembleWriter:
    """The folder of an ensemble, to which runs are added; a `with` block without an error ends in `finish`.

    images: split → (uint8 images (N, H, W, 3) or (N, H, W), labels (N,)) or split → `ExampleSet`, to be
        copied into the folder; for train and test, or for test alone if no outputs for the training set are
        saved. Or a path, the name of a torchvision dataset, or an `ImagesFrom`, to be referred to. None if
        the folder has its images already.
    labels: instead of images, split → class numbers (N,), for examples that have no images.
    class_names: one per class; by default, those of the images.
    name: of the source; by default, the folder's.
    layer: the layer that features are taken from.
    feature_sets: further features of the same examples, in files that the source.toml is to name.
    made_by: plain values that describe how the runs are made.

    Arguments that are None or empty are not compared with what the folder's manifest says. Raises
    `RequestError`, without changing anything, if the folder holds another ensemble or other files;
    `DataError` for images that do not fit together; `StoreError` if the disk refuses.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        images: Mapping[Split, LabeledImages] | ImagesFrom | str | Path | None = None,
        labels: Mapping[Split, Array] | None = None,
        class_names: Sequence[str] | None = None,
        name: str | None = None,
        layer: str = "",
        feature_sets: Sequence[FeatureSet] = (),
        made_by: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(os.path.expanduser(folder)).absolute()
        self._files, self._feature_sets = RunFiles(self.folder), tuple(feature_sets)
        if labels is not None:
            if images is not None:
                raise RequestError("Found images and labels; images bring their labels. Pass one of them.")
            images = with_no_images(labels)
        inputs = InputImages.of(images, class_names)
        of_images = inputs.identity(self.folder) if inputs else Identity(class_names=list(class_names or ()))
        wanted = dataclasses.replace(of_images, name=name, layer=layer, made_by=json_values(made_by))
        self._check(inputs, wanted)
        with self._locked("the description of the ensemble"):
            identity = self._check(inputs, wanted)  # again: another process may have created the folder
            self._files.clean()
            examples = None
            if identity is None:
                assert inputs is not None
                examples = inputs.load()
                identity = wanted.completed(examples, COPIES)
                write_json(self.folder / FILE, identity.to_json())
            self.identity = identity
            self.labels = self._complete(inputs, examples)

    def _check(self, inputs: InputImages | None, wanted: Identity) -> Identity | None:
        """Return the folder's identity after comparing it with the wanted one; None for a new folder."""
        identity = read_identity(self.folder)
        if identity is None:
            try:
                self._refuse_foreign_files(inputs)
            except RequestError:
                identity = read_identity(self.folder)  # of a process that began the folder just now
                if identity is None:
                    raise
        if identity is not None:
            refuse_other_ensemble(self.folder, identity, wanted)
            return identity
        if inputs is None:
            raise RequestError(f"{self.folder} has no images yet; pass images=… or labels=… to the writer.")
        return None

    def _refuse_foreign_files(self, inputs: InputImages | None) -> None:
        files = [path for features in self._feature_sets for path in features.files.values()]
        of_images = inputs.entries_in(self.folder) if inputs else set()
        refuse_foreign_files(self.folder, {LOCK} | of_images | entries_in(self.folder, files))

    def _complete(
        self, inputs: InputImages | None, examples: dict[Split, ExampleSet] | None
    ) -> dict[Split, npt.NDArray[np.int64]]:
        """Write images and labels that are missing, perhaps after a kill; return the labels of each split."""
        copies = {split: COPIES[split] for split in self.identity.splits}
        parts = (
            {s: self.folder / path for s, path in copies.items()} if self.identity.images == copies else {}
        )
        labels = self.folder / LABELS
        if not all(path.exists() for path in (labels, *parts.values())):
            if inputs is None:
                raise RequestError(
                    f"{self.folder} lacks images or labels; pass the same images to the writer again."
                )
            examples = examples or inputs.load()
            refuse_other_ensemble(self.folder, self.identity, Identity(examples=fingerprints(examples)))
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
        """The numbers of the runs that are complete, packed or not, in ascending order."""
        return self._files.run_numbers

    @property
    def dropped(self) -> dict[int, str]:
        """The numbers of the runs that failed, each with the reason."""
        return self._files.dropped

    def add(
        self,
        run: int,
        *,
        logits: Mapping[Split, Array],
        features: Mapping[Split, Array] | None = None,
        accuracy: float | None = None,
        trained_on: Array | None = None,
        replace: bool = False,
    ) -> None:
        """Add a run.

        run: its number, from 0.
        logits: split → (N, C), for all images of each split, arrays or tensors of any floating dtype.
        features: split → (N, D), its penultimate features; in the end, those of the lowest run are kept.
        accuracy: on the test split, in 0 … 1; by default, computed from the logits.
        trained_on: bool (N,), which training images it was trained on; for every run, or for none.
        replace: allow it to take the place of a run that is in the folder already, or was dropped.

        Raises `DataError` if the arrays do not fit the images or are not finite in float16, `RequestError` if
        the run is in the folder already or lacks what the others have, `StoreError` if the disk refuses;
        nothing of it is kept then.
        """
        run = run_number(run)
        arrays = run_arrays(run, logits, features, self.identity)
        if accuracy is None:
            accuracy = float((arrays["logits"]["test"].argmax(1) == self.labels["test"]).mean())
        if not 0 <= accuracy <= 1:
            raise DataError(f"Run {run}: its accuracy is {accuracy}; expected a fraction from 0 to 1.")
        mask = None if trained_on is None else training_mask(run, trained_on, self.identity)
        with self._locked(f"run {run}"):
            self._refuse_unwanted(run, mask is not None, replace)
            self._files.write(run, arrays, accuracy, mask)

    def _refuse_unwanted(self, run: int, has_mask: bool, replace: bool) -> None:
        """Raise `RequestError` if the run is there already, or differs from the others in having a mask."""
        if not replace and run in self._files:
            raise RequestError(
                f"Run {run} is in the folder already. Skip it, or pass replace=True to replace it."
            )
        if not replace and run in self.dropped:
            raise RequestError(
                f"Run {run} was dropped ({self.dropped[run]}). Pass replace=True to add it anyway."
            )
        if self._files.has_masks not in (None, has_mask):
            raise RequestError(
                f"Run {run} has {'a' if has_mask else 'no'} training mask, unlike the runs in the "
                "folder; expected one for every run, or for none. Pass trained_on for all of them."
            )

    def drop(self, run: int, why: str) -> None:
        """Record that a run failed, and why, so that it is not repeated.

        Raises `RequestError` if the run is in the folder.
        """
        run = run_number(run)
        with self._locked(f"the note that run {run} was dropped"):
            if run in self.runs:
                raise RequestError(f"Run {run} is in the folder, complete; drop() is for runs that failed.")
            self._files.write_dropped({**self.dropped, run: why})

    def finish(self, progress: Progress = no_progress) -> Path:
        """Pack the runs, write `source.toml`, and return its path. More runs can be added later.

        Raises `RequestError` for fewer than two runs, which stay as they are, `StoreError` if the disk
        refuses.
        """
        with self._locked("the ensemble"):
            self._files.clean()
            run_numbers, pending = self.runs, len(self._files.pending)
            if len(run_numbers) < 2:
                raise RequestError(
                    f"{self.folder} has {len(run_numbers)} run(s), but the kernel correlates over runs and "
                    "needs at least 2. What was added is kept; add more runs, then call finish()."
                )
            has_features = self._files.write_features(self.identity.layer)
            packed = 0
            for added in self._files.pack(self.identity):
                packed += added
                progress("packing runs", packed, pending)
            self._files.write_dropped(
                {run: why for run, why in self.dropped.items() if run not in run_numbers}
            )
            return self._write_source(has_features)

    def _write_source(self, has_features: bool) -> Path:
        path = self.folder / "source.toml"
        features = FEATURES if has_features else None
        named = features_named_in(path)
        if named and named != FEATURES and (self.folder / named).exists():
            features = named  # a file that somebody else put there
        write_source_file(
            path,
            name=self.identity.name,
            images=self.identity.images,
            logits=PACKED,
            splits=self.identity.splits,
            features=features,
            feature_sets=self._feature_sets,
        )
        return path

    @contextlib.contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        """Hold the lock for writing in the folder. what: what is to be written, for the error message."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / LOCK):
                yield
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(
                f"Cannot write {what} to {self.folder} ({reason}). No partial file is left, and existing "
                "files are unchanged. Free some disk space or correct the folder's permissions, then try "
                "again."
            ) from None
