"""The files of an ensemble, opened: which of them hold the same runs, and in what order the runs are.

A build opens them with `open_ensemble`, the web process, which never loads torch, with `open_light`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from kernel_core.block_array import Logits, stacked
from kernel_core.ensembles.completed import refuse_incomplete
from kernel_core.ensembles.join import ExampleNames, order_of
from kernel_core.ensembles.kinds import as_logits, floor_of
from kernel_core.ensembles.logit_files import NO_EXAMPLES, LogitFile, open_logit_file
from kernel_core.ensembles.masks import read_masks
from kernel_core.ensembles.tables import is_table, read_table
from kernel_core.errors import DataError
from kernel_core.files import FileState
from kernel_core.records import Ensemble
from kernel_core.sources.decode import memory_here
from kernel_core.sources.logit_form import TEST_ALONE, LogitForm
from kernel_core.spec import SPLITS, Split

RUNS_PER_PART = 500  # files of one run each that are read as one part
SPLIT_IN_NAME = re.compile(r"(?<![a-z])(train|test|val|valid|validation|eval)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class _Runs:
    """Runs that lie in one file, or in one file per split.

    name: what to call them. numbers: of the files.
    """

    name: str
    numbers: tuple[int, ...]
    logits: Mapping[Split, Logits]

    @property
    def count(self) -> int:
        return len(next(iter(self.logits.values())))


def open_ensemble(
    files: tuple[Path, ...],
    root: Path | None = None,
    splits: tuple[Split, ...] = SPLITS,
    form: LogitForm = LogitForm(),  # noqa: B008 (frozen)
    named: ExampleNames | None = None,
    run_count: int | None = None,
) -> Ensemble:
    """Open the files of an ensemble, reading only headers and masks; runs are in the order of the files.

    root: messages name files relative to this folder. splits: those to open. form: how to read them.
    named: what the examples are called, for files whose rows are joined to them by name.
    run_count: number of the first runs that are wanted; None for all. If there are fewer, all are opened.
    Raises `DataError` for a missing, damaged or foreign file, one whose pickle asks for more than tensors and
    plain values, a missing array, or files that disagree.
    """
    names = tuple(_name_below(root, path) for path in files)
    opened = [
        _refuse_beyond_memory(_opened(path, name, splits, form, named), name, len(files))
        for path, name in zip(files, names, strict=True)
    ]
    all_runs = _paired(opened, names, splits)
    train = all_runs[0].logits.get("train")
    readers = [
        (runs.name, runs.count, next(filter(None, (opened[n].trained_on for n in runs.numbers)), None))
        for runs in all_runs
    ]
    ensemble = _joined(files, opened, all_runs, form)
    kept = min(run_count or ensemble.run_count, ensemble.run_count)
    starts = np.cumsum([0, *(runs.count for runs in all_runs)])
    refuse_incomplete(
        (files[number], min(runs.count, kept - start))
        for runs, start in zip(all_runs, starts.tolist(), strict=False)
        for number in runs.numbers
        if start < kept
    )
    masks = read_masks(readers, form.masks, None if train is None else train.shape[1], kept)
    return dataclasses.replace(ensemble.first(kept), trained_on=masks)


def open_light(
    files: tuple[Path, ...], root: Path | None, splits: tuple[Split, ...], form: LogitForm
) -> Ensemble:
    """Open the files of an ensemble to read single examples: without torch, masks, or much memory.

    Raises `DataError` as `open_ensemble` does, and for files that cannot be read so: tables, archives that
    are compressed, rows that are joined to examples by name, and torch files other than of plain tensors.
    """
    names = tuple(_name_below(root, path) for path in files)
    opened = []
    for path, name in zip(files, names, strict=True):
        if is_table(path):
            raise DataError(f"{name} is a table, so {NO_EXAMPLES}")
        names_split = _split_of(name)[1] != name
        file = open_logit_file(path, form, splits, names_split=names_split, light=True)
        if file.ids is not None:
            raise DataError(f"{name} names its rows, so {NO_EXAMPLES}")
        opened.append(file)
    return _joined(files, opened, _paired(opened, names, splits), form)


def _joined(
    files: tuple[Path, ...], opened: Sequence[LogitFile], all_runs: Sequence[_Runs], form: LogitForm
) -> Ensemble:
    """Return the ensemble of the runs of these files, without training masks."""
    floor = floor_of(
        form.kind, min(file.itemsize for file in opened), bfloat16=any(f.bfloat16 for f in opened)
    )
    parts = _parts(all_runs)
    return Ensemble(
        tuple(part[0].name if len(part) == 1 else tuple(runs.name for runs in part) for part in parts),
        tuple(
            {s: as_logits(_stack(part, s), form.kind, floor, part[0].name) for s in part[0].logits}
            for part in parts
        ),
        tuple(FileState.of(path) for path in files),
        members=tuple(tuple(n for runs in part for n in runs.numbers) for part in parts),
        floor=floor,
    )


def _opened(
    path: Path, name: str, splits: tuple[Split, ...], form: LogitForm, named: ExampleNames | None
) -> LogitFile:
    """Open one file; rows that have names are put into the order of the examples, in memory."""
    table = is_table(path)
    of_name, rest = _split_of(name)
    file = LogitFile({}) if table else open_logit_file(path, form, splits, names_split=rest != name)
    if not table and file.ids is None:
        return file
    if named is None:
        raise DataError(f"{name} names its rows, but the names of the examples are not known here.")
    if table:
        wanted = [s for s in splits if rest == name or s == of_name]
        logits = read_table(path, name, wanted, form, named)
        itemsize = min((array.itemsize for array in logits.values()), default=8)
        return LogitFile({"" if rest != name else s: of for s, of in logits.items()}, itemsize)
    ids = np.asarray(file.ids).tolist()
    joined: dict[Split | Literal[""], Logits] = {}
    for key, stored in file.logits.items():
        split = of_name if key == "" else key
        joined[key] = np.asarray(stored)[:, order_of(ids, split, stored.shape[1], named, name)]
    return dataclasses.replace(file, logits=joined)


def _name_below(root: Path | None, path: Path) -> str:
    """Return a file's path as messages name it: relative to a folder, if it is in it."""
    return str(path.relative_to(root)) if root and path.is_relative_to(root) else str(path)


def _refuse_beyond_memory(file: LogitFile, name: str, count: int) -> LogitFile:
    """Return the file. Raise `DataError` if what `count` files like it hold in memory does not fit there."""
    arrays = [array for array in file.logits.values() if isinstance(array, np.ndarray)]
    held = sum(array.nbytes for array in arrays if not isinstance(array, np.memmap))
    memory = memory_here()
    if memory and count * held > memory:
        raise DataError(
            f"{name} takes {held / 1e9:,.1f} GB of memory, as tables and torch files of the old format do, "
            f"and {count:,} such files more than the {memory / 1e9:,.0f} GB here. Save them as .npy or .npz, "
            "which are mapped."
        )
    return file


def _parts(all_runs: Sequence[_Runs]) -> list[Sequence[_Runs]]:
    """Return which runs are read together: those of one file, or of consecutive files of one run each."""
    parts: list[Sequence[_Runs]] = []
    for of_one_run, group in groupby(all_runs, lambda runs: runs.count == 1):
        runs = list(group)
        size = RUNS_PER_PART if of_one_run else 1
        parts += [runs[i : i + size] for i in range(0, len(runs), size)]
    return parts


def _stack(part: Sequence[_Runs], split: Split) -> Logits:
    """Return the logits of runs as one array. Raises `DataError` if they differ in examples or classes."""
    first = part[0]
    for runs in part:
        logits = runs.logits[split]
        if logits.shape[1:] != first.logits[split].shape[1:]:
            n, c = first.logits[split].shape[1:]
            raise DataError(
                f"{runs.name}: its {split} logits have {logits.shape[1]} examples × {logits.shape[2]} "
                f"classes, but {first.name} has {n} examples × {c} classes. Expected the same examples and "
                "classes in every file; leave one of the files out."
            )
    return stacked([runs.logits[split] for runs in part])


def _paired(opened: Sequence[LogitFile], names: Sequence[str], splits: tuple[Split, ...]) -> list[_Runs]:
    """Return the runs, in the order of the files.

    A file with one array holds one split, which its name says; the same runs on the other split are in the
    file with the same name but for that word.
    """
    runs: dict[str, dict[Split, tuple[int, Logits]]] = {}
    for number, (file, name) in enumerate(zip(opened, names, strict=True)):
        for key, logits in file.logits.items():
            split, of = _split_of(name) if key == "" else (key, name)
            taken = runs.setdefault(of, {})
            if split in taken:
                raise DataError(
                    f"{name} and {names[taken[split][0]]} are both {split} logits of the same runs, as their "
                    "names say; expected one file. Rename one, or leave it out of [ensemble] files."
                )
            taken[split] = number, logits
    return [_checked(name, by_split, names, splits) for name, by_split in runs.items()]


def _split_of(name: str) -> tuple[Split, str]:
    """Return the split that a file's name says, test if it says none, and the name without that word."""
    *folders, stem = Path(name).with_suffix("").parts
    found = list(SPLIT_IN_NAME.finditer(stem))
    place = next((i for i, folder in enumerate(folders) if SPLIT_IN_NAME.fullmatch(folder)), None)
    if found:
        start, stop = found[-1].span()
        word, stem = stem[start:stop], stem[:start] + "*" + stem[stop:]
    elif place is not None:
        word, folders[place] = folders[place], "*"
    else:
        return "test", name
    return "train" if word.lower() == "train" else "test", "/".join([*folders, stem]) + Path(name).suffix


def _checked(
    name: str, by_split: Mapping[Split, tuple[int, Logits]], names: Sequence[str], splits: tuple[Split, ...]
) -> _Runs:
    first = names[next(iter(by_split.values()))[0]]
    for split in splits:
        if split not in by_split:
            other = "test" if split == "train" else "train"
            raise DataError(
                f"{first} holds {other} logits alone, and no file the {split} logits of the same runs; "
                f"expected one with the same name but for {other}, as in run-0_train.npy and run-0_test.npy, "
                f"among [ensemble] files.{TEST_ALONE if split == 'train' else ''}"
            )
    logits = {split: by_split[split][1] for split in ("test", "train") if split in splits}
    numbers = tuple(sorted({number for number, _ in by_split.values()}))
    return _Runs(names[by_split["test"][0]], numbers, logits)
