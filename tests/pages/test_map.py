"""The threshold page and the map, run by Streamlit's own test driver."""

import base64
import json

import numpy as np
import pytest
import streamlit as st

from kernel_core.findings.pairs import default_rank_window, label_mismatches, nearest_pairs
from kernel_core.pipeline import build
from kernel_core.results.keys import plan_keys
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from pages.ui import jobs, lists, load, small_map
from pages.ui.components.map import palette
from tests.support.app import data_of, open_page, text_of
from tests.support.planted import CLASS_NAMES, write_log, write_parquet


def array(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


@pytest.fixture
def source(source_folder, cache, monkeypatch):
    """The planted source, built; served."""
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    st.cache_resource.clear()  # this content, too, may have had a map in an earlier test
    return build(SourceRequest(str(source_folder)))


@pytest.fixture
def mapped(source, source_folder, cache):
    """The same with a map in which point i lies at (i, i / 2) and is nearest to the next five."""
    store, request = Store(cache), SourceRequest(str(source_folder))
    plan = plan_keys(open_source(request), request, store)
    xy = np.arange(170, dtype=np.float32)[:, None] * np.array([1, 0.5], np.float32)
    nearest = (np.arange(170)[:, None] + np.arange(1, 6)) % 170
    arrays = {"xy": xy, "nearest": nearest.astype(np.int32)}
    store.write("map", plan.map("kernel"), arrays, {"counts": (40, 130), "kept": 0.123}, about="planted")
    return source


@pytest.mark.parametrize("by", ["kernel", "penultimate", "penultimate-euclidean", "pixels"])
def test_similarity_page_sends_every_value_and_the_ranks_of_each_bar(source, by):
    app = open_page("similarities", by=by)
    pairs = nearest_pairs(source.neighbors_by(by), *source.labels)
    data = data_of(app, "threshold_chart")
    np.testing.assert_array_equal(array(data["values"], np.float32), pairs["similarity"].to_numpy(np.float32))
    same = pairs["query_label"] == pairs["database_label"]
    np.testing.assert_array_equal(array(data["agrees"], np.uint8), same)
    assert sum(data["counts"]) == 40
    assert (data["first"][-1], data["last"][0]) == (1, 40)
    assert data["curve"]["cumulative"][-1] == pytest.approx(same.mean(), abs=1e-4)
    assert data["href"] == f"near_duplicates?by={by}"


def test_threshold_is_taken_from_the_address_and_belongs_to_its_similarity(source):
    app = open_page("similarities", threshold=0.25)
    assert data_of(app, "threshold_chart")["threshold"] == 0.25
    app.get_by_key("by").set_value("pixels").run()
    assert not app.exception
    pixels = nearest_pairs(source.neighbors_by("pixels"), *source.labels)
    first, _ = default_rank_window(40)
    expected = pixels["similarity"].iloc[first - 1]
    assert data_of(app, "threshold_chart")["threshold"] == pytest.approx(expected, abs=1e-4)
    app.get_by_key("threshold").set_value(-5.0).run()
    assert data_of(app, "threshold_chart")["threshold"] == -5.0


@pytest.mark.parametrize("wrong", ["abc", "nan", "1e999"])
def test_threshold_that_is_no_number_becomes_the_usual_one(source, wrong):
    app = open_page("similarities", threshold=wrong)
    assert data_of(app, "threshold_chart")["threshold"] == pytest.approx(
        open_page("similarities").get_by_key("threshold").value
    )


def test_map_page_sends_points_in_the_order_test_then_train(mapped):
    data = data_of(open_page("map"), "map")
    xy = array(data["xy"], np.uint16).reshape(-1, 2)
    assert xy[[0, -1]].tolist() == [[0, 0], [65535, 32768]]
    np.testing.assert_array_equal(
        array(data["labels"], np.uint8),
        np.concatenate([mapped.examples[s].labels for s in ("test", "train")]),
    )
    assert (data["tests"], data["names"]) == (40, list(CLASS_NAMES))
    assert len(json.dumps(data)) < 8 * 170 + 3_000


def test_map_page_says_how_little_two_dimensions_keep(mapped):
    text = text_of(open_page("map"))
    assert "12.3%" in text
    assert "mean nothing" in text


def test_map_page_marks_the_example_and_the_class_in_the_address(mapped):
    data = data_of(open_page("map", example="train:7", only="dog", show="test"), "map_answer")
    assert (data["selected"], data["only"], data["show"]) == (47, 3, "test")
    data = data_of(open_page("map", only="unicorn", show="all"), "map_answer")
    assert (data["selected"], data["only"], data["show"], data["answer"]) == (-1, -1, "both", None)


def test_map_finds_examples_and_classes_as_people_write_them(mapped):
    app = open_page("map")
    app.get_by_key("map_find").set_value("TRAIN 7").run()
    assert data_of(app, "map_answer")["selected"] == 47
    app.get_by_key("map_find").set_value("Dog").run()
    assert (data_of(app, "map_answer")["only"], dict(app.query_params)) == (3, {"only": "dog"})
    app.get_by_key("map_find").set_value("dogg").run()
    assert "no class. Did you mean dog?" in app.warning[0].value


def marked_in(app):
    """The points that the map marks, and the parameter that names them."""
    sent = data_of(app, "map_answer")["marks"]
    return np.flatnonzero(np.unpackbits(array(sent["bits"], np.uint8), bitorder="little")).tolist(), sent[
        "text"
    ]


def test_map_page_marks_named_examples_and_those_of_a_list(mapped):
    points, text = marked_in(open_page("map", names="test:7,3;train:0-1,129"))
    assert (points, text) == ([3, 7, 40, 41, 169], "names=test:7,3;train:0-1,129")
    conflicts = label_mismatches(mapped.neighbors_by("kernel"), *mapped.labels)["query_index"]
    app = open_page("map", list="failure_modes:kernel")
    assert marked_in(app)[0] == sorted(conflicts)
    assert data_of(app, "map_answer")["marks"]["title"] == "label conflicts by Kernel"
    assert marked_in(open_page("map")) == ([], "")


def test_map_page_marks_what_a_lasso_holds(mapped):
    corners = "0,0,12000,0,12000,9000,0,9000"  # point i lies at (388 i, 194 i)
    points, _ = marked_in(open_page("map", lasso=f"kernel:both:{corners}"))
    assert points == list(range(31))
    dogs = np.concatenate([mapped.examples[split].labels for split in ("test", "train")]) == 3
    around = "-9,-9,99999,-9,99999,99999,-9,99999"
    points, _ = marked_in(open_page("map", lasso=f"kernel:train:{around}:dog"))
    assert points == [point for point in np.flatnonzero(dogs).tolist() if point >= 40]
    here = lists.place(mapped, "train", points[0] - 40, f"lasso:kernel:train:{around}:dog")
    assert (here.position, here.total, here.next) == (1, len(points), f"train:{points[1] - 40}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": "test:40"},
        {"list": "nonsense:kernel"},
        {"lasso": "kernel:both:1,2,3,4"},
        {"lasso": "kernel:both:1,2,3,4,5,6,7"},
        {"lasso": "pixels:both:1,2,3,4,5,6"},
        {"lasso": "kernel:both:1,2,3,4,5,6:unicorn"},
    ],
)
def test_map_page_says_what_is_wrong_with_marks(mapped, wrong):
    app = open_page("map", **wrong)
    assert app.warning[0].value.startswith("Nothing is marked")
    assert marked_in(app)[0] == []


@pytest.mark.parametrize("wrong", ["test:40", "train:-1", "valid:3", "abc", "test:²"])
def test_map_page_of_an_unknown_example_says_what_there_is(mapped, wrong):
    app = open_page("map", example=wrong)
    assert "test:0 … test:39 or train:0 … train:129" in app.warning[0].value
    assert data_of(app, "map_answer")["selected"] == -1


def test_map_page_finds_an_example_by_its_number(mapped):
    app = open_page("map")
    app.get_by_key("map_find").set_value("12").run()
    assert app.query_params["example"] in ("test:12", ["test:12"])
    assert data_of(app, "map_answer")["selected"] == 12


def test_map_that_is_not_there_is_offered(source, source_folder):
    app = open_page("map")
    assert "is not built" in text_of(app)
    assert app.get_by_key("build").label == "Build it now"
    assert f"kernel-explorer map {source_folder}" in app.code[0].value


@pytest.mark.parametrize(("asked", "limit", "starts"), [("1", 170, 1), ("1", 169, 0), ("", 170, 0)])
def test_small_source_has_its_map_built_once_it_is_served(source, monkeypatch, asked, limit, starts):
    started = []
    monkeypatch.setattr(jobs.Jobs, "start", lambda self, *what, in_background: started.append(what))
    monkeypatch.setattr(small_map, "LIMIT", limit)
    monkeypatch.setenv(small_map.ASKED, asked)
    open_page("overview")
    load._prepare_soon(source.id).join()
    assert started == [(load.request_of("kernel"), "map")] * starts


def test_map_that_is_there_is_not_built_again(mapped, monkeypatch):
    monkeypatch.setattr(jobs.Jobs, "start", None)
    monkeypatch.setenv(small_map.ASKED, "1")
    small_map.build(mapped, load.request_of("kernel"), jobs.Jobs())


def test_damaged_map_is_offered_again(mapped, cache):
    path = next(cache.glob("map/*"))
    path.write_bytes(path.read_bytes()[:-9])
    assert "is not built" in text_of(open_page("map"))


def test_source_of_few_examples_has_no_map_but_a_similarity_page(tmp_path, cache, monkeypatch):
    rng = np.random.default_rng(0)
    for split, labels in (("train", np.arange(8) % 2), ("test", np.array([0]))):
        images = rng.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
        write_parquet(tmp_path / f"{split}.parquet", images, labels, ("a", "b"))
    write_log(
        tmp_path / "log.pt", rng.normal(size=(5, 1, 2)).astype("f2"), rng.normal(size=(5, 8, 2)).astype("f2")
    )
    (tmp_path / "source.toml").write_text(
        '[images]\ntrain = "train.parquet"\ntest = "test.parquet"\n[ensemble]\nfiles = ["log.pt"]\n'
    )
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(tmp_path))
    build(SourceRequest(str(tmp_path)))
    assert "at least 16" in open_page("map").info[0].value
    data = data_of(open_page("similarities"), "threshold_chart")
    assert (data["counts"], data["first"], data["last"]) == ([1], [1], [1])
    assert open_results(SourceRequest(str(tmp_path))).name == tmp_path.name


@pytest.mark.parametrize("classes", [1, 2, 10, 11, 100, 1000])
def test_every_class_has_a_color_of_its_own(classes):
    colors = palette(classes)
    assert len(set(colors)) == classes
    assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in colors)
