"""What a build on a cluster does on this machine all the same, and why: said before it begins."""

from __future__ import annotations

from kernel_core.engines.engine import Engine
from kernel_core.engines.rows import must_be_local
from kernel_core.recipes import Training
from kernel_core.results.keys import Keys
from kernel_core.results.store import Store
from kernel_core.sources.image_ranges import why_no_ranges
from kernel_core.spec import KernelSpec


def done_here(keys: Keys, store: Store, engine: Engine) -> list[str]:
    """Return one line on what the cache lacks and a cluster could do, but this machine does; or none.

    Nothing is said of what no engine gives away, as docs/cluster.md lists it.
    """
    if not engine.is_ray:
        return []
    steps = [*_images(keys, store), *_training(keys, store)]
    for spec in keys.specs.values():
        if (why := must_be_local(spec)) and _lacks(keys, store, spec):
            steps.append(f"neighbors by {spec.title} ({why})")
    return [f"done on this machine, not on the cluster: {'; '.join(steps)}"] if steps else []


def _images(keys: Keys, store: Store) -> list[str]:
    source = keys.source.images
    if not source.has_images:
        return []
    why = {
        split: why_no_ranges(source, split)
        for split, key in keys.images.items()
        if not store.has("images", key)
    }
    return [f"{split} images ({reason})" for split, reason in why.items() if reason]


def _training(keys: Keys, store: Store) -> list[str]:
    training = keys.source.logits
    if not isinstance(training, Training) or not any(_lacks(keys, store, of) for of in keys.specs.values()):
        return []
    return [f"the training of {training.run_count} networks (`train` can do it on the cluster)"]


def _lacks(keys: Keys, store: Store, spec: KernelSpec) -> bool:
    return not store.has("neighbors", keys.key(spec))
