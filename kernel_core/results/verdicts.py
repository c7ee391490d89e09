"""Where a source's verdicts are kept, and those that stand on its examples."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from kernel_core.results.results import Results
from kernel_core.review.judged import Judged, PixelHashes
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.sources import source_toml
from kernel_core.sources.source import SourceRequest

ENDING = ".verdicts.jsonl"


def verdicts_path(request: SourceRequest) -> Path:
    """Return the file of a source's verdicts, whether or not it is there.

    It is what KERNEL_EXPLORER_VERDICTS names, else it is beside the source: `data.verdicts.jsonl` for the
    folder `data`. For a source that is a name and no path, it is in the user's data folder.
    """
    if named := os.environ.get("KERNEL_EXPLORER_VERDICTS"):
        return Path(os.path.expanduser(named)).absolute()
    path = request.path
    if path is None or not os.path.exists(path):
        folder = platformdirs.user_data_path("kernel-explorer", appauthor=False) / "verdicts"
        return folder / (request.name.replace("/", "--").replace(":", "-") + ENDING)
    path = path.resolve()
    if os.path.isfile(path / source_toml.FILE):
        path = path / source_toml.FILE
    name = path.name if path.is_dir() else path.stem
    return path.with_name(name + ENDING)


def read_judged(results: Results, file: VerdictFile) -> Judged:
    """Return the verdicts of a file that stand on a source's examples. Raises `DataError` as `read` does."""
    judged = Judged(PixelHashes(results.examples))
    judged.take(file.read())
    return judged
