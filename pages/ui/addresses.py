"""The parameters of addresses: which page knows which, their old names, and what to say of the others.

One thing has one name on every page. `docs/addresses.md` says what each means.
"""

from __future__ import annotations

from collections.abc import Mapping

KNOWN: dict[str, tuple[str, ...]] = {
    "overview": (),
    "near_duplicates": (
        "by", "within", "order", "first", "last", "threshold", "class", "labels", "pixels_at", "band",
        "judged", "reviewer", "page",
    ),
    "labels": ("split", "by", "order", "label", "proposed", "both", "judged", "reviewer", "page"),
    "failure_modes": ("by", "within", "order", "labels_differ", "judged", "reviewer", "rows"),
    "groups": (
        "by", "within", "order", "threshold", "aligned", "pixels_at", "labels", "class", "crossing", "judged",
        "reviewer", "page",
    ),
    "memorization": ("label", "page"),
    "influence": ("by", "within", "order", "labels", "class", "page"),
    "similarities": ("by", "within", "threshold"),
    "disagreement": ("by", "within", "other", "vote", "class", "order", "k", "page"),
    "run_counts": (),
    "open_questions": ("question",),
    "leaks": ("kind", "by", "order", "rule", "leaked", "anonymous"),
    "verdicts": ("kind", "rule", "which", "reviewers", "two", "cell", "by", "page"),
    "feature_pairs": ("first", "last", "by", "other"),
    "review": ("list", "kind", "reviewer", "blind", "all"),
    "example": ("example", "trail", "list", "among", "k", "by", "sure"),
    "pair": ("a", "b", "list", "class", "whole"),
    "random_examples": ("seed", "k", "by", "other"),
    "examples": (
        "names", "lasso", "split", "label", "predicted", "outcome", "confidence", "index", "by",
        "nearest_from", "nearest_to", "near", "near_at", "sort", "page",
    ),
    "map": ("example", "by", "only", "show", "view", "names", "lasso", "list"),
}  # fmt: skip
"""Page → the parameters that its addresses may have."""
EVERYWHERE = ("size", "drawn")
"""What every page's address may have: how tiles are drawn (`pages/ui/look.py`)."""
RENAMED: dict[str, dict[str, str]] = {
    "disagreement": {"among": "k", "nearest": "k", "one": "by", "of_class": "class", "sheet": "page"},
    "feature_pairs": {"features": "other", "one": "by"},
    "random_examples": {"against": "other", "one": "by"},
    "example": {"neighbors": "k", "nearest_by": "by"},
    "pair": {"class_of_pair": "class", "whole_of_pair": "whole"},
}
"""Page → a parameter of its old addresses → its name now, so that shared addresses still work."""


def renamed(page: str, asked: Mapping[str, str]) -> dict[str, str] | None:
    """Return the parameters of an old address by their names now; None if they have them already."""
    old = RENAMED.get(page, {})
    if not old.keys() & asked.keys():
        return None
    return {old.get(name, name): value for name, value in asked.items()}


def unknown(page: str, asked: Mapping[str, str]) -> list[str]:
    """Return the parameters of an address that its page does not know."""
    return [name for name in asked if page in KNOWN and name not in (*KNOWN[page], *EVERYWHERE)]


def refused(
    page: str, asked: Mapping[str, str], left: Mapping[str, str], values: Mapping[str, object]
) -> dict[str, str]:
    """Return the known parameters whose values the page did not take, with these values.

    asked, left: the address before the page was drawn, and after: a control takes out what it cannot use, and
    what is its default. values: of the controls, by parameter.
    """
    return {
        name: text
        for name, text in asked.items()
        if name in KNOWN.get(page, ()) and name not in left and not _says(text, values.get(name))
    }


def _says(text: str, value: object) -> bool:
    """Return whether a text of an address stands for a control's value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return isinstance(value, list | tuple) or text.lower() == str(value).lower()
