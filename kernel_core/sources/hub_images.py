"""A labeled dataset of the Hub as images: which of its Parquet files hold which split, and their download.

The files are those of the repository itself, or, where it has none, those that the Hub has made of it in the
branch refs/convert/parquet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl

from kernel_core.errors import NotBuilt, SourceError
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress, no_progress
from kernel_core.sources.folder_listing import TEST_NAMES, TRAIN_NAMES
from kernel_core.sources.held_out import SHARE
from kernel_core.sources.hub import Listing, download, list_files
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import SPLITS, Split

PREFIX = "hub:"
CONVERTED = "refs/convert/parquet"  # the branch with what the Hub made of other formats
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
KEYS = ("config", "revision", "image", "label", *SPLITS)  # what may follow a ? in a text
SHARD = re.compile(r"-(\d+)-of-(\d+)(?:-[0-9a-f]+)?\.parquet$")

Files = dict[str, dict[str, list[str]]]
"""Configuration → name of the split → its Parquet files, sorted."""


def described(text: str) -> ImagesFrom:
    """Return the images that a text names, as in `hub:uoft-cs/cifar100?label=fine_label`; nothing is fetched.

    After the ? may come, joined by &: config, revision, the columns image and label, and what the dataset
    calls the splits, as in test=validation. Raises `SourceError` for anything else.
    """
    repository, _, rest = text.removeprefix(PREFIX).partition("?")
    options = dict(parse_qsl(rest, keep_blank_values=True))
    unknown = sorted(set(options) - set(KEYS))
    if not REPOSITORY.fullmatch(repository) or unknown or not all(options.values()):
        raise SourceError(
            f"{printable(text, NAME)} names no dataset of the Hub; expected {PREFIX}OWNER/NAME, and after a "
            f"? any of {', '.join(KEYS)}, as in {PREFIX}uoft-cs/cifar100?label=fine_label."
        )
    return ImagesFrom(
        "parquet",
        hub={"hub": repository, **{key: options[key] for key in ("config", "revision") if key in options}},
        columns={key: options[key] for key in ("image", "label") if key in options},
        split_names={split: options[split] for split in SPLITS if options.get(split, split) != split},
    )


def fetched(
    source: ImagesFrom,
    *,
    offline: bool = False,
    progress: Progress = no_progress,
    alone: bool = False,
) -> ImagesFrom:
    """Return images of the Hub with their files, downloaded if need be; other images as they are.

    alone: whether the splits are those that the dataset has: its test split may be called validation, and
    where it has none, a part of the training images is held out.
    Raises `SourceError` if the dataset has no such configuration or split, `NotBuilt` if offline and not all
    is here, `DownloadError` if a download fails.
    """
    if not source.hub:
        return source
    listing, files = _listed(source.hub["hub"], source.hub.get("revision"), offline)
    by_split = _of_configuration(files, source.hub, listing)
    if alone:
        source = _with_splits_of(source, by_split)
    needed: tuple[Split, ...] = ("train",) if source.held_out else source.splits
    shards = {split: _download(source, split, by_split, listing, progress) for split in needed}
    return replace(source, shards=shards, hub={**source.hub, "revision": listing.commit})


def _download(
    source: ImagesFrom,
    split: Split,
    by_split: Mapping[str, list[str]],
    listing: Listing,
    progress: Progress,
) -> tuple[Path, ...]:
    """Return the files of one split, downloaded if need be. Raises as `fetched`."""
    repository, name = source.hub["hub"], source.split_names.get(split, split)
    if name not in by_split:
        raise _absent(
            listing,
            f"{repository} has no split {name!r}{listing.where}; it has {', '.join(sorted(by_split))}. "
            f'Name one, as in splits = {{{split} = "validation"}}, or '
            f"{PREFIX}{repository}?{split}=validation.",
        )
    _refuse_missing_shards(repository, by_split[name], listing)
    return tuple(
        download(
            repository,
            file,
            listing,
            step=f"downloading {split} images, file {number} of {len(by_split[name])}",
            progress=progress,
        )
        for number, file in enumerate(by_split[name], start=1)
    )


def _with_splits_of(source: ImagesFrom, by_split: Mapping[str, list[str]]) -> ImagesFrom:
    """Return images with the splits that a dataset has; one that was named stays."""
    named = source.split_names
    train = named.get("train") or next(name for name in (*TRAIN_NAMES, *by_split) if name in by_split)
    test = named.get("test") or next((name for name in TEST_NAMES if name in by_split), train)
    found: dict[Split, str] = {"train": train, "test": test if test != train else "test"}
    renamed = {split: name for split, name in found.items() if name != split}
    return replace(source, split_names=renamed, held_out=SHARE if test == train else 0.0)


def _listed(repository: str, revision: str | None, offline: bool) -> tuple[Listing, Files]:
    """Return the files of a dataset, or of its converted branch if it has no Parquet files itself."""
    listing = list_files(repository, offline=offline, revision=revision)
    files = _parquet_files(listing)
    if not files and revision is None and not listing.local:
        listing = list_files(repository, offline=offline, revision=CONVERTED)
        files = _parquet_files(listing)
    if not files:
        raise _absent(
            listing,
            f"{repository} has no Parquet files{listing.where}; expected some with the name of a split, such "
            "as data/train-00000-of-00001.parquet. Download its images, and name their folder.",
        )
    return listing, files


def _parquet_files(listing: Listing) -> Files:
    """Return the Parquet files that say in their name, or their folder's, which split they hold."""
    found: Files = {}
    for file in map(PurePosixPath, listing.files):
        if file.suffix != ".parquet":
            continue
        by_name = re.fullmatch(r"([A-Za-z_]+?)(?:[-.]\d.*)?", file.stem)
        if by_name:
            split, config = by_name[1], file.parent
        else:  # <configuration>/<split>/0000.parquet
            split, config = file.parent.name.removeprefix("partial-"), file.parent.parent
        if split:
            found.setdefault(str(config), {}).setdefault(split, []).append(str(file))
    return {config: {s: sorted(files) for s, files in splits.items()} for config, splits in found.items()}


def _of_configuration(files: Files, hub: Mapping[str, str], listing: Listing) -> dict[str, list[str]]:
    """Return the splits of the configuration that is asked for, or of the only one."""
    asked = hub.get("config")
    fitting = [c for c in files if asked is None or asked in PurePosixPath(c).parts]
    if len(fitting) != 1:
        problem = f"no configuration {asked!r}" if asked else "several configurations"
        raise _absent(
            listing,
            f"{hub['hub']} has {problem}{listing.where}; it has {', '.join(sorted(files))}. Name one, as in "
            f'config = "{min(files)}", or {PREFIX}{hub["hub"]}?config={min(files)}.',
        )
    return files[fitting[0]]


def _refuse_missing_shards(repository: str, files: list[str], listing: Listing) -> None:
    """Raise `NotBuilt` or `SourceError` if there are fewer files than their names say."""
    numbers = [SHARD.search(file) for file in files]
    counts = {int(match[2]) for match in numbers if match}
    if counts and counts != {len(files)}:
        raise _absent(
            listing,
            f"{repository} has {len(files)} of the files {files[0]} …{listing.where}; expected "
            f"{' or '.join(map(str, sorted(counts)))}. Run a build with a connection to the Hub.",
        )


def _absent(listing: Listing, words: str) -> NotBuilt | SourceError:
    return NotBuilt(words) if listing.local else SourceError(words)
