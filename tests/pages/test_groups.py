"""The page of groups: what was planted is shown, every choice narrows it, and Next walks all members."""

from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from kernel_core.findings.twins import twin_pairs
from kernel_core.pipeline import build
from kernel_core.results.grouping import default_threshold
from kernel_core.sources.source import SourceRequest
from pages.ui import lists, load, names
from pages.ui.panels.group_cells import DRAWN
from tests.support.app import cells, open_page, text_of, tiles


@pytest.fixture
def shown(source_folder, cache, monkeypatch):
    """The planted source, built from test to train, as the pages show it."""
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    return build(SourceRequest(str(source_folder)))


def examples(app):
    """The names of the examples of each group, in the order of the page."""
    return [[tile["example"] for tile in tiles(cell)] for cell in cells(app, "groups")]


def test_planted_pairs_are_shown_and_missing_directions_offered(shown, source_folder, planted):
    app = open_page("groups", threshold=0.9)
    pairs = {**planted.exact, **planted.near}
    assert sorted(examples(app)) == sorted([f"test:{i}", f"train:{j}"] for i, j in pairs.items())
    first = cells(app, "groups")[0]
    assert [tile["kept"] for tile in tiles(first)] == [True, False]
    assert [tile["differs"] for tile in tiles(first)] == [False, True], "mixed labels come first"
    assert first["head"].startswith("#1  ·  0.9")
    assert first["head"].endswith("1 test, 1 train  ·  1 cat, 1 dog")
    assert "pair?a=test:7&b=train:53" in first["pair"]
    said = text_of(app)
    assert "5 groups hold 10 of 170 examples (across the splits: 5; with mixed labels: 1;" in said
    assert "Pairs: test→train." in said
    assert {"groups_test", "groups_train"} <= {button.key for button in app.button}
    for split in ("test", "train"):
        build(SourceRequest(str(source_folder), similarities=("kernel",), query=split, database=split))
    app = open_page("groups", threshold=0.9)
    assert "Pairs: test→train, test→test, train→train." in text_of(app)
    assert not {"groups_test", "groups_train"} & {button.key for button in app.button}
    within = open_page("groups", threshold=0.1, within="train")
    assert "of 130 examples (with mixed labels" in text_of(within)
    assert {name.split(":")[0] for group in examples(within) for name in group} == {"train"}


def test_filters_narrow_the_groups_and_keep_their_numbers(shown):
    mixed = open_page("groups", threshold=0.9, labels="different")
    assert examples(mixed) == [["test:7", "train:53"]]
    assert "**1** of these groups passes the filters." in text_of(mixed)
    of_class = open_page("groups", threshold=0.9, crossing="true", labels="same", **{"class": "elk"})
    assert sorted(examples(of_class)) == [["test:4", "train:64"], ["test:9", "train:129"]]
    assert 1 not in [cell["id"] for cell in cells(of_class, "groups")]
    by_pixels = open_page("groups", threshold=0.9, aligned="true", pixels_at=0.95)
    assert examples(by_pixels) == []
    assert "No two of the 170 examples are linked." in text_of(by_pixels)
    assert open_page("groups", threshold=0.9, aligned="true", pixels_at=-1.0).get_by_key("groups")


def test_large_group_is_drawn_in_part_and_leads_to_the_rest(shown):
    (chain,) = cells(open_page("groups", threshold=-1), "groups")
    assert len(tiles(chain)) == DRAWN
    assert chain["head"].endswith("a chain") or "170" not in chain["more"]
    assert chain["more"] == f"+{170 - DRAWN} more"
    named = parse_qs(urlsplit(chain["more_href"]).query)["names"][0]
    everyone = names.from_text(named, shown.example_counts)
    assert len(everyone) == 170
    assert tiles(chain)[0]["example"] == "{}:{}".format(*everyone[0])


def test_next_walks_all_members_group_by_group(shown):
    app = open_page("groups", threshold=0.9)
    in_order = [name for group in examples(app) for name in group]
    listed = parse_qs(urlsplit(tiles(cells(app, "groups")[0])[0]["href"]).query)["list"][0]
    assert listed == "groups:kernel:0.9"
    load.by_id[shown.id] = shown
    met = [in_order[0]]
    while len(met) < len(in_order):
        split, index = met[-1].split(":")
        met.append(lists.place(shown, split, int(index), listed).next)
    assert met == in_order
    example = open_page("example", example=in_order[1], list=listed)
    assert "#2 of 10 in groups by Kernel of at least 0.9" in text_of(example)
    mixed = "groups:kernel:0.9::different:both:cat"
    assert lists.place(shown, "test", 7, mixed).next == "train:53"
    for wrong in ("groups", "groups:kernel", "groups:kernel:x", "groups:kernel:nan", "groups:kernel:0.9:::x",
                  "groups:kernel:0.9::mixed", "groups:kernel:0.9::::owl", "groups:clip:0.9"):  # fmt: skip
        assert lists.place(shown, "test", 7, wrong).title == "the test split"


def test_download_and_command_give_the_listed_rows(shown, tmp_path):
    from tests.support.command import invoke

    app = open_page("groups", threshold=0.9, labels="different")
    codes = [code.value for code in app.code]
    command = next(code for code in codes if code.startswith("kernel-explorer groups"))
    assert "--threshold 0.9 --labels different" in command
    file = tmp_path / "g.csv"
    words = ["groups", shown_source(command), "--threshold", 0.9, "--labels", "different", "--csv", file]
    assert invoke(*words).exit_code == 0
    assert pd.read_csv(file)["index"].tolist() == [7, 53]


def shown_source(command):
    """The source that a command names."""
    return command.split()[2].strip("'")


def test_pairs_can_be_linked_by_their_twin_score(shown, source_folder):
    app = open_page("groups", order="twin", threshold=0.7)
    scores = results_pairs(shown)
    linked = {f"test:{query}" for query in scores.loc[scores["twin"] >= 0.7, "query_index"]}
    named = {name for group in examples(app) for name in group}
    assert linked
    assert linked == {name for name in named if name.startswith("test")}
    listed = parse_qs(urlsplit(tiles(cells(app, "groups")[0])[0]["href"]).query)["list"][0]
    assert listed == "twin_groups:kernel:0.7"
    assert set(lists.ranked(shown.id, listed).order) == {int(name.split(":")[1]) for name in named}
    by_default = open_page("groups", order="twin")
    assert by_default.number_input(key="threshold").value == default_threshold(shown, "kernel", "twin")
    build(SourceRequest(str(source_folder), similarities=("kernel",), query="test", database="test"))
    said = text_of(open_page("groups", order="twin", within="test", threshold=0.7))
    assert "Pixels are not aligned yet for pairs test→test; the twin score needs that." in said
    assert "Until then, they are not linked." in said


def results_pairs(results):
    """Each test example's twin, with its score."""
    return twin_pairs(results.neighbors_by("kernel"), results.aligned["kernel"], *results.labels)
