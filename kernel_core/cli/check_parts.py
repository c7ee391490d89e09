"""What a source has, part by part, for the verb `check`; headers and listings are read, little else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from kernel_core.checks import misfit_of_rows, refuse_unusable
from kernel_core.errors import KernelExplorerError, NotBuilt
from kernel_core.files import cache_root
from kernel_core.findings.map_layout import NEIGHBOR_COUNT
from kernel_core.oddities import odd_features, odd_labels
from kernel_core.printable import CELL, printable
from kernel_core.sources import images
from kernel_core.sources.decode import decode_image
from kernel_core.sources.decode_blocks import refuse_beyond_disk
from kernel_core.sources.features import load_features
from kernel_core.sources.given import open_given
from kernel_core.sources.inventory import Inventory
from kernel_core.sources.source import ImagesFrom, Source
from kernel_core.spec import SPLITS, Split

T = TypeVar("T")
P = ParamSpec("P")
DECODED = 5  # images per split
LISTED = 30  # classes, and names of what was passed over, that are printed


@dataclass
class Report:
    """What was found so far.

    parts: title of a part → lines for people. content: the same for programs. problems: why there can be no
    build; notes: what is remarkable. inventories: of the splits whose images could be listed.
    """

    parts: dict[str, list[str]] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    inventories: dict[Split, Inventory] = field(default_factory=dict)

    def attempt(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what a function returns; None after an error, which is a problem unless a build ends it."""
        try:
            return read(*args, **kwargs)
        except NotBuilt as error:
            self.notes.append(f"{error} A build downloads it.")
        except KernelExplorerError as error:
            self.problem(str(error))
        return None

    def problem(self, text: str) -> None:
        """Keep a problem, once. An empty text is none."""
        if text and text not in self.problems:
            self.problems.append(text)

    def remarks(self, split: Split) -> Sequence[str]:
        """Return what is remarkable about a split's images."""
        return self.inventories[split].remarks if split in self.inventories else ()

    def misfit(self, what: str, split: Split, rows: int) -> None:
        """Keep it as a problem if there is not one row per image; what: as `misfit_of_rows` takes it."""
        if split in self.inventories:
            count, noun = self.inventories[split].total, self.inventories[split].noun
            self.problem(misfit_of_rows(what, split, rows, count, self.remarks, noun=noun))


def check_images(report: Report, source: ImagesFrom) -> None:
    """List the images of each split, and decode a few."""
    found = report.attempt(images.image_inventories, source)
    if found is None:  # one split at a time, as the other may be without fault
        for split in source.splits:
            alone = Report()
            alone.attempt(images.image_inventories, replace(source, splits=(split,)))
            said = {problem.partition(";")[0] for problem in report.problems}
            for problem in alone.problems:
                if problem.partition(";")[0] not in said:
                    report.problem(problem)
        return
    source = report.attempt(images.with_size, source) or source
    report.inventories = found
    report.notes += odd_labels({split: of.classes for split, of in found.items()})
    lines, content = (
        report.parts.setdefault("images" if source.has_images else "labels", []),
        report.content.setdefault("images", {}),
    )
    for split, inventory in found.items():
        sizes = _sizes(report, source, split)
        lines += [f"{split}: {_of_images(inventory)}{_in_words(sizes, source.size)}", *_details(inventory)]
        content[split] = {
            "examples": inventory.total,
            "classes": dict(inventory.classes),
            "sizes": sorted(map(list, sizes.values())),
            "nested": inventory.nested,
            "passed_over": {why[1]: list(names) for why, names in inventory.passed_over.items()},
        }


def _of_images(inventory: Inventory) -> str:
    return inventory.line.partition(": ")[2].partition(";")[0]


def _in_words(sizes: Mapping[str, tuple[int, int]], size: int | None) -> str:
    """Return the sizes of the images that were decoded, as in ", 32×32 pixels"."""
    if not sizes:
        return ""
    if size is not None:
        return f", resized to {size}×{size} pixels"
    return f", {' and '.join(sorted({f'{w}×{h}' for w, h in sizes.values()})[:3])} pixels"


def _details(inventory: Inventory) -> list[str]:
    """Return the number of images in each class, and everything that was passed over."""
    classes = [f"{printable(name, CELL)} {count:,}" for name, count in inventory.classes.items()]
    lines = [f"  by class: {_listed(classes)}"]
    if inventory.nested:
        lines.append(f"  in nested folders: {inventory.nested:,} of them")
    return lines + [
        f"  passed over: {len(names):,} {why[len(names) > 1]}: {_listed(names)}"
        for why, names in inventory.passed_over.items()
    ]


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names) - LISTED:,} more)" if len(names) > LISTED else ""
    return ", ".join(printable(name, CELL) for name in names[:LISTED]) + more


def _sizes(report: Report, source: ImagesFrom, split: Split) -> dict[str, tuple[int, int]]:
    """Return width and height of a few images by their names; note those that cannot be decoded."""
    found: dict[str, tuple[int, int]] = {}
    problems = len(report.problems)
    report.attempt(images.refuse_irregular, source, split)
    if len(report.problems) > problems:
        return found  # to open a pipe might never end
    for name, data in report.attempt(images.image_samples, source, split, DECODED) or []:
        image = report.attempt(decode_image, data, name, source.size)
        if image is None:
            continue
        if not found:
            shape = report.inventories[split].total, *image.shape
            report.attempt(refuse_beyond_disk, shape, cache_root())
        found[name] = image.shape[1], image.shape[0]
    if len(set(found.values())) > 1:
        some = ", ".join(f"{name} {w}×{h}" for name, (w, h) in list(found.items())[:3])
        report.problem(
            f"The {split} images are of several sizes ({some}); expected one. Set one in the source's "
            "[images], as in size = 32, or resize the images."
        )
    return found


def check_features(report: Report, source: Source) -> None:
    """Open each set of features, and compare it with the images."""
    for features in source.feature_sets:
        found = report.attempt(load_features, features, source.images.splits)
        if found is None:
            continue
        width, ways = next(iter(found.values.values())).shape[1], ", ".join(features.ways)
        line = f"{features.title}: {width:,} numbers per example, compared by {ways}"
        report.parts.setdefault("features", []).append(line)
        by_name = report.content.setdefault("features", {})
        by_name[features.name] = {"width": width, "by": list(features.ways)}
        for split, values in found.values.items():
            report.misfit(f"{features.title}: its {split} features are", split, len(values))
        report.attempt(refuse_unusable, found, features.title)
        report.notes += [f"{features.title}: {odd}" for odd in odd_features(found)]


def check_given(report: Report, source: Source) -> None:
    """Open the neighbors that are given, and compare them with the images."""
    counts = {split: inventory.total for split, inventory in report.inventories.items()}
    for given in source.given:
        if not {given.query, given.database} <= set(counts):
            continue
        found = report.attempt(open_given, given, counts)
        if found is None:
            continue
        form = "a matrix of scores" if found.scores is not None else "a table of neighbors"
        line = f"{given.title}: {form}, {given.query}→{given.database}"
        report.parts.setdefault("given neighbors", []).append(line)
        by_name = report.content.setdefault("neighbors", {})
        by_name[given.name] = {"form": form, "query": given.query, "database": given.database}


def check_pages(report: Report, source: Source) -> None:
    """Say what each kind of result will show, if all that is there can be used."""
    names = [similarity.name for similarity in source.similarities]
    features = [similarity.name for similarity in source.similarities if similarity.kind == "features"]
    others = [name for name in names if name != "kernel"]
    database = "training" if source.images.splits == SPLITS else "other test"
    beside = f"the kernel beside {', '.join(others)}" if others else "the kernel alone"
    shown = {
        "near-duplicates": f"test examples by their nearest {database} example, by each similarity",
        "labels to check": "every label against what the ensemble and the neighbors propose",
        "label conflicts": f"test examples whose nearest {database} example has another label",
        "threshold": "how many pairs are at least as similar as a value",
        "disagreement": "where two similarities differ" if others else "nothing, as there is one similarity",
        "nearest pairs": f"the kernel beside {', '.join(features)}" if features else "the kernel alone",
        "random examples": beside,
        "example": "the neighbors of any example, by up to four similarities",
        "pair": "any two examples, and why the kernel finds them similar",
        "map": "all examples by the kernel, after kernel-explorer map",
    }
    counts = sum(inventory.total for inventory in report.inventories.values())
    if 0 < counts <= NEIGHBOR_COUNT:
        shown["map"] = f"nothing, as {counts} examples are too few"
    if not features:
        report.notes.append(
            "There are no features. Name their file under [features], or compute them with kernel-explorer "
            "features."
        )
    report.parts["similarities"] = [", ".join(names)]
    report.parts["pages"] = [f"{page}: {what}" for page, what in shown.items()]
    report.content |= {"similarities": names, "pages": shown}
