"""The step of a build that reads images and labels: images go straight from their files into the cache."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from kernel_core.checks import with_common_classes
from kernel_core.engines.engine import LOCAL, Engine
from kernel_core.engines.images import ImageBlocks
from kernel_core.oddities import odd_examples
from kernel_core.progress import Progress
from kernel_core.records import ExampleSet
from kernel_core.results.example_entries import (
    keep_looks,
    read_examples,
    read_images,
    write_images,
    write_labels,
)
from kernel_core.results.keys import Keys
from kernel_core.results.opening import emptied
from kernel_core.results.store import Store
from kernel_core.sources import images
from kernel_core.sources.decode_blocks import Blocks, gathered, refuse_beyond_disk
from kernel_core.sources.image_ranges import why_no_ranges
from kernel_core.sources.images import OpenedExamples
from kernel_core.sources.source import ImagesFrom
from kernel_core.spec import Split

log = logging.getLogger("kernel_core")


def keep_examples(
    keys: Keys, store: Store, progress: Progress, engine: Engine = LOCAL
) -> Mapping[Split, ExampleSet]:
    """Write the images and labels of every split to the cache, and return them, the images mapped.

    Images that an interrupted build wrote are not decoded again. engine: where they are decoded. Raises
    `DataError` if images or labels cannot be read or do not fit together, `StoreError` if the disk refuses,
    and what a cluster raises.
    """
    source = images.with_size(keys.source.images, progress)
    found = {}
    for split in source.splits:
        opened = images.open_examples(source, split, progress)
        if not source.has_images:
            found[split] = opened.with_images(gathered(opened.images))
            continue
        if not store.has("images", keys.images[split]):
            elsewhere = _elsewhere(keys, source, opened, store, engine)
            if elsewhere is None:
                write_images(keys, split, opened.images, store)
            else:
                blocks = Blocks(opened.images.shape, elsewhere.decoded(progress))
                write_images(keys, split, blocks, store)
                elsewhere.forget()
        mapped = read_images(keys, split, store)
        if mapped is None:
            raise emptied(store, keys.source.name)
        found[split] = opened.with_images(mapped)
    examples = with_common_classes(found)
    for line in odd_examples(examples):
        log.warning("%s: %s", keys.source.name, line)
    if source.has_images:
        for split, of_split in examples.items():
            examples[split] = replace(of_split, sha256=keep_looks(keys, of_split, store, progress))
    write_labels(keys, examples, store)
    known = read_examples(keys, store)
    if known is None:
        raise emptied(store, keys.source.name)
    return known


def _elsewhere(
    keys: Keys, source: ImagesFrom, opened: OpenedExamples, store: Store, engine: Engine
) -> ImageBlocks | None:
    """Return images that a cluster decodes; None without one, and for those of one range."""
    split, shape = opened.split, opened.images.shape
    if not engine.is_ray or why_no_ranges(source, split):
        return None
    refuse_beyond_disk(shape, store.root, copies=2)
    of_split = ImageBlocks(source, split, shape, keys.images[split], store, engine)
    return of_split if len(of_split.ranges) > 1 else None
