"""Files of an ensemble on random parts of a training set, by the names that MadryLab/datamodels-data has.

`train_logits_50pct.npy`, `test_logits_50pct.npy` (runs, examples, classes) and `train_masks_50pct.npy` (runs,
training examples), and the datamodels found from them, `test_50pct.pt` and `train_50pct.pt`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from kernel_core.errors import SourceError
from kernel_core.printable import NAME, printable
from kernel_core.sources.logit_form import NO_KERNEL, LogitForm
from kernel_core.sources.source import Given
from kernel_core.spec import SPLITS, Split

FILE = re.compile(
    r"(?P<split>train|test)_(?:(?P<what>logits|masks|margins)_(?=.*npy)|(?=.*pt))(?P<part>\d+pct)\.(npy|pt)"
)
PLACES = ("", "data", "datamodels")  # folders of the bucket, or all in one
BETWEEN: tuple[tuple[Split, str], ...] = (("test", "datamodels"), ("train", "datamodels-train"))


@dataclass(frozen=True)
class DatamodelsData:
    """What a folder has of them.

    logits: both splits', or none. masks: theirs. given: the datamodels.
    """

    folder: Path
    logits: tuple[Path, ...]
    masks: Path | None
    given: tuple[Given, ...]

    @property
    def form(self) -> LogitForm:
        """How the logits are read."""
        return LogitForm(masks=self.masks if self.logits else None)

    @property
    def about(self) -> str:
        """What there is, in words."""
        kinds = {"logits of runs": self.logits, "datamodels": self.given}
        return " and ".join(kind for kind, files in kinds.items() if files)

    @property
    def lines(self) -> str:
        """The lines of a `source.toml` that say what these files are, in one, with CIFAR-10's images."""
        names = [path.relative_to(self.folder).as_posix() for path in self.logits]
        lines = ["[images]", 'torchvision = "CIFAR10"', "[ensemble]", f"files = {json.dumps(names)}"]
        if self.masks is not None:
            lines.append(f'masks = "{self.masks.relative_to(self.folder).as_posix()}"')
        for given in self.given:
            lines += [
                f"[neighbors.{given.name}]",
                f'file = "{given.file.relative_to(self.folder).as_posix()}"',
            ]
            lines += [f'query = "{given.query}"'] if given.query != "test" else []
        return "  ".join(lines)


def datamodels_data_in(folder: Path) -> DatamodelsData | None:
    """Return what a folder has of such files, itself or in its folders data and datamodels; None if nothing.

    Only names are read. Raises `SourceError` for parts of several sizes, logits of one split, and margins
    without logits.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(path for place in PLACES for path in (folder / place).glob("t*pct.*")):
        if match := FILE.fullmatch(path.name):
            found.setdefault(match["part"], {})[f"{match['split']} {match['what'] or 'datamodels'}"] = path
    if not found:
        return None
    if len(found) > 1:
        raise SourceError(
            f"{printable(folder, NAME)} has files of runs on parts of several sizes "
            f"({', '.join(sorted(found))}); expected one. Move the others to another folder, or name the "
            "files in a source.toml."
        )
    ((part, files),) = found.items()
    _refuse_incomplete(folder, part, files)
    given = tuple(
        Given(name, f"Datamodels {part.removesuffix('pct')}%", file, split, "train")
        for split, name in BETWEEN
        if (file := files.get(f"{split} datamodels"))
    )
    logits = tuple(files[f"{s} logits"] for s in ("test", "train") if f"{s} logits" in files)
    return DatamodelsData(folder, logits, files.get("train masks"), given) if logits or given else None


def _refuse_incomplete(folder: Path, part: str, files: dict[str, Path]) -> None:
    """Raise `SourceError` unless there are logits of both splits, or nothing but datamodels."""
    missing = [f"{split}_logits_{part}.npy" for split in SPLITS if f"{split} logits" not in files]
    if len(missing) == 1 or (missing and any(name.endswith("margins") for name in files)):
        names = ", ".join(path.name for path in files.values())
        why = NO_KERNEL + " " if any(name.endswith("margins") for name in files) else ""
        raise SourceError(
            f"{printable(folder, NAME)} has {printable(names, NAME)}, but no {' and no '.join(missing)}. "
            f"{why}Add them, or move what is there to another folder."
        )
