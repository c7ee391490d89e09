"""The label report: what was judged of labels, and accuracies against the corrected ones, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kernel_core.report.label_accuracy import corrected_accuracies
from kernel_core.report.leak_counts import coverage
from kernel_core.report.leak_review import agreement_of, provenance, stopping
from kernel_core.report.shares import rows_of, share, unknown
from kernel_core.results.label_check import check_labels
from kernel_core.results.results import Results
from kernel_core.review.consensus import consensus, undecided
from kernel_core.review.judged import Judged
from kernel_core.review.verdicts import LABEL_VERDICTS

FORMAT = 1
WRONG = ("guessed", "neither")
"""Verdicts that say that the label does not apply."""
CORRECTIONS = ["split", "index", "label", "verdict", "proposed", "votes", "agree", "design", "rank", "at"]


@dataclass(frozen=True, eq=False)
class LabelReport:
    """A label report.

    content: its numbers, as they go to `corrections.json`. labels: of `judged_labels`. corrections: one row
    per label that is not simply right, with `CORRECTIONS`: label and proposed are names of
    classes; proposed is empty for the verdict neither.
    """

    results: Results
    content: dict[str, Any]
    labels: pd.DataFrame
    corrections: pd.DataFrame


def judged_labels(results: Results, judged: Judged, rule: str, ranking: pd.DataFrame) -> pd.DataFrame:
    """Return one row per label that a rule decides, sorted by example.

    Columns: split, index, then those of `review.consensus` but for the items; label, the class number;
    proposed, that of the proposed class, -1 if none of the source's classes was named; wrong, whether the
    verdict is of `WRONG`; rank, in the ranking, missing for examples that it does not list.
    """
    table = consensus(judged, "label", rule).drop(columns=["b_split", "b_index"])
    table = table.rename(columns={"a_split": "split", "a_index": "index"})
    number = {name: c for c, name in enumerate(results.class_names)}
    places = zip(table["split"], table["index"], strict=True)
    table["label"] = np.array([results.examples[split].labels[i] for split, i in places], np.int64)
    table["proposed"] = np.array([number.get(name, -1) for name in table["proposed_label"]], np.int64)
    table["wrong"] = table["verdict"].isin(WRONG)
    return table.merge(_ranks(ranking), on=["split", "index"], how="left").astype({"rank": "Int64"})


def _ranks(ranking: pd.DataFrame) -> pd.DataFrame:
    named = {"query_split": "split", "query_index": "index"}
    return ranking.rename(columns=named)[["split", "index", "rank"]]


def label_report(
    results: Results,
    judged: Judged,
    *,
    similarity: str = "kernel",
    rule: str = "majority",
    anonymous: bool = False,
    made_by: str | None = None,
) -> LabelReport:
    """Return the report on the labels that were judged.

    similarity: of the neighbors in the ranking of labels to check, which coverage is told along. Raises as
    `check_labels` does.
    """
    ranking = check_labels(results, similarity)
    labels = judged_labels(results, judged, rule, ranking)
    left = undecided(judged, "label", rule).rename(columns={"a_split": "split", "a_index": "index"})
    open_ranks = left.merge(_ranks(ranking), on=["split", "index"])["rank"]
    corrections = _corrections(results, labels)
    asked = {
        "similarity": similarity,
        "similarity_title": results.title_of(similarity),
        "rule": rule,
        "query": results.query,
    }
    content = {
        "format": FORMAT,
        "asked": asked,
        "provenance": {**provenance(results, judged, "label", anonymous=anonymous), "made_by": made_by},
        "judged": {"labels": len(labels) + len(left), "decided": len(labels), "undecided": len(left)},
        **_rates(results, labels),
        "accuracy": corrected_accuracies(results, labels),
        "machine": _machine(ranking, labels),
        "coverage": coverage(labels, open_ranks, len(ranking), "wrong"),
        "stopping": stopping(labels, open_ranks),
        "agreement": agreement_of(judged, "label"),
        "corrections": rows_of(corrections.astype(object).where(corrections.notna(), None)),
    }
    return LabelReport(results, content, labels, corrections)


def _rates(results: Results, labels: pd.DataFrame) -> dict[str, Any]:
    counts = labels["verdict"].value_counts()
    by_verdict = [{"verdict": name, "labels": int(counts.get(name, 0))} for name in LABEL_VERDICTS]
    by_split, by_class = _by_split(results, labels), _by_class(results, labels)
    return {"by_split": by_split, "by_verdict": by_verdict, "by_class": by_class}


def _known(labels: pd.DataFrame) -> pd.DataFrame:
    return labels[labels["verdict"] != "unsure"]


def _by_split(results: Results, labels: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, by split, the share of wrong labels among those judged, chosen and drawn, and among all."""
    rows = []
    for split, total in results.example_counts.items():
        own = _known(labels[labels["split"] == split])
        drawn = own[own["design"] == "sample"]
        wrong = int(own["wrong"].sum())
        rows.append(
            {
                "split": split,
                "judged": share(wrong, len(own)),
                "drawn": share(int(drawn["wrong"].sum()), len(drawn)),
                "all": share(wrong, total) if len(own) else unknown(total),
            }
        )
    return rows


def _by_class(results: Results, labels: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, by class of the label, the share of wrong ones among those judged, in all splits."""
    known = _known(labels)
    rows = []
    for c, name in enumerate(results.class_names):
        own = known[known["label"] == c]
        rows.append({"class": name, **share(int(own["wrong"].sum()), len(own))})
    return rows


def _corrections(results: Results, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `LabelReport.corrections`, by split and index."""
    found = labels[labels["verdict"].isin(("guessed", "both", "neither"))]
    names = np.array([*results.class_names, ""], object)  # the last for -1
    proposed = np.where(found["verdict"] == "neither", "", names[found["proposed"]])
    named = found.assign(label=names[found["label"]], proposed=proposed)
    return named[CORRECTIONS].reset_index(drop=True)


def _machine(ranking: pd.DataFrame, labels: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what rules find, each with how many of its labels were judged, and how many are wrong."""
    rules: dict[str, npt.NDArray[np.bool_]] = {
        "ensemble and neighbors agree on another class": ranking["both_against"].to_numpy(bool),
        "flagged by confident learning": ranking["flagged"].to_numpy(bool),
    }
    rows = []
    for name, mask in rules.items():
        found = _known(labels).merge(_ranks(ranking[mask])[["split", "index"]], on=["split", "index"])
        rows.append({"rule": name, "labels": int(mask.sum()), **share(int(found["wrong"].sum()), len(found))})
    return rows
