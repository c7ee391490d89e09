"""The accuracies of an ensemble and of its neighbors' votes, from what has been built."""

from __future__ import annotations

from kernel_core.findings.votes import knn_accuracy, weighted_knn_accuracy
from kernel_core.results.results import Results

ACCURACY_TITLES = {
    "single": "One run, mean",
    "ensemble": "Ensemble, averaged logits",
    "kernel_knn3": "Kernel, 3 nearest",
    "kernel_weighted20": "Kernel, 20 nearest, weighted by value⁴",
    "penultimate_knn3": "Features (cosine), 3 nearest",
    "pixels_knn3": "Pixels, 3 nearest",
}
"""Key in `accuracies` → name shown to people."""


def accuracies(results: Results) -> dict[str, float | int | None]:
    """Return the accuracies on the query split as fractions, by the keys of `ACCURACY_TITLES`.

    One more key, runs, is the number of runs. An accuracy is None if these results have no neighbors by its
    similarity. Within one split, an example is not its own neighbor.
    """
    predictions, labels = results.predictions, results.labels
    accuracy: dict[str, float | int | None] = {
        "runs": len(predictions.single),
        "single": float(predictions.single.mean()),
        "ensemble": float((predictions.predicted == labels[0]).mean()),
    }
    for similarity in ("kernel", "penultimate", "pixels"):
        neighbors = results.neighbors.get(similarity)
        accuracy[f"{similarity}_knn3"] = knn_accuracy(neighbors, *labels) if neighbors else None
        if similarity == "kernel":
            weighted = weighted_knn_accuracy(neighbors, *labels) if neighbors else None
            accuracy["kernel_weighted20"] = weighted
    return accuracy


def class_accuracies(results: Results) -> dict[int, float]:
    """Return, by class, the accuracy of the 3 nearest by the kernel of that class alone.

    It is empty unless the kernel of each class was asked for.
    """
    return {c: knn_accuracy(neighbors, *results.labels) for c, neighbors in results.class_neighbors.items()}
