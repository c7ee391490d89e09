"""The files of a cleaned set, by name, and what each of them is for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from kernel_core.exports import formats, graphs, tags
from kernel_core.exports.decisions import MACHINE, Cleaned, Rules, clean
from kernel_core.records import Neighbors
from kernel_core.results.results import Results
from kernel_core.review.judged import Judged
from kernel_core.spec import Split

FORMATS = {
    "lists": "keep_*.txt, drop_*.txt: indices, one per line; dropped.csv: why; use.py: code that uses them",
    "cifair": "duplicates*.csv: judged duplicates, in the columns of ciFAIR",
    "labels": "corrections.csv: labels judged wrong or ambiguous",
    "votes": "label_votes_*.json: the votes on labels, in the form of label-errors",
    "real": "valid_labels_*.json: lists of valid labels, in the form of ReaL",
    "verdicts": "verdicts.parquet: all standing verdicts",
    "fiftyone": "fiftyone_tags.json: tags by index; use.py puts them on samples",
    "cleanlab": "knn_graph_*.npz: neighbors within a split, for cleanlab's Datalab",
    "atlas": "neighbors.parquet: all examples with their neighbors, for Embedding Atlas",
}
"""Name of a format → its files."""
Files = dict[str, str | bytes]


@dataclass(frozen=True, eq=False)
class Asked:
    """What to write.

    rules: how verdicts become a cleaned set. similarity: of the neighbors. formats: of `FORMATS`. tables: by
    query split, the neighbors to give. version: of the program.
    """

    rules: Rules
    similarity: str
    formats: tuple[str, ...]
    tables: Mapping[Split, Neighbors]
    version: str


def files_of(results: Results, judged: Judged, asked: Asked) -> tuple[Cleaned, Files]:
    """Return the cleaned set and the content of its files by name. Raises as `decisions.clean` does."""
    cleaned = clean(results, judged, asked.rules)
    files: Files = {}
    written = []
    for name in asked.formats:
        made = MAKERS[name](results, judged, cleaned, asked)
        files |= made
        written += [name] if made else []
    files["export.json"] = json.dumps(_about(results, judged, cleaned, asked), indent=1) + "\n"
    files["README.md"] = _readme(results, cleaned, written)
    return cleaned, files


Maker = Callable[[Results, Judged, Cleaned, Asked], Files]


def _lists(_results: Results, _judged: Judged, cleaned: Cleaned, _asked: Asked) -> Files:
    files: Files = {
        "use.py": tags.USE,
        "dropped.csv": cleaned.dropped.to_csv(index=False, lineterminator="\n"),
    }
    for name, lists in (("keep", cleaned.keep), ("drop", cleaned.drop)):
        for split, indices in lists.items():
            files[f"{name}_{split}.txt"] = "".join(f"{index}\n" for index in indices)
    return files


def _cifair(_results: Results, judged: Judged, _cleaned: Cleaned, asked: Asked) -> Files:
    return dict(formats.cifair_tables(judged, asked.rules.rule))


def _labels(_results: Results, judged: Judged, cleaned: Cleaned, _asked: Asked) -> Files:
    if not judged.labels:
        return {}
    return {"corrections.csv": cleaned.corrections.to_csv(index=False, lineterminator="\n")}


def _votes(results: Results, judged: Judged, _cleaned: Cleaned, _asked: Asked) -> Files:
    found = {split: formats.label_votes(results, judged, split) for split in results.examples}
    return {f"label_votes_{split}.json": formats.json_lines(votes) for split, votes in found.items() if votes}


def _real(results: Results, judged: Judged, cleaned: Cleaned, _asked: Asked) -> Files:
    splits = {split for split, _ in judged.labels}
    return {
        f"valid_labels_{split}.json": formats.json_lines(
            formats.valid_labels(results, cleaned.corrections, split)
        )
        for split in sorted(splits)
    }


def _verdicts(_results: Results, judged: Judged, _cleaned: Cleaned, _asked: Asked) -> Files:
    return {"verdicts.parquet": formats.verdicts_parquet(judged)}


def _fiftyone(results: Results, judged: Judged, cleaned: Cleaned, _asked: Asked) -> Files:
    content = tags.fiftyone_tags(results, judged, cleaned)
    return {"fiftyone_tags.json": json.dumps(content, indent=1) + "\n", "use.py": tags.USE}


def _cleanlab(results: Results, _judged: Judged, _cleaned: Cleaned, asked: Asked) -> Files:
    similarity = results.similarity(asked.similarity)
    return {
        f"knn_graph_{split}.npz": graphs.knn_graph(neighbors, similarity)
        for split, neighbors in asked.tables.items()
        if neighbors.spec.excludes_self
    }


def _atlas(results: Results, _judged: Judged, _cleaned: Cleaned, asked: Asked) -> Files:
    similarity = results.similarity(asked.similarity)
    return {"neighbors.parquet": graphs.atlas_parquet(results, asked.tables, similarity)}


MAKERS: Mapping[str, Maker] = {
    "lists": _lists, "cifair": _cifair, "labels": _labels, "votes": _votes, "real": _real,
    "verdicts": _verdicts, "fiftyone": _fiftyone, "cleanlab": _cleanlab, "atlas": _atlas,
}  # fmt: skip
"""Name of a format → what makes its files; none where there is nothing to write."""


def _about(results: Results, judged: Judged, cleaned: Cleaned, asked: Asked) -> dict[str, object]:
    counts = cleaned.dropped.groupby(["split", "why", "by"]).size()
    return {
        "source": results.name, "id": results.id, "runs": results.run_count,
        "similarity": asked.similarity, "version": asked.version, "rules": asdict(asked.rules),
        "verdicts": {"pairs": len(judged.pairs), "labels": len(judged.labels),
                     "reviewers": len(judged.reviewers)},
        "examples": {split: len(examples) for split, examples in results.examples.items()},
        "kept": {split: len(indices) for split, indices in cleaned.keep.items()},
        "dropped": [
            {"split": split, "why": why, "by": by, "count": int(count)}
            for (split, why, by), count in counts.items()
        ],
        "corrections": len(cleaned.corrections),
    }  # fmt: skip


def _readme(results: Results, cleaned: Cleaned, written: list[str]) -> str:
    kept = ", ".join(
        f"{len(indices):,} of {len(results.examples[split]):,} {split} examples"
        for split, indices in cleaned.keep.items()
    )
    machine = int((cleaned.dropped["by"] == MACHINE).sum())
    found = (
        f" {machine:,} of those dropped were found by machine alone; nobody judged them." if machine else ""
    )
    lines = [f"- {FORMATS[name]}" for name in written]
    return "\n".join(
        [
            "# A cleaned set", "",
            f"Kept: {kept}. Indices are those of the source, from 0.{found}", "",
            *lines,
            "- export.json: what all this was made from", "",
        ]
    )  # fmt: skip
