"""`source.toml`, the file that describes a source: read, written, edited. Each section has a module."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

from kernel_core.errors import SourceError
from kernel_core.files import read_text, writing
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress, no_progress
from kernel_core.sources import (
    ensemble_table,
    hub_images,
    images_table,
    labels_table,
    similarity_tables,
    torchvision_images,
)
from kernel_core.sources.images_table import ImagesTable
from kernel_core.sources.source import FeatureSet, ImagesFrom, Source
from kernel_core.sources.toml_file import TOML_FAULTS, Table, quoted, read_toml, toml_value
from kernel_core.spec import SPLITS, Split

FILE = "source.toml"
FEATURES = "penultimate.safetensors"  # the name of the files of features that this program writes
SCHEMA = {
    "": {"name", "images", "labels", "ensemble", "features", "neighbors"},
    "images": images_table.KEYS,
    "labels": labels_table.KEYS,
    "ensemble": ensemble_table.KEYS,
    "features": similarity_tables.FEATURE_KEYS,
    "neighbors": similarity_tables.GIVEN_KEYS,
}
"""Section → its keys; the top level has no name. [features] may have sections of its own, [neighbors] has."""


def read_source_file(path: Path, *, offline: bool = False, progress: Progress = no_progress) -> Source:
    """Return the source that a `source.toml` describes; paths in it are relative to its folder.

    A dataset of torchvision or the Hub is downloaded if need be. Raises `SourceError` if the file is not
    TOML, lacks a section, has an unknown key, or names logits that do not exist; `NotBuilt` if a download is
    needed and `offline` forbids it; `DownloadError` if it fails.
    """
    content = read_toml(path)
    _refuse_missing_sections(content)
    content.refuse_unknown(SCHEMA[""])
    name = printable(content.text("name") if "name" in content else path.parent.name, NAME)
    ensemble = content.section("ensemble")
    splits = ensemble_table.read_splits(ensemble)
    images = _read_examples(content, splits)
    if images.reader == "torchvision":
        torchvision_images.fetched(images, offline=offline)
    images = hub_images.fetched(images, offline=offline, progress=progress)
    source = Source(
        name,
        images,
        ensemble_table.find_logits(ensemble),
        similarity_tables.read_feature_sets(content.section("features"), splits),
        similarity_tables.read_given(content.section("neighbors"), splits),
        root=path.parent,
        logit_form=ensemble_table.read_form(ensemble),
    )
    similarity_tables.refuse_same_names(content, source.similarities)
    return source


def _refuse_missing_sections(content: Table) -> None:
    """Raise `SourceError` unless there are images or labels, not both, and an ensemble."""
    path, expected = content.path, "expected [images] or [labels], [ensemble] and optionally [features]"
    if "images" in content and "labels" in content:
        raise SourceError(f"{path} has both [images] and [labels]; images bring their labels. Remove one.")
    if "images" not in content and "labels" not in content:
        raise SourceError(f"{path} has no section [images]; {expected}.")
    if "ensemble" not in content:
        raise SourceError(f"{path} has no section [ensemble]; {expected}.")


def _read_examples(content: Table, splits: tuple[Split, ...]) -> ImagesFrom:
    if "labels" in content:
        return labels_table.read_labels(content.section("labels"), splits)
    return images_table.read_images(content.section("images"), splits)


def read_images_table(path: Path) -> ImagesFrom:
    """Return the images, or labels, that a `source.toml` describes, both splits, whatever else is in it.

    A dataset of the Hub is downloaded if need be. Raises `SourceError` if the file is not TOML, or does not
    describe images, `DownloadError` if a download fails.
    """
    return hub_images.fetched(_read_examples(read_toml(path), SPLITS))


def read_features_table(path: Path) -> tuple[FeatureSet, ...]:
    """Return the sets of features that a `source.toml` describes for both splits, whatever else is in it.

    Raises `SourceError` as `read_source_file`.
    """
    return similarity_tables.read_feature_sets(read_toml(path).section("features"), SPLITS)


def write_source_file(
    path: Path,
    *,
    name: str | None,
    images: ImagesTable,
    logits: str,
    features: str | None,
    feature_sets: Sequence[FeatureSet] = (),
    splits: tuple[Split, ...] = SPLITS,
) -> None:
    """Write a `source.toml`.

    images: the section [images] or, if it has a `file`, [labels], as `images_table` and `labels_table`
    return them. logits: a pattern that the files of logits match.
    features: the file of penultimate features, or None. feature_sets: other features, by name.
    splits: those that the logits are of.
    """
    lines = [f"name = {quoted(name)}"] if name else []
    lines += ["[labels]" if "file" in images else "[images]"]
    lines += [f"{key} = {toml_value(value)}" for key, value in images.items()]
    lines += ["[ensemble]", f"files = [{quoted(logits)}]"]
    lines += [f"splits = {json.dumps(splits)}"] if splits != SPLITS else []
    lines += ["[features]", f"file = {quoted(features)}"] if features else []
    for of_set in feature_sets:
        lines.append(f"[features.{of_set.name}]")
        table = similarity_tables.features_table(of_set, path.parent)
        lines += [f"{key} = {toml_value(value)}" for key, value in table.items()]
    with writing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def features_named_in(path: Path) -> str | None:
    """Return the file that [features] of a `source.toml` names; None if it names none or is malformed."""
    try:
        name = tomllib.loads(read_text(path)).get("features", {}).get("file")
    except (*TOML_FAULTS, AttributeError):
        return None
    return str(name) if name else None
