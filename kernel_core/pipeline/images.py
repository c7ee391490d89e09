"""The step of a build that reads images and labels: images go straight from their files into the cache."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from kernel_core.checks import with_common_classes
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
from kernel_core.sources.decode_blocks import gathered
from kernel_core.spec import Split

log = logging.getLogger("kernel_core")


def keep_examples(keys: Keys, store: Store, progress: Progress) -> Mapping[Split, ExampleSet]:
    """Write the images and labels of every split to the cache, and return them, the images mapped.

    Images that an interrupted build wrote are not decoded again. Raises `DataError` if images or labels
    cannot be read or do not fit together, and `StoreError` if the disk refuses.
    """
    source = images.with_size(keys.source.images, progress)
    found = {}
    for split in source.splits:
        opened = images.open_examples(source, split, progress)
        if not source.has_images:
            found[split] = opened.with_images(gathered(opened.images))
            continue
        if not store.has("images", keys.images[split]):
            write_images(keys, split, opened.images, store)
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
