"""Words and sentences that several pages share. The names of the similarities are in `kernel_core.spec`."""

from __future__ import annotations

ENSEMBLE = "Ensemble"

MEANINGS = {
    "kernel": "correlation over the runs of the two examples' log-probabilities, averaged over the classes",
    "penultimate": "cosine similarity of the activations before the last layer of one run",
    "penultimate-euclidean": "minus the Euclidean distance between those activations",
    "pixels": "correlation of the pixel values",
}
"""Similarity → what it compares, for help texts."""

SHORT_NAMES = {
    "kernel": "Kernel",
    "penultimate": "Cosine",
    "penultimate-euclidean": "Euclidean",
    "pixels": "Pixels",
}
"""Similarity → its name where there is room for one word: below a thumbnail, beside the other three."""

DIFFERENT_LABEL = "≠ and a dashed frame mark a different label."
MINUS_DISTANCE = "Features (Euclidean) shows minus the distance."


def plural(count: int, noun: str) -> str:
    """Return a count with its noun in the singular or the plural.

    >>> plural(1, "run"), plural(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def escape(name: str) -> str:
    """Return text, such as a class name, so that Markdown shows it literally."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|~$<>:" else c for c in name)
