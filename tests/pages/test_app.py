"""Each page run by Streamlit's own test driver, from app.py as the server does."""

import os

import pytest

from kernel_core.findings.disagreement import label_agreement
from kernel_core.findings.pairs import label_mismatches, nearest_pairs, random_queries, rank_window
from kernel_core.pipeline import build
from kernel_core.results.nearby import Nearby
from kernel_core.sources.source import SourceRequest
from pages.ui import load
from pages.ui.components.gallery import tile_size
from tests.support.app import cells, heading_of, open_page, text_of, tiles
from tests.support.planted import image_folder

PAGES = ["overview", "near_duplicates", "failure_modes", "example", "pair", "random_examples"]


def test_near_duplicates_shows_48_pairs_of_the_default_window(digits):
    app = open_page("near_duplicates")
    expected = rank_window(nearest_pairs(digits.neighbors_by("kernel"), *digits.labels), 31, 78)
    shown = cells(app, "pairs")
    assert [cell["id"] for cell in shown] == expected["query_index"].tolist()
    assert len(shown) == 48
    first = shown[0]["groups"][0]["tiles"]
    assert [tile["note"] for tile in first] == [
        f"test {expected['query_index'].iloc[0]}", f"train {expected['database_index'].iloc[0]}",
    ]  # fmt: skip
    assert (shown[0]["head"], shown[0]["values"][0][2]) == ("#31", f"{expected['similarity'].iloc[0]:.3f}")
    assert all(tile["alt"] and tile["src"].startswith("data:image/png;base64,") for tile in first)


def test_near_duplicates_steps_by_the_window(digits):
    app = open_page("near_duplicates")
    app.get_by_key("next").click().run()
    assert (app.get_by_key("first").value, app.get_by_key("last").value) == (79, 126)
    assert cells(app, "pairs")[0]["head"] == "#79"
    for _ in range(2):
        app.get_by_key("previous").click().run()
    assert (app.get_by_key("first").value, app.get_by_key("last").value) == (31 - 30, 48)


def test_near_duplicates_window_from_the_address(digits):
    app = open_page("near_duplicates", first=490, last=500, by="pixels")
    pixels = nearest_pairs(digits.neighbors_by("pixels"), *digits.labels)
    assert [cell["id"] for cell in cells(app, "pairs")] == pixels["query_index"].tolist()[489:]


def test_near_duplicates_filter_by_class_and_label(digits):
    app = open_page("near_duplicates", first=1, last=500)
    app.get_by_key("labels").set_value("different").run()
    mismatches = label_mismatches(digits.neighbors_by("kernel"), *digits.labels)
    assert [cell["id"] for cell in cells(app, "pairs")] == mismatches["query_index"].tolist()
    assert all(cell["groups"][0]["tiles"][1]["differs"] for cell in cells(app, "pairs"))
    app.get_by_key("labels").set_value("all").run()
    app.get_by_key("class").set_value("3").run()
    pairs = nearest_pairs(digits.neighbors_by("kernel"), *digits.labels)
    count = ((pairs["query_label"] == 3) | (pairs["database_label"] == 3)).sum()
    assert f"{count} pairs" in text_of(app)
    assert len(cells(app, "pairs")) == min(count, 96)


def test_near_duplicates_leaves_a_page_that_the_filter_emptied(digits):
    app = open_page("near_duplicates", first=1, last=500, page=6)
    assert cells(app, "pairs")[0]["head"] == "#481"
    app.get_by_key("class").set_value("3").run()
    assert not app.exception
    assert cells(app, "pairs"), "pairs are shown"
    app.get_by_key("labels").set_value("different").run()
    assert not app.exception
    assert cells(app, "pairs")


def test_near_duplicates_window_upside_down_is_explained(digits):
    app = open_page("near_duplicates", first=90, last=80)
    assert "is above the last" in app.error[0].value


def test_failure_modes_shows_rows_of_one_and_nine(digits):
    app = open_page("failure_modes")
    mismatches = label_mismatches(digits.neighbors_by("kernel"), *digits.labels)
    shown = cells(app, "failures")
    assert [cell["id"] for cell in shown] == mismatches["query_index"].tolist()[:8]
    for cell in shown:
        assert [len(group["tiles"]) for group in cell["groups"]] == [1, 9]
        assert cell["groups"][1]["tiles"][0]["differs"]
        predicted = digits.class_names[digits.predictions.predicted[cell["id"]]]
        assert f"the ensemble predicts {predicted}" in cell["head"]
        assert f"{digits.predictions.confidence[cell['id']]:.0%}" in cell["head"]


def test_failure_modes_shows_more_on_demand_and_filters_by_label_pair(digits):
    app = open_page("failure_modes", by="penultimate")
    total = len(label_mismatches(digits.neighbors_by("penultimate"), *digits.labels))
    assert total > 8
    assert len(cells(app, "failures")) == 8
    app.get_by_key("more").click().run()
    assert len(cells(app, "failures")) == min(16, total)
    options = app.get_by_key("labels_differ").options
    app.get_by_key("labels_differ").select_index(1).run()
    assert not app.exception
    label, other = options[1].split(" ≠ ")
    for cell in cells(app, "failures"):
        assert cell["groups"][0]["tiles"][0]["label"] == label
        assert cell["groups"][1]["tiles"][0]["label"] == other


def test_random_examples_are_those_of_the_seed(digits):
    app = open_page("random_examples", seed=5, k=3)
    shown = cells(app, "random")
    assert [cell["id"] for cell in shown] == random_queries(500, 5).tolist()
    assert [len(group["tiles"]) for group in shown[0]["groups"]] == [1, 3, 3]
    app.get_by_key("another").click().run()
    assert app.get_by_key("seed").value != 5
    assert [cell["id"] for cell in cells(app, "random")] != [cell["id"] for cell in shown]


def test_random_examples_say_how_often_labels_agree(digits):
    app = open_page("random_examples")
    shown = {metric.label: metric.value for metric in app.metric}
    for name, title in (("kernel", "Kernel"), ("penultimate", "Features (cosine)")):
        share = label_agreement(digits.neighbors_by(name), *digits.labels, 2)
        assert shown[title] == f"{share:.1%}"


def test_tiles_and_pairs_are_links_that_take_their_list_along(digits):
    app = open_page("near_duplicates", by="pixels")
    cell = cells(app, "pairs")[0]
    test, train = (tile["example"] for tile in tiles(cell))
    assert test == f"test:{cell['id']}"
    assert [tile["href"] for tile in tiles(cell)] == [
        f"example?example={name}&list=near_duplicates:pixels" for name in (test, train)
    ]
    assert cell["pair"] == f"pair?a={test}&b={train}&list=near_duplicates:pixels"


def test_example_shows_the_builds_neighbors_by_every_similarity(digits):
    app = open_page("example", example="test:123", k=7)
    shown = cells(app, "lists")
    assert [len(tiles(cell)) for cell in shown] == [7] * 4
    for cell, neighbors in zip(shown, digits.neighbors.values(), strict=True):
        assert [tile["example"] for tile in tiles(cell)] == [f"train:{i}" for i in neighbors.indices[123, :7]]
        same = (digits.labels[1][neighbors.indices[123, :7]] == digits.labels[0][123]).sum()
        assert f"{same} of 7 have its label" in cell["head"]
    kernel, pixels = digits.neighbors_by("kernel").indices[123], digits.neighbors_by("pixels").indices[123]
    common = len(set(kernel[:7]) & set(pixels[:7]))
    assert f"{common} of 7 also the kernel's" in shown[3]["head"]
    at = kernel.tolist().index(pixels[0]) + 1 if pixels[0] in kernel else None
    assert f"Kernel #{at}" in tiles(shown[3])[0]["note"] or at is None
    assert tiles(shown[0])[0]["href"] == f"example?example=train:{kernel[0]}&trail=test:123&k=7"
    assert tiles(shown[0])[0]["pair"] == f"pair?a=test:123&b=train:{kernel[0]}"


@pytest.mark.parametrize(
    ("example", "among"), [("test:9", "test"), ("train:5", "train"), ("train:5", "test")]
)
def test_example_shows_neighbors_that_no_build_keeps(digits, example, among):
    app = open_page("example", example=example, among=among)
    for cell in cells(app, "lists"):
        names = [tile["example"] for tile in tiles(cell)]
        assert len(set(names)) == 10
        assert all(name.startswith(among) for name in names)
        assert example not in names


def test_what_neighbors_on_demand_need_is_prepared_before_the_first_click(digits, monkeypatch):
    for cached in (load.nearby, load._prepare_soon, load.nearest):
        cached.clear()
    open_page("overview")
    load._prepare_soon(digits.id).join(20)
    monkeypatch.setattr(Nearby, "_read_values", None)  # nothing is left to be read
    assert len(cells(open_page("example", example="train:5"), "lists")) == 4


def test_what_is_prepared_later_comes_from_the_cache_of_the_results(source_folder, cache, monkeypatch):
    """Its thread runs on after the page is drawn, and must not write to a cache named since."""
    results = build(SourceRequest(str(source_folder)))
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    open_page("overview")
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", str(cache / "another"))
    load._prepare_soon(results.id).join(20)
    assert not (cache / "another").exists()


def test_example_says_what_the_ensemble_says(digits):
    app = open_page("example", example="train:17")
    said = digits.predictions_of["train"]
    assert f"mean probability {said.confidence[17]:.0%}" in text_of(app)
    assert f"{said.votes_for(said.predicted)[17]} of 256 runs vote for it" in text_of(app)
    bars = next(element.value for element in app.html if 'class="verdict-classes"' in element.value)
    assert f"{said.mean[17].max():.1%} ± {said.spread[17, said.mean[17].argmax()]:.1%}" in bars


def test_trail_is_a_way_back(digits):
    app = open_page("example", example="test:9", trail="test:3,nonsense,train:4,test:99999,test:9,train:8")
    crumbs = tiles(cells(app, "trail")[0])
    assert [tile["example"] for tile in crumbs] == ["test:3", "train:4", "test:9"]
    assert [tile["href"] for tile in crumbs] == [
        "example?example=test:3",
        "example?example=train:4&trail=test:3",
        "example?example=test:9&trail=test:3,train:4",
    ]
    long = ",".join(f"train:{i}" for i in range(40))
    app = open_page("example", example="test:9", trail=long)
    assert len(tiles(cells(app, "trail")[0])) == 13


def test_next_and_previous_follow_the_list_of_the_address(digits):
    order = nearest_pairs(digits.neighbors_by("pixels"), *digits.labels)["query_index"].tolist()
    app = open_page("example", example=f"test:{order[5]}", list="near_duplicates:pixels")
    assert "#6 of 500 in near-duplicates by Pixels" in text_of(app)
    app.get_by_key("next").click().run()
    assert app.query_params["example"] == f"test:{order[6]}"
    app.get_by_key("previous").click().run()
    app.get_by_key("previous").click().run()
    assert app.query_params["example"] == f"test:{order[4]}"
    app = open_page("example", example="train:0", list="near_duplicates:nonsense")
    assert "The address has “list=near" in text_of(app)
    assert "#1 of 1,297 in the train split" in text_of(app)
    assert app.get_by_key("previous").disabled


def test_typed_example_opens_or_is_refused(digits):
    app = open_page("example", example="test:3")
    app.get_by_key("typed").set_value("train:12").run()
    assert (app.query_params["example"], app.query_params["trail"]) == ("train:12", "test:3")
    app.get_by_key("typed").set_value("train:1297").run()
    assert "'train:1297' is out of range; expected test:0 … test:499" in app.warning[0].value
    assert app.query_params["example"] == "train:12"
    app.get_by_key("typed").set_value("77").run()
    assert (app.query_params["example"], app.query_params["trail"]) == ("test:77", "test:3,train:12")
    app.get_by_key("typed").set_value("class 4").run()
    assert dict(app.query_params) == {"label": "4"}
    assert app.title[0].value == "All examples"


@pytest.mark.parametrize("wrong", ["test:500", "train:1297", "abc", "test:-1", "test:²", "test:" + "9" * 50])
@pytest.mark.parametrize(("page", "parameter"), [("example", "example"), ("pair", "a"), ("pair", "b")])
def test_example_out_of_range_is_explained(digits, page, parameter, wrong):
    app = open_page(page, **{parameter: wrong})
    assert "expected test:0 … test:499 or train:0 … train:1296" in app.warning[0].value
    app.get_by_key(f"reset_{parameter}").click().run()
    assert not app.exception
    assert not app.warning


def test_pair_has_its_rank_from_both_sides(digits):
    train = int(digits.neighbors_by("kernel").indices[123, 2])
    app = open_page("pair", a="test:123", b=f"train:{train}")
    there, back = (
        app.table[0].value,
        open_page("pair", a=f"train:{train}", b="test:123").table[0].value,
    )
    assert there["B among A's nearest in train"].iloc[0] == "#3"
    assert there["value"].iloc[0] == f"{digits.neighbors_by('kernel').values[123, 2]:.4f}"
    assert there.iloc[:, 2].tolist() == back.iloc[:, 3].tolist()
    assert there.iloc[:, 3].tolist() == back.iloc[:, 2].tolist()
    assert len(there) == 4
    same = open_page("pair", a="test:5", b="test:5")
    assert "never its own neighbor" in same.info[0].value


def test_pair_steps_through_the_list_it_is_of(digits):
    pairs = nearest_pairs(digits.neighbors_by("kernel"), *digits.labels)
    names = [(f"test:{p.query_index}", f"train:{p.database_index}") for p in pairs.head(3).itertuples()]
    app = open_page("pair", a=names[1][0], b=names[1][1], list="near_duplicates:kernel")
    app.get_by_key("next").click().run()
    assert (app.query_params["a"], app.query_params["b"]) == names[2]
    app.get_by_key("swap").click().run()
    assert (app.query_params["b"], app.query_params["a"]) == names[2]


def test_old_address_of_an_example_leads_to_its_page(digits):
    app = open_page("near_duplicates", example="test:123")
    assert heading_of(app) == "test:123"


def test_example_of_results_without_rows_offers_them(source_folder, cache, monkeypatch):
    load.nearby.clear()  # an earlier test may have read those of this source
    build(SourceRequest(str(source_folder)))
    for path in (cache / "rows").iterdir():
        path.unlink()
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    app = open_page("example", example="train:3")
    assert len(cells(app, "lists")) == 3
    assert "Kernel" in app.info[0].value
    assert app.get_by_key("prepare_for_neighbors").label == "Prepare it now"
    assert len(cells(open_page("example", example="test:3"), "lists")) == 4


@pytest.mark.parametrize("page", PAGES)
def test_page_without_features_shows_kernel_and_pixels(page, source_folder, cache, monkeypatch):
    text = (source_folder / "source.toml").read_text()
    (source_folder / "source.toml").write_text(text.split("[features]")[0])
    build(SourceRequest(str(source_folder)))
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    app = open_page(page)
    if page == "random_examples":
        assert "features" in app.info[0].value
        assert "--model MODULE:FUNCTION" in app.info[0].value
        assert "under `[features]`" in app.info[0].value
        assert [group["title"] for group in cells(app, "random")[0]["groups"]] == ["test", "Kernel", "Pixels"]
    if page == "near_duplicates":
        assert len(cells(app, "pairs")) == 40


@pytest.mark.parametrize("page", PAGES)
def test_page_of_a_source_not_built_offers_to_build_it(page, source_folder, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    app = open_page(page)
    assert app.header[0].value == "Nothing is built yet"
    assert app.get_by_key("build").label == "Build it now"
    assert f"kernel-explorer build {source_folder}" in app.code[0].value


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("wrong", ["no/such/source.toml", "cifar1000"])
def test_page_of_an_unknown_source_shows_an_error_box(page, wrong, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", wrong)
    app = open_page(page)
    assert "Known: digits, cifar10, cifar100" in app.error[0].value


def test_tiles_are_magnified_a_whole_number_of_times():
    assert tile_size((32, 32), 96) == (96, 96, "pixelated")
    assert tile_size((28, 28), 96) == (84, 84, "pixelated")
    assert tile_size((224, 112), 96) == (48, 96, "auto")


@pytest.mark.parametrize("images", ["Parquet", "folders"])
def test_source_whose_name_is_no_utf8_is_refused_or_offered(images, source_folder, cache, monkeypatch):
    if images == "folders":
        image_folder(source_folder / "images", {"cat": (8, 8), "dog": (8, 8)})
        text = (source_folder / "source.toml").read_text()
        text = text.replace('train = "train.parquet"\ntest = "test.parquet"', 'folder = "images"')
        (source_folder / "source.toml").write_text(text)
    elsewhere = os.fsdecode(os.fsencode(cache.parent) + b"/caf\xe9")
    os.rename(source_folder, elsewhere)
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", elsewhere)
    app = open_page("near_duplicates")
    if images == "folders":
        assert app.header[0].value == "Nothing is built yet"
        assert r"caf\udce9" in app.code[0].value
    else:
        assert r"caf\udce9/train.parquet cannot be read: its name is not UTF-8" in app.error[0].value
