"""Pages of a source with nine similarities: each page takes any of them, those that compare any two."""

import pytest

from kernel_core.pipeline import build
from kernel_core.sources.source import SourceRequest
from pages.ui.shell import PAGES
from pages.ui.wording import escape
from tests.support.app import cells, open_page, text_of
from tests.support.similarities import SCORES, write_rich_source


@pytest.fixture
def rich(source_folder, cache, monkeypatch):
    write_rich_source(source_folder)
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    return build(SourceRequest(str(source_folder)))


@pytest.mark.parametrize("page", [page for group in PAGES.values() for page in group])
def test_every_page_opens(page, rich):
    app = open_page(page)
    for key in ("by", "one", "other"):
        try:
            chooser = app.get_by_key(key)
        except KeyError:
            continue
        assert "CLIP ViT-B/32 (dot product)" in chooser.options
        offered = set(chooser.options) & {rich.title_of(name) for name in rich.names}
        assert len(offered) == 9 - (key == "other")


@pytest.mark.parametrize("by", ["clip", "clip-euclidean", "clip-dot", "trak", "order"])
@pytest.mark.parametrize("page", ["near_duplicates", "failure_modes", "similarities"])
def test_page_of_one_similarity_takes_any(page, by, rich):
    assert open_page(page, by=by).get_by_key("by").value == by


@pytest.mark.parametrize(("one", "other"), [("clip-dot", "trak"), ("order", "kernel"), ("pixels", "clip")])
@pytest.mark.parametrize("page", ["disagreement", "feature_pairs", "random_examples"])
def test_page_of_two_takes_any_two(page, one, other, rich):
    app = open_page(page, by=one, other=other)
    assert (app.get_by_key("by").value, app.get_by_key("other").value) == (one, other)


def test_example_shows_up_to_four_lists_that_the_address_names(rich):
    assert len(cells(open_page("example", example="test:3"), "lists")) == 4
    app = open_page("example", example="test:3", by="trak,nonsense,order")
    first, second = cells(app, "lists")
    assert first["head"].startswith("TRAK\n")
    assert first["groups"][0]["tiles"][0]["note"].startswith(f"{SCORES[3].max():.3f} · ")
    assert len(second["groups"][0]["tiles"]) == 6, "as many as are given"
    assert "by=trak,order" in first["groups"][0]["tiles"][0]["href"]
    many = ",".join(rich.neighbors)
    assert len(cells(open_page("example", example="test:3", by=many), "lists")) == 4
    assert app.get_by_key("by").value == ["trak", "order"]


def test_example_of_the_training_set_says_what_is_not_given(rich):
    app = open_page("example", example="train:3", by="trak,order", among="test")
    assert len(cells(app, "lists")) == 1
    assert "a matrix of scores would tell the rest" in text_of(app)


def test_pair_has_a_row_per_similarity(rich):
    table = open_page("pair", a="test:3", b="train:9").table[0].value
    assert table["similarity"].tolist() == [escape(rich.title_of(name)) for name in rich.neighbors]
    assert table["value"].iloc[-3] == f"{SCORES[3, 9]:.4f}"


def test_variant_that_is_not_built_offers_its_build_and_then_is_a_choice(rich, source_folder):
    app = open_page("near_duplicates", by="kernel.raw")
    assert app.code[0].value == f"kernel-explorer build {source_folder} --similarity kernel.raw"
    assert "Kernel (raw logits)" in [element.value for element in app.header]
    expected = build(SourceRequest(str(source_folder), similarities=("kernel.raw",)))
    app = open_page("near_duplicates", by="kernel.raw")
    assert "not built yet" not in text_of(app)
    assert len(cells(app, "pairs")) == 40
    best = expected.neighbors["kernel.raw"].values[:, 0].max()
    assert cells(app, "pairs")[0]["head"] == f"#1  ·  {best:.3f}"
    for page in ("disagreement", "random_examples", "feature_pairs"):
        assert open_page(page, by="kernel.raw").get_by_key("by").value == "kernel.raw"


@pytest.mark.parametrize(
    "by", ["kernel.first-25", "kernel.first-1", "kernel.classes-9", "kernel.soft", "dino"]
)
def test_variant_that_there_cannot_be_is_the_default(rich, by):
    assert open_page("near_duplicates", by=by).get_by_key("by").value == "kernel"


def test_variant_is_put_together_beside_the_choice(rich):
    app = open_page("near_duplicates")
    app.get_by_key("by_values").set_value("centred")
    app.get_by_key("by_whitened").set_value(True)
    app.get_by_key("by_classes").set_value(["cat", "ant"])
    app.get_by_key("by_runs").set_value(10).run()
    name = "kernel.first-10.centred.classes-0-2.whitened"
    assert f"`{name}`" in text_of(app)
    app.get_by_key("by_show").click().run()
    assert dict(app.query_params)["by"] == name
    assert name in app.code[0].value


def test_common_shift_is_offered_as_an_experiment_without_classes(rich):
    app = open_page("near_duplicates")
    app.get_by_key("by_classes").set_value(["cat"])
    app.get_by_key("by_values").set_value("shift").run()
    assert not app.exception
    assert "`kernel.shift`" in text_of(app)
    app.get_by_key("by_show").click().run()
    assert "Kernel (common shift, experimental)" in [header.value for header in app.header]


@pytest.mark.parametrize(("by", "said"), [("trak", "are not distances"), ("clip", "is not built")])
def test_map_by_another_similarity_is_offered_or_refused(rich, by, said):
    assert said in text_of(open_page("map", by=by))
