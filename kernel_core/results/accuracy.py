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
"""Each accuracy of `accuracies` → its name shown to people."""


def accuracies(results: Results) -> dict[str, float | int | None]:
    """The accuracies on the query split, as fractions; None where there are no neighbors by that similarity.

    Within one split an example is not its own neighbor: k-NN leaves it out.
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
    """Class → the accuracy of the 3 nearest by the kernel of that class alone; empty unless each was asked for."""
    return {c: knn_accuracy(neighbors, *results.labels) for c, neighbors in results.class_neighbors.items()}
