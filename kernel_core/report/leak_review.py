"""Who judged what: provenance, agreement, and how far along the ranking the review has come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from kernel_core import __version__
from kernel_core.files import read_json
from kernel_core.report.shares import rows_of
from kernel_core.results.results import Results
from kernel_core.review.agreement import agreement
from kernel_core.review.judged import Judged
from kernel_core.review.stopping import enough_negatives, run_of_negatives
from kernel_core.review.verdicts import Kind
from kernel_core.review.votes import votes_of
from kernel_core.sources.source import SourceRequest

MANIFEST = "ensemble.json"


def provenance(results: Results, judged: Judged, kind: Kind, *, anonymous: bool) -> dict[str, Any]:
    """Return what the numbers are of: source, runs, verdicts and version.

    anonymous: numbers in place of the reviewers' names, in the order of the names.
    """
    table = judged.table(kind)
    counts = table["reviewer"].value_counts()
    reviewers = [
        {"reviewer": f"reviewer {n}" if anonymous else name, "verdicts": int(counts[name])}
        for n, name in enumerate(sorted(counts.index), start=1)
    ]
    return {
        "source": results.name,
        "fingerprint": results.id,
        "examples": dict(results.example_counts),
        "classes": len(results.class_names),
        "runs": results.run_count,
        "about": results.about,
        "version": __version__,
        "verdicts": len(table),
        "latest": max(table["at"], default=None),
        "reviewers": reviewers,
        "unmatched": sum(verdict.kind == kind for verdict in judged.unmatched),
    }


def architecture(request: SourceRequest) -> str | None:
    """Return how the runs were made, as the manifest of the source's folder says; None where it does not."""
    path = request.path
    if path is None:
        return None
    folder = path if path.is_dir() else path.parent
    try:
        made_by = read_json(folder / MANIFEST).get("made_by")
    except (OSError, ValueError, AttributeError):
        return None
    return ", ".join(_flat(made_by, "")) or None


def _flat(value: Any, name: str) -> Iterator[str]:
    """Yield nested values as in "recipe name heads"."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name} {key}".strip())
    elif value not in (None, "", []):
        yield f"{name} {value}"


def agreement_of(judged: Judged, kind: Kind) -> dict[str, Any] | None:
    """Return the agreement between reviewers, by measure; None unless two judged the same item.

    The verdicts are those given without sight of others'.
    """
    votes = votes_of(judged, kind)
    if not votes.shared.any():
        return None
    measures = rows_of(agreement(votes))
    return {"items": int(votes.shared.sum()), "reviewers": len(votes.reviewers), "measures": measures}


def stopping(pairs: pd.DataFrame, open_ranks: pd.Series) -> dict[str, Any]:
    """Return whether the stopping rule was met along the ranking, judged from rank 1 on without a gap.

    pairs: of `judged_pairs`. open_ranks: of pairs that were judged and that the rule leaves open.
    """
    ranked = pairs[pairs["rank"].notna()]
    verdict = dict(zip(ranked["rank"].astype(int).tolist(), ranked["verdict"].tolist(), strict=True))
    verdict |= dict.fromkeys(open_ranks.astype(int).tolist(), "unsure")
    last = 0
    while last + 1 in verdict:
        last += 1
    run = run_of_negatives(verdict[rank] for rank in range(1, last + 1))
    needed = enough_negatives()
    return {"judged_to": last, "run": run, "needed": needed, "met": run >= needed}
