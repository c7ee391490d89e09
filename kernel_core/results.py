"""What has been built of a source, read from the cache: no torch, no network, nothing computed but accuracies.

The web process and every verb that finds all it needs in the cache come this way.
"""

from __future__ import annotations

from kernel_core import evaluate
from kernel_core.errors import NotBuilt
from kernel_core.plan import Plan, plan_entries
from kernel_core.records import SPLITS, ExampleSet, KernelSpec, Neighbors, Predictions, Results, Split
from kernel_core.sources import SourceRequest, open_source
from kernel_core.store import Store


def open_results(request: SourceRequest, store: Store | None = None) -> Results:
    """What has been built of a source. Raises `NotBuilt` if anything is missing; never computes or downloads."""
    store = store or Store()
    return read_results(plan_entries(open_source(request, offline=True), request.runs, store), store)


def read_results(plan: Plan, store: Store) -> Results:
    """The results whose keys the plan names. Raises `NotBuilt` if one is missing or damaged."""
    missing = NotBuilt(f"The results of {plan.source.name} are not in the cache {store.root}.")
    if not all(store.has(kind, key) for kind, key in plan.entries):
        raise missing  # found out before the images, the largest entry, are read
    examples = read_examples(plan, store)
    predictions = store.read("predictions", plan.predictions)
    if examples is None or predictions is None:
        raise missing
    neighbors, layer, run = {}, "", ""
    for spec, key in plan.neighbors.items():
        entry = store.read("neighbors", key)
        if entry is None:
            raise missing
        arrays, meta = entry
        stored = KernelSpec.from_json(meta["spec"])
        neighbors[spec.similarity] = Neighbors(stored, arrays["indices"], arrays["values"])
        layer, run = meta.get("layer", layer), meta.get("run", run)
    return Results(plan.id, plan.source.name, examples, Predictions(**predictions[0]), neighbors, layer, run)


def read_examples(plan: Plan, store: Store) -> dict[Split, ExampleSet] | None:
    """The images and labels of both splits, or None if they are not in the cache."""
    entry = store.read("examples", plan.examples)
    if entry is None:
        return None
    arrays, meta = entry
    names = tuple(meta["class_names"])
    return {s: ExampleSet(s, arrays[f"{s}_images"], arrays[f"{s}_labels"], names) for s in SPLITS}


def evaluation(results: Results) -> dict[str, float | int | None]:
    """The accuracies on the test split, as fractions; None where the source gives no penultimate features."""
    predictions, labels = results.predictions, results.labels
    accuracy: dict[str, float | int | None] = {
        "runs": len(predictions.single),
        "single": float(predictions.single.mean()),
        "ensemble": float((predictions.predicted == labels[0]).mean()),
    }
    for similarity in ("kernel", "penultimate", "pixels"):
        neighbors = results.neighbors.get(similarity)
        accuracy[f"{similarity}_knn3"] = evaluate.knn_accuracy(neighbors, *labels) if neighbors else None
        if neighbors and similarity == "kernel":
            accuracy["kernel_weighted20"] = evaluate.weighted_knn_accuracy(neighbors, *labels)
    return accuracy
