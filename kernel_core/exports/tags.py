"""Tags for FiftyOne, and the lines of Python that use a cleaned set."""

from __future__ import annotations

from typing import Any

from kernel_core.exports.decisions import Cleaned
from kernel_core.results.results import Results
from kernel_core.review.judged import Judged

TAGS = {
    "duplicate across splits": "duplicate-across-splits",
    "duplicate within the split": "duplicate-within-split",
    "wrong label": "wrong-label",
}
"""Why an example is dropped → its tag."""


def fiftyone_tags(results: Results, judged: Judged, cleaned: Cleaned) -> dict[str, Any]:
    """Return the tags of examples: split → index, as text → tags. `use.py` puts them on samples.

    keep or drop, why it is dropped, by whom that was found, and what was judged of its label.
    """
    tags: dict[str, dict[str, list[str]]] = {split: {} for split in results.examples}
    for row in cleaned.dropped.to_dict("records"):
        found = tags[row["split"]].setdefault(str(row["index"]), ["drop"])
        found += [tag for tag in (TAGS[row["why"]], row["by"]) if tag not in found]
    for (split, index), by in sorted(judged.labels.items()):
        words = sorted({f"label-{verdict.verdict}" for verdict in by.values()})
        tags[split].setdefault(str(index), ["keep"]).extend(words)
    return {
        split: dict(sorted(found.items(), key=lambda item: int(item[0]))) for split, found in tags.items()
    }


USE = '''"""Use the cleaned set. Each function takes what it needs from the folder of this file."""

import csv
import json
from pathlib import Path

FOLDER = Path(__file__).parent


def kept(split):
    """The indices to keep of a split, rising."""
    return [int(line) for line in (FOLDER / f"keep_{split}.txt").read_text().split()]


def torch_subset(dataset, split):
    """A PyTorch dataset without what was dropped. dataset: in the order of the source."""
    from torch.utils.data import Subset

    return Subset(dataset, kept(split))


def select(dataset, split):
    """The same for a dataset of the Hugging Face library datasets."""
    return dataset.select(kept(split))


def corrections(split):
    """By index, the classes that apply to examples whose label was judged wrong or ambiguous."""
    file = FOLDER / "corrections.csv"
    rows = csv.DictReader(file.open(encoding="utf-8")) if file.exists() else []
    return {int(row["index"]): json.loads(row["valid_labels"]) for row in rows if row["split"] == split}


def tag_fiftyone(dataset, split):
    """Tag the samples of a FiftyOne dataset. dataset: of one split, added in the order of the source."""
    tags = json.loads((FOLDER / "fiftyone_tags.json").read_text(encoding="utf-8"))[split]
    for index, sample in enumerate(dataset.iter_samples(autosave=True)):
        sample.tags = sorted({*sample.tags, *tags.get(str(index), ["keep"])})


def knn_graph(split):
    """The graph of nearest neighbors within a split, for cleanlab: find_issues(knn_graph=...)."""
    from scipy.sparse import load_npz

    return load_npz(FOLDER / f"knn_graph_{split}.npz")
'''
"""The file `use.py`."""
