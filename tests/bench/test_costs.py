"""What a build costs by its size: sums that can be done by hand, and what the verb prints of them."""

import json
from dataclasses import replace

import pytest

from kernel_core.bench.costs import Size, blocks, steps
from kernel_core.cli.estimate import size_of, time_of
from tests.support.command import ROOT, invoke

CIFAR10 = Size(train=50_000, test=10_000, classes=10, runs=500)


def named(size, memory=4_000_000_000):
    return {step.name: step for step in steps(size, memory)}


def test_neighbors_of_cifar10_are_multiplied_near_the_peak_of_a_core():
    seconds = named(CIFAR10)["neighbors test→train"].seconds
    rate = 2 * 10_000 * 50_000 * 5000 / seconds
    assert 0.75 * 105e9 < rate < 105e9


def test_a_pair_within_the_training_set_counts_once():
    of = named(Size(train=2001, test=1000, classes=10, runs=20))
    assert of["neighbors within train"].seconds == pytest.approx(
        2 * of["neighbors test→train"].seconds / 2, rel=1e-3
    )


def test_twice_the_runs_are_twice_the_logits_to_read():
    once, twice = named(CIFAR10), named(Size(50_000, 10_000, 10, 1000))
    for name in ("votes and probabilities", "neighbors test→train"):
        assert twice[name].read == 2 * once[name].read


def test_means_and_spreads_are_kept_only_where_rows_are_made_in_slices():
    assert named(Size(50_000, 10_000, 10, 20))["means and spreads"].kept == 0
    assert named(CIFAR10)["means and spreads"].kept == 0
    assert named(replace(CIFAR10, runs=5000))["means and spreads"].kept == 8 * 60_000 * 10


def test_blocks_are_those_of_the_search():
    size = Size(train=1_000_000, test=50_000, classes=10, runs=20)
    found = blocks(size, seconds=60, memory=4_000_000_000)
    assert found.count * found.seconds == pytest.approx(named(size)["neighbors test→train"].seconds)
    assert 30 < found.seconds < 90
    assert found.memory < 4_000_000_000
    whole = 2 * size.logits
    assert whole <= found.read * found.count <= whole + found.count * 2 * 50_000 * 10 * 20
    assert found.returned == 8 * 50 * 50_000


def test_the_verb_prints_a_line_per_step_and_json():
    command = ["estimate", "--train", 50_000, "--test", 10_000, "--classes", 10, "--runs", 500, "--size", 32]
    done = invoke(*command, "--cores", 4)
    assert done.exit_code == 0, done.output
    assert "600 MB of logits" in done.stdout
    lines = {line[:26].strip(): line[26:].split() for line in done.stdout.splitlines()}
    found = json.loads(invoke(*command, "--json").stdout)
    *built, within = found["steps"]
    assert lines["a build"][0] == f"{sum(step['seconds'] for step in built):,.0f}"
    assert lines["more: within train"][0] == f"{within['seconds']:,.0f}"
    assert found["blocks"]["count"] * found["blocks"]["seconds"] == pytest.approx(built[3]["seconds"])


def test_units_suit_the_numbers():
    assert [time_of(seconds) for seconds in (3, 250, 9000, 400_000)] == [
        "3 s",
        "4.2 min",
        "2.5 h",
        "4.6 days",
    ]
    assert [size_of(count) for count in (0, 12_300_000, 266e9, 2e12)] == ["0 MB", "12 MB", "266 GB", "2 TB"]


def test_the_table_of_the_document_is_what_is_estimated():
    text = (ROOT / "docs/cluster.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    table = {name: [cell.replace(",", "") for cell in cells] for name, *cells in rows}
    sizes = [Size(1_281_167, 50_000, 1000, runs) for runs in (10, 100)]
    sizes += [replace(CIFAR10, runs=runs) for runs in (500, 5000)] + [Size(1_000_000, 50_000, 10, 20)]
    for column, size in enumerate(sizes):
        *built, within = steps(size, 4_000_000_000)
        across = built[3].seconds
        rest = sum(step.seconds for step in built) - across
        found = {
            "core-seconds: neighbors": across,
            "core-seconds: the rest": rest,
            "neighbors within training: core-seconds": within.seconds,
        }
        for name, seconds in found.items():
            assert float(table[name][column]) == pytest.approx(seconds, rel=0.02), (name, size)
        count = blocks(size, 60, 4_000_000_000).count
        assert table["blocks of about 60 core-seconds"][column].split()[0] == str(count)
