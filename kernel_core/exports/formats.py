"""Verdicts as the lists of others have them: ciFAIR's pairs, label-errors' votes, ReaL's valid labels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from kernel_core.results.results import Results
from kernel_core.review.judged import Judged
from kernel_core.review.leaked import decided_pairs
from kernel_core.review.verdicts import DUPLICATES, VERDICTS
from kernel_core.spec import Split

CIFAIR_COLUMNS = ["TestID", "TrainID", "Distance", "Judgment"]
VOTES = ("given", "guessed", "neither", "both")


def cifair_tables(judged: Judged, rule: str) -> dict[str, str]:
    """Return the judged duplicates as CSV in the columns of ciFAIR: name of the file → text.

    Judgment: 0 exact, 1 near-duplicate, 2 very similar. Distance: 1 minus the similarity that was shown,
    where there was one. Pairs within the test set are in a file of their own, where TrainID is a test index;
    pairs within the training set in a third.
    """
    codes = {verdict: code for code, verdict in enumerate(DUPLICATES)}
    table = decided_pairs(judged, rule)
    table = table[table["verdict"].isin(codes)]
    distances = []
    for row in table.itertuples():
        shown = judged.of_pair((row.a_split, int(row.a_index)), (row.b_split, int(row.b_index)))
        values = [verdict.shown.value for verdict in shown.values() if verdict.shown.value is not None]
        distances.append(1 - values[0] if values else np.nan)
    named = pd.DataFrame(
        {
            "TestID": table["a_index"], "TrainID": table["b_index"], "Distance": distances,
            "Judgment": table["verdict"].map(codes),
        },
        columns=CIFAIR_COLUMNS,
    )  # fmt: skip
    files = {"duplicates": ("test", "train"), "duplicates_test": ("test", "test"),
             "duplicates_train": ("train", "train")}  # fmt: skip
    written = {}
    for name, (a, b) in files.items():
        rows = named[((table["a_split"] == a) & (table["b_split"] == b)).to_numpy()]
        if len(rows):
            ordered = rows.sort_values(["Distance", "TestID", "TrainID"], kind="stable")
            written[f"{name}.csv"] = ordered.to_csv(index=False, lineterminator="\n")
    return written


def label_votes(results: Results, judged: Judged, split: Split) -> list[dict[str, Any]]:
    """Return the votes on labels of a split in the form of label-errors, by rising index.

    Each has id (the index), given_original_label and our_guessed_label with their names, and mturk: how many
    said given, guessed, neither or both. our_guessed_label: the class that most of the reviewers were shown
    or proposed; null if none. Verdicts "unsure" are no votes.
    """
    names, found = results.class_names, []
    for (of, index), by in sorted(judged.labels.items()):
        if of != split:
            continue
        given = int(results.examples[split].labels[index])
        proposed = [verdict.proposed_label for verdict in by.values() if verdict.proposed_label in names]
        guessed = max(sorted(set(proposed)), key=proposed.count) if proposed else None
        votes = [verdict.verdict for verdict in by.values()]
        found.append(
            {
                "id": int(index), "given_original_label": given, "given_original_label_name": names[given],
                "our_guessed_label": None if guessed is None else names.index(guessed),
                "our_guessed_label_name": guessed, "mturk": {vote: votes.count(vote) for vote in VOTES},
            }
        )  # fmt: skip
    return found


def valid_labels(results: Results, corrections: pd.DataFrame, split: Split) -> list[list[int]]:
    """Return the valid labels of every example of a split, in the form of ReaL: a list of lists of classes.

    An example that nobody judged, or whose label was judged right, has its label. An empty list: none of the
    classes was found to apply. corrections: of `decisions.corrected_labels`.
    """
    valid = [[int(label)] for label in results.examples[split].labels]
    for row in corrections[corrections["split"] == split].to_dict("records"):
        valid[row["index"]] = list(row["valid_labels"])
    return valid


def verdicts_parquet(judged: Judged) -> bytes:
    """Return all standing verdicts on pairs and labels, with the columns of `Judged.table`, as Parquet."""
    tables = [judged.table(kind).assign(kind=kind) for kind in VERDICTS]
    filled = [table for table in tables if len(table)] or tables[:1]
    table = pd.concat(filled, ignore_index=True)
    types = {"value": "float64", "rank": "Int64", "milliseconds": "Int64", "inclusion_probability": "float64"}
    return bytes(table.astype(types).to_parquet(index=False))


def json_lines(content: Any) -> str:
    """Return a list as JSON, one element a line."""
    elements = ",\n".join(json.dumps(element, ensure_ascii=False) for element in content)
    return f"[\n{elements}\n]\n" if elements else "[]\n"
