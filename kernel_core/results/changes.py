"""Whether a source's files are as they were, by their sizes and times of change; nothing is read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from kernel_core.errors import KernelExplorerError
from kernel_core.files import FileState
from kernel_core.recipes import Training
from kernel_core.sources import images, source_toml
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import Source, SourceRequest

States = Mapping[Path, FileState]


def file_states(request: SourceRequest) -> States:
    """Return the present state of each file that a source is built from; missing files are left out.

    Of images in folders, only the folders are looked at, since there may be a hundred thousand images. Their
    state changes when an image is added, removed or renamed, but not when one is written over.
    """
    states = {}
    for path in _files(request):
        with contextlib.suppress(OSError):
            states[path] = FileState.of(path)
    return states


def changed_files(before: States, now: States) -> list[str]:
    """Return the sorted names of files that changed, came or went between two moments, with their folders."""
    changed = {path for path in {*before, *now} if before.get(path) != now.get(path)}
    return sorted("/".join(path.parts[-2:]) for path in changed)


def _files(request: SourceRequest) -> Iterator[Path]:
    if request.path is not None:
        yield request.path / source_toml.FILE if request.path.is_dir() else request.path
    with contextlib.suppress(KernelExplorerError, OSError):  # what cannot be found is what has changed
        yield from _files_of(open_source(request, offline=True))


def _files_of(source: Source) -> Iterator[Path]:
    if not isinstance(source.logits, Training):
        yield from source.logits
    yield from (path for features in source.feature_sets for path in features.files.values())
    yield from (given.file for given in source.given)
    if source.images.reader == "folder":
        yield from source.images.paths["folder"].glob("*/")
        yield from source.images.paths["folder"].glob("*/*/")
        yield from {paths[0].parent for paths in images.image_units(source.images).values()}
    else:
        yield from (path for paths in source.images.shards.values() for path in paths)
        yield from (path for paths in images.image_units(source.images).values() for path in paths)
