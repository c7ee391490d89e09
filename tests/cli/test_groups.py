"""The verb `groups`: what was planted is found, written in three forms, within one split, by pixels too."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest

from tests.support.command import invoke
from tests.support.planted import CLASS_NAMES, write_parquet

COLUMNS = [
    "group", "size", "is_mixed", "crosses", "split", "index", "label", "similarity", "is_medoid",
    "class_name",
]  # fmt: skip


@pytest.fixture
def source(source_folder, planted, cache):
    """The planted source, in which the images of one planted pair alone are equal, mirrored and shifted."""
    rng = np.random.default_rng(5)
    test, train = (rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8) for n in (40, 130))
    test[1, :, 1:] = train[21, :, :-1]
    test[0] = train[100, :, ::-1]
    write_parquet(source_folder / "train.parquet", train, planted.train_labels, CLASS_NAMES)
    write_parquet(source_folder / "test.parquet", test, planted.test_labels, CLASS_NAMES)
    return source_folder


def members(table):
    """The members of each group, the example to keep first."""
    names = table["split"] + ":" + table["index"].astype(str)
    return [names[rows].tolist() for rows in table.groupby("group").groups.values()]


def test_planted_pairs_are_the_groups_in_csv_parquet_and_json(source, planted, tmp_path):
    done = invoke(
        "groups", source, "--threshold", 0.9, "--csv", tmp_path / "g.csv", "--parquet", tmp_path / "g.parquet"
    )
    assert done.exit_code == 0, done.stderr
    sentence = (
        "by Kernel of at least 0.9 (test→train, test→test, train→train): 5 groups hold 10 of 170 examples"
    )
    assert sentence in done.stdout
    assert "nearest neighbors by kernel" in done.stderr, "the missing directions are built"
    table = pd.read_csv(tmp_path / "g.csv")
    assert list(table) == COLUMNS
    found = members(table)
    assert found[0] == ["test:7", "train:53"], "mixed labels come first"
    pairs = {**planted.exact, **planted.near}
    assert sorted(found) == sorted([f"test:{i}", f"train:{j}"] for i, j in pairs.items())
    assert table["is_mixed"].tolist() == [True] * 2 + [False] * 8
    assert table["class_name"].tolist()[:2] == [CLASS_NAMES[2], CLASS_NAMES[3]]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "g.parquet"), table)

    written = json.loads(invoke("groups", source, "--threshold", 0.9, "--json").stdout)
    assert written["directions"] == ["test→train", "test→test", "train→train"]
    assert (written["similarity"], written["pairs"], written["full_lists"]) == ("kernel", 5, 0)
    assert [[f"{m['split']}:{m['index']}" for m in g["members"]] for g in written["groups"]] == found
    assert (written["groups"][0]["keep_split"], written["groups"][0]["keep_index"]) == ("test", 7)
    mixed = invoke(
        "groups", source, "--threshold", 0.9, "--labels", "different", "--class", "cat", "--csv", "-"
    )
    assert members(pd.read_csv(io.StringIO(mixed.stdout))) == found[:1]
    assert "1 of these groups pass the filter" in mixed.stderr
    lines = invoke("groups", source, "--threshold", 0.9, "--top", 2)
    assert lines.stdout.splitlines()[2].split()[-2:] == ["test:7", "train:53"]
    assert len(lines.stdout.splitlines()) == 4
    assert "3 more; --top 5 lists them all" in lines.stderr


def test_aligned_pixels_keep_the_pairs_whose_images_fit(source):
    done = invoke("groups", source, "--threshold", 0.9, "--aligned-pixels", 0.99, "--json")
    found = json.loads(done.stdout)
    assert {g["keep_index"] for g in found["groups"]} == {0, 1}
    assert found["aligned_pixels"] == 0.99


def test_within_one_split_builds_and_counts_that_alone(source, tmp_path):
    done = invoke("groups", source, "--within", "train", "--csv", tmp_path / "g.csv")
    assert done.exit_code == 0, done.stderr
    assert "(train→train): " in done.stdout
    assert re.search(r"hold\w* \d+ of 130 examples \(with mixed labels", done.stdout)
    assert set(pd.read_csv(tmp_path / "g.csv")["split"]) == {"train"}
    assert "test→" not in invoke("cache", "list").stdout


def test_only_one_result_goes_to_stdout(source):
    done = invoke("groups", source, "--threshold", 0.9, "--csv", "-")
    assert done.stdout.splitlines()[0] == ",".join(COLUMNS)
    refused = invoke("groups", source, "--threshold", 0.9, "--parquet", "-", "--json")
    assert refused.exit_code == 2
    assert "write all but one to a file" in refused.stderr
