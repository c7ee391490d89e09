"""Pages within one split: each pair once, words and links of that split, and the build of what is missing."""

import pytest

from kernel_core.findings.pairs import nearest_pairs
from kernel_core.pipeline import build
from kernel_core.results.directions import in_direction
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from tests.support.app import cells, open_page, text_of

PAGES = ["near_duplicates", "failure_modes", "similarities", "disagreement"]


@pytest.fixture
def source(source_folder, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    build(SourceRequest(str(source_folder)))
    return str(source_folder)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_built_within_a_split_is_offered(page, source):
    app = open_page(page, within="train")
    assert any(button.label == "Build it now" for button in app.button)
    assert "--query train --database train --similarity kernel" in app.code[0].value


def test_pages_within_the_training_set_speak_of_it_and_carry_it(source):
    request = SourceRequest(source, query="train", database="train")
    for name in ("kernel", "penultimate"):
        build(SourceRequest(source, query="train", database="train", similarities=(name,)))
    results = in_direction(build(SourceRequest(source)), request, Store(), "train", "train")
    pairs = nearest_pairs(results.neighbors_by("kernel"), *results.labels)
    app = open_page("near_duplicates", within="train", first=1, last=9999)
    shown = cells(app, "pairs")
    named = [tuple(tile["example"] for tile in cell["groups"][0]["tiles"]) for cell in shown]
    rows = zip(pairs["query_index"], pairs["database_index"], strict=True)
    assert named == [(f"train:{i}", f"train:{j}") for i, j in rows][:96]
    assert len({frozenset(pair) for pair in named}) == len(named), "a pair stands once"
    assert "&list=near_duplicates@train:kernel" in shown[0]["pair"]
    assert "Left: a training example. Right: its nearest other training example" in text_of(app)
    assert "pairs " + source + " --query train --database train --similarity kernel" in app.code[0].value
    assert ".within('train').pairs(1, " in app.code[1].value
    pair = open_page("pair", a=named[0][0], b=named[0][1], list="near_duplicates@train:kernel")
    pair.get_by_key("next").click().run()
    assert (pair.query_params["a"], pair.query_params["b"]) == named[1]
    for page in PAGES[1:]:
        app = open_page(page, within="train")
        assert not app.exception
        text = text_of(app).replace("the test set", "")
        assert "test example" not in text, page
        assert "training example" in text, page
