"""A source of labels alone with synthetic logits, and its cache with neighbors that nobody searched for."""

from dataclasses import replace

import numpy as np
import torch
from safetensors.numpy import save_file

from kernel_core.bench.synthetic import write_synthetic
from kernel_core.findings.landmarks import COUNT, LIMIT
from kernel_core.findings.map_layout import LINE_COUNT, Map, search_directions
from kernel_core.machine import Machine
from kernel_core.pipeline.build import _Build, remember_files
from kernel_core.progress import no_progress
from kernel_core.records import Neighbors
from kernel_core.results.entries import Entries
from kernel_core.results.flags import keep_flags, lacks_flags
from kernel_core.results.keys import plan_keys
from kernel_core.results.opening import read_results
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest

FEATURES = 8  # numbers per example
TOML = (
    'name = "{}"\n[labels]\nfile = "labels.npz"\n[ensemble]\nfiles = ["runs/*/log.pt"]\n'
    '[features]\nfile = "penultimate.safetensors"\n'
)


def write_source(folder, size, seed=0):
    """Write labels, logits and features of a `SyntheticSize` into `folder`, with source.toml last."""
    write_synthetic(folder, size, seed=seed)
    rng = np.random.default_rng(seed)
    counts = {"test": size.queries, "train": size.database}
    np.savez(folder / "labels.npz", **_labels(size, seed))
    values = {split: rng.normal(size=(n, FEATURES)).astype(np.float16) for split, n in counts.items()}
    save_file(values, folder / "penultimate.safetensors")
    (folder / "source.toml").write_text(TOML.format(folder.name))


def _labels(size, seed):
    """Return the labels by split, as `write_synthetic` draws them first for the same seed."""
    drawn = torch.Generator().manual_seed(seed + 1)
    labels = torch.randint(size.class_count, (size.queries + size.database,), generator=drawn).numpy()
    return {"test": labels[: size.queries], "train": labels[size.queries :]}


def plant(folder, size, cache, *, every_direction=True):
    """Write what is missing of the source in `folder` and of its results in `cache`."""
    torch.set_num_threads(1)  # on a busy machine, several wait for each other
    if not (folder / "source.toml").exists():
        write_source(folder, size)
    request, store = SourceRequest(str(folder)), Store(cache)
    directions = search_directions((size.queries, size.database)) if every_direction else []
    for query, database in [("test", "train"), *directions]:
        asked = replace(request, query=query, database=database)
        keys = plan_keys(open_source(asked), asked, store)
        machine = Machine(torch.device("cpu"), 1_000_000_000, store.root / "products")
        PlantedBuild(keys, store, machine, "float32", no_progress).compute()
    keys = plan_keys(open_source(request), request, store)
    results = read_results(keys, store)
    if lacks_flags(results):
        keep_flags(results, keys, store, no_progress)
    remember_files(request, open_source(request), store)
    _plant_map(plan_keys(open_source(request.whole), request.whole, store), size, store)


def _plant_map(keys, size, store):
    """Write a map of a cloud per class, as UMAP makes them; each example's nearest follow it by index."""
    if store.has("map", keys.map("kernel")):
        return
    rng, labels = np.random.default_rng(1), _labels(size, 0)
    of_point = np.concatenate([labels["test"], labels["train"]])
    clouds = rng.random((size.class_count, 2), np.float32) * 9
    xy = clouds[of_point] + rng.normal(size=(len(of_point), 2)).astype(np.float32)
    nearest = (np.arange(len(xy))[:, None] + np.arange(1, LINE_COUNT + 1)) % len(xy)
    landmarks = COUNT if len(xy) > LIMIT else 0
    planted = Map(xy, nearest.astype(np.int32), (size.queries, size.database), 0.1, landmarks)
    Entries(keys, store).write_map("kernel", planted)


class PlantedBuild(_Build):
    """A build that makes up the neighbors: examples that stand side by side once sorted by label.

    So most neighbors have the example's own label, as those of real ensembles have. Values fall from a
    nearest that is above 0.9 for one example in a hundred.
    """

    def _find_neighbors(self, spec):
        examples = self.inputs.examples
        query, database = (examples[split].labels for split in spec.splits)
        self.entries.write_neighbors(made_up(spec, query, database), None)


def made_up(spec, query, database, seed=0):
    """Return `Neighbors` by a spec. query, database: labels (n,)."""
    rng, own = np.random.default_rng(seed), spec.excludes_self
    order = np.argsort(database, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    spread = 1 if spec.similarity == "kernel" else 3  # others by other similarities
    places = place if own else np.searchsorted(database[order], query) + rng.integers(0, 40, len(query))
    k = min(spec.k, (len(database) - own) // spread)
    steps = spread * (np.arange(1, k + 1) if own else np.arange(k))
    indices = order[(places[:, None] + steps) % len(order)].astype(np.int32)
    nearest = rng.beta(2, 6, len(query)) * (rng.random(len(query)) > 0.01) + 0.0
    nearest = np.where(nearest == 0, rng.uniform(0.9, 0.95, len(query)), nearest)
    falls = np.cumsum(rng.random((len(query), k), np.float32) * np.float32(0.01), axis=1)
    values = nearest[:, None].astype(np.float32) - falls
    return Neighbors(spec, indices, values)
