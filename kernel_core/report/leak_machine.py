"""What a machine says of leaks without anybody's judgement: candidates, equal bytes, pixels that fit."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kernel_core.findings.exact_copies import count_copies, exact_copies, shared_pairs
from kernel_core.findings.twins import BANDS
from kernel_core.report.leak_pairs import Asked, by_item
from kernel_core.report.shares import share
from kernel_core.results.grouping import default_threshold
from kernel_core.results.pair_orders import ordered_pairs
from kernel_core.results.results import Results
from kernel_core.review.consensus import ITEM_COLUMNS


def machine_found(results: Results, pairs: pd.DataFrame, asked: Asked) -> dict[str, Any]:
    """Return what rules find, each with how many of its pairs were judged, and how many are duplicates.

    pairs: of `judged_pairs`. rules: one entry per rule: rule, about, pairs, judged (and decided as something
    but unsure), and of the judged ones the share of duplicates. Those judged are no random sample of a rule's
    pairs. copies: the counts of images with equal bytes; None where there are no images. threshold: in use.
    """
    ranking = ordered_pairs(results, asked.similarity, asked.order)
    column = "twin" if asked.order == "twin" else "similarity"
    threshold = asked.threshold
    if threshold is None:
        threshold = default_threshold(results, asked.similarity, asked.order)
    value = {"twin": "twin score", "similarity": "similarity"}[column]
    chosen = {f"{value} from {threshold:g}": (ranking[column] >= threshold, "candidates by a threshold")}
    if "band" in ranking:
        about = {
            BANDS[0]: "aligned pixels that fit far better than those of other neighbors",
            BANDS[1]: "aligned pixels that fit better than those of other neighbors",
            BANDS[2]: "all other pairs, however near",
        }
        chosen |= {f"band: {band}": (ranking["band"] == band, about[band]) for band in BANDS}
    rules = [_rule(name, about, ranking[mask], pairs) for name, (mask, about) in chosen.items()]
    copies = None
    if results.has_images:
        equal = exact_copies(results.examples)
        rules.insert(0, _equal_bytes(results, equal, pairs))
        counts = count_copies(equal, results.examples)
        copies = {
            "shared": counts.shared,
            "conflicting": counts.conflicting,
            "repeated": dict(counts.repeated),
            "sentence": counts.sentence,
        }
    return {"rules": rules, "copies": copies, "threshold": threshold}


def _rule(name: str, about: str, rows: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Any]:
    items = by_item(rows)[ITEM_COLUMNS]
    return _counted(name, about, items, pairs)


def _counted(name: str, about: str, items: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Any]:
    known = pairs[pairs["verdict"] != "unsure"].merge(items, on=ITEM_COLUMNS)
    return {
        "rule": name,
        "about": about,
        "pairs": len(items),
        **share(int(known["leaked"].sum()), len(known)),
    }


def _equal_bytes(results: Results, equal: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Any]:
    """Return the rule of equal bytes: pairs of the two splits, or within one split each with the first."""
    if results.query == results.database:
        own = equal[equal["split"] == results.query]
        first = own.groupby("group")["index"].transform("first")
        later = own["index"] != first
        a, b = first[later].to_numpy(), own["index"][later].to_numpy()
        splits: tuple[str, str] = (results.query, results.query)
    else:
        shared = shared_pairs(equal)
        a, b, splits = shared["test_index"].to_numpy(), shared["train_index"].to_numpy(), ("test", "train")
    items = pd.DataFrame({"a_split": splits[0], "a_index": a, "b_split": splits[1], "b_index": b})
    return _counted("equal bytes", "the same pixels, every one", items.astype({"a_split": object}), pairs)
