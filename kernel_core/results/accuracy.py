"""The accuracies of an ensemble and of its neighbors' votes, from what has been built."""

from __future__ import annotations

from kernel_core.findings.votes import knn_accuracy, weighted_knn_accuracy
from kernel_core.results.results import Results
from kernel_core.sources.source import penultimate

COSINE, _ = penultimate(None).similarities  # its accuracy is always told, if only as missing


def accuracy_key(similarity: str) -> str:
    """Return the name of the accuracy of a similarity's 3 nearest.

    >>> accuracy_key("penultimate-euclidean"), accuracy_key("kernel.first-50")
    ('penultimate_euclidean_knn3', 'kernel_first_50_knn3')
    """
    return f"{similarity.replace('-', '_').replace('.', '_')}_knn3"


def accuracy_titles(results: Results) -> dict[str, str]:
    """Return key in `accuracies` → name shown to people."""
    titles = {COSINE.name: COSINE.title} | {name: results.title_of(name) for name in _names(results)}
    votes = {accuracy_key(name): f"{title}, 3 nearest" for name, title in titles.items()}
    return {
        "single": "One run, mean",
        "ensemble": "Ensemble, averaged logits",
        accuracy_key("kernel"): "Kernel, 3 nearest",
        "kernel_weighted20": "Kernel, 20 nearest, weighted by value⁴",
        **votes,
    }


def accuracies(results: Results) -> dict[str, float | int | None]:
    """Return the accuracies on the query split as fractions, by the keys of `accuracy_titles`.

    One more key, runs, is the number of runs. An accuracy is None if these results have no neighbors by its
    similarity. Within one split, an example is not its own neighbor.
    """
    predictions, labels = results.predictions, results.labels
    kernel = results.neighbors.get("kernel")
    accuracy: dict[str, float | int | None] = {
        "runs": len(predictions.single),
        "single": float(predictions.single.mean()),
        "ensemble": float((predictions.predicted == labels[0]).mean()),
        accuracy_key("kernel"): knn_accuracy(kernel, *labels) if kernel else None,
        "kernel_weighted20": weighted_knn_accuracy(kernel, *labels) if kernel else None,
    }
    for name in dict.fromkeys([COSINE.name, *_names(results)]):
        neighbors = results.neighbors.get(name)
        accuracy[accuracy_key(name)] = knn_accuracy(neighbors, *labels) if neighbors else None
    return accuracy


def _names(results: Results) -> list[str]:
    """Return every similarity but the kernel, and of variants and those on request the ones asked for."""
    always = [similarity.name for similarity in results.offered.values() if not similarity.on_request]
    return [name for name in dict.fromkeys([*always, *results.neighbors]) if name != "kernel"]


UNSEEN_TITLES = {
    "train_unseen_single": "Train, one run that never saw the example",
    "train_unseen_ensemble": "Train, the runs that never saw each example",
}
"""Key in `unseen_accuracies` → name shown to people."""


def unseen_accuracies(results: Results) -> dict[str, float | None]:
    """Return the accuracies on training examples by runs that never saw them, as fractions.

    train_unseen_single: of one run, mean over all runs and the examples that each did not train on.
    train_unseen_ensemble: of the averaged logits, on examples that some run did not train on. Both are None
    without training masks, and where every run saw every example.
    """
    unseen = results.unseen
    if unseen is None or not unseen.runs.any():
        return dict.fromkeys(UNSEEN_TITLES)
    some = unseen.runs > 0
    ensemble = (unseen.predicted == results.examples["train"].labels)[some].mean()
    values = float(unseen.right.sum() / unseen.runs.sum()), float(ensemble)
    return dict(zip(UNSEEN_TITLES, values, strict=True))


def class_accuracies(results: Results) -> dict[int, float]:
    """Return, by class, the accuracy of the 3 nearest by the kernel of that class alone.

    It is empty unless the kernel of each class was asked for.
    """
    return {c: knn_accuracy(neighbors, *results.labels) for c, neighbors in results.class_neighbors.items()}
