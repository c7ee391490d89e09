"""The table of all examples, its filters and its orders, against plain loops."""

import math

import numpy as np
import pytest

from kernel_core.errors import RequestError
from kernel_core.findings.all_examples import ORDERS, Filters, describe_examples, in_order, matching
from kernel_core.records import ExampleSet, Neighbors, no_images
from kernel_core.spec import KernelSpec
from tests.support.predicted import predictions_of

CLASSES, THRESHOLD = 4, 0.5
NAMES = ("ant", "bee", "cat", "dog")
COUNTS = {"train": 90, "test": 40}


@pytest.fixture(scope="module")
def source():
    """Examples, predictions and neighbors with many ties; the training examples' neighbors are not kept."""
    rng = np.random.default_rng(5)
    examples, predictions = {}, {}
    for split, count in COUNTS.items():
        labels = rng.integers(0, CLASSES, count)
        examples[split] = ExampleSet(split, no_images(count), labels, NAMES)
        mean = (rng.multinomial(4, [0.4, 0.3, 0.2, 0.1], count) / 4).astype(np.float32)
        predictions[split] = predictions_of(mean, labels)
    values = -np.sort(-rng.integers(0, 6, (COUNTS["test"], 8)).astype(np.float32) / 5, axis=1)
    indices = np.tile(np.arange(8, dtype=np.int32), (COUNTS["test"], 1))
    return examples, predictions, {"test": Neighbors(KernelSpec("kernel", k=8), indices, values)}


def rows_of(source):
    """The same table as a list of dictionaries, example by example."""
    examples, predictions, neighbors = source
    rows = []
    for split in ("test", "train"):
        for index, label in enumerate(examples[split].labels.tolist()):
            of_split, kept = predictions[split], neighbors.get(split)
            near = [float(v) for v in kept.values[index]] if kept else None
            rows.append({
                "split": split, "index": index, "label": label,
                "predicted": int(of_split.predicted[index]),
                "right": int(of_split.predicted[index]) == label,
                "confidence": max(of_split.mean[index].tolist()),
                "label_probability": dict(
                    zip(of_split.classes[index].tolist(), of_split.mean[index].tolist(), strict=True)
                )[label],
                "nearest": max(near) if near else math.nan,
                "near": len([v for v in near if v >= THRESHOLD]) if near else -1,
            })  # fmt: skip
    return rows


def within(value, least, largest):
    """Whether a value is between two limits, as the float32 that all of them are kept as."""
    value, least, largest = (None if v is None else np.float32(v) for v in (value, least, largest))
    return (least is None or value >= least) and (largest is None or value <= largest)


def test_table_describes_every_example(source):
    table = describe_examples(*source, THRESHOLD)
    expected = rows_of(source)
    assert list(table.columns) == list(expected[0])
    for found, row in zip(table.to_dict("records"), expected, strict=True):
        assert found == pytest.approx(row, nan_ok=True)
    assert table["near"].max() > table["near"].min() == -1  # the case is not a trivial one


FILTERS = [
    {},
    {"split": "train"},
    {"label": 0},
    {"predicted": 2, "split": "test"},
    {"outcome": "wrong"},
    {"label": 1, "outcome": "right"},
    {"confidence": (0.5, 0.75)},
    {"confidence": (None, 0.5)},
    {"nearest": (None, 0.8)},
    {"nearest": (0.8, None), "split": "test"},
    {"nearest": (0.8, None), "split": "train"},
    {"near": 1},
    {"near": 5, "confidence": (0.75, None), "outcome": "right"},
    {"confidence": (0.9, 0.1)},
]


@pytest.mark.parametrize("wanted", FILTERS)
def test_filters_keep_what_a_loop_keeps(source, wanted):
    filters = Filters(**wanted)
    kept = [
        within(row["confidence"], *filters.confidence)
        and (within(row["nearest"], *filters.nearest) if filters.nearest != (None, None) else True)
        and (row["near"] >= filters.near or not filters.near)
        and all(row[name] == wanted[name] for name in ("split", "label", "predicted") if name in wanted)
        and (not filters.outcome or row["right"] == (filters.outcome == "right"))
        for row in rows_of(source)
    ]
    assert matching(describe_examples(*source, THRESHOLD), filters).tolist() == kept
    assert filters.asks_for_neighbors == ("nearest" in wanted or "near" in wanted)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("by", ORDERS)
def test_order_keeps_ties_in_place_and_missing_values_last(source, by, descending):
    table, rows = describe_examples(*source, THRESHOLD), rows_of(source)
    positions = list(range(len(rows)))
    if by == "index":
        expected = positions[::-1] if descending else positions
    else:
        has = [p for p in positions if rows[p]["split"] == "test" or by not in ("nearest", "near")]
        sign = -1 if descending else 1
        expected = sorted(has, key=lambda p: sign * rows[p][by]) + [p for p in positions if p not in has]
    assert in_order(table, by, descending=descending).tolist() == expected


def test_one_split_alone(source):
    examples, predictions, _ = source
    table = describe_examples({"test": examples["test"]}, predictions, {}, THRESHOLD)
    assert len(table) == COUNTS["test"]
    assert table["nearest"].isna().all()
    assert not matching(table, Filters(near=1)).any()


def test_wrong_words_are_refused(source):
    table = describe_examples(*source, THRESHOLD)
    with pytest.raises(RequestError, match="expected right or wrong"):
        Filters(outcome="maybe")
    with pytest.raises(RequestError, match="expected index, confidence"):
        in_order(table, "label")
