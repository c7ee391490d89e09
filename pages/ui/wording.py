"""Words and sentences that several pages share. Similarities bring theirs: `kernel_core.similarities`."""

from __future__ import annotations

from kernel_core.results.results import Results

ENSEMBLE = "Ensemble"

ANY_CLASS = "any class"
"""In a list of classes: no filter."""

DIFFERENT_LABEL = "≠ and a dashed frame mark a different label."


def about_source(results: Results) -> str:
    """Return what the images of the embedded default are, and where larger ones come from; else nothing."""
    if results.name != "digits":
        return ""
    return (
        "Handwritten digits from scikit-learn, scanned to 8 × 8 gray pixels each: small, but nothing to "
        "download. For photographs: `make run SOURCE=cifar10`."
    )


def minus_distance(results: Results, *names: str) -> str:
    """Return a sentence if one of the similarities shows distances, else an empty text."""
    similarities = [results.similarity(name) for name in names]
    titles = [escape(similarity.title) for similarity in similarities if similarity.is_distance]
    if not titles:
        return ""
    return f"{' and '.join(titles)} {'shows' if len(titles) == 1 else 'show'} minus the distance."


def value_words(value: float) -> str:
    """Return a similarity's value with three decimals, or two digits where it would be shown as 0.

    >>> value_words(0.7224), value_words(0.0004), value_words(-0.00012), value_words(0.0)
    ('0.722', '0.0004', '-0.00012', '0.000')
    """
    return f"{value:.2g}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun in the singular or the plural.

    >>> plural(1, "run"), plural(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def escape(name: str) -> str:
    """Return text, such as a class name, so that Markdown shows it literally."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|~$<>:" else c for c in name)
