"""The app in a real browser: every page of the digits and of CIFAR-10, addresses, keys, a build.

Screenshots are left in test-screenshots/, which git ignores.
"""

import json
import os
import re
from contextlib import ExitStack, contextmanager
from functools import cache

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.support import forked
from tests.support.browser import listen, press, server, settle, shoot, tab, visit
from tests.support.command import ROOT, run_cli
from tests.support.planted import write_log, write_parquet

pytestmark = pytest.mark.browser


PAGES = {
    "overview": "/",
    "near_duplicates": "/near_duplicates",
    "failure_modes": "/failure_modes",
    "random_examples": "/random_examples",
    "example": "/example?example=train:45&trail=test:3,train:9",
    "pair": "/pair?a=test:3",
}
SCROLLED_TO = """y => new Promise((resolve) => {
  const main = document.querySelector("[data-testid=stMain]");
  const look = () => main.scrollTop === y ? resolve() : requestAnimationFrame(look);
  look();
})"""
CELLS = {
    "near_duplicates": ".gallery.pairs .cell",
    "failure_modes": ".gallery.rows .cell",
    "random_examples": ".gallery.columns .cell",
    "example": ".gallery.lists .cell",
}


@pytest.fixture(scope="module")
def loaded(browser, request):
    """Open a page of a source, in one tab per width and scheme: a new tab compiles all scripts again."""
    with ExitStack() as stack:

        @cache
        def tab_of(source, width, scheme):
            url = request.getfixturevalue(f"{source}_url")
            return stack.enter_context(tab(browser, url, width, scheme))

        @contextmanager
        def load(source, name, width, scheme):
            page = tab_of(source, width, scheme)
            visit(page, PAGES[name])
            yield page

        yield load


LOOKS = [
    ("digits", 1400, "light"),
    ("digits", 420, "light"),
    ("cifar10", 1400, "light"),
    ("cifar10", 1400, "dark"),
    pytest.param("digits", 1400, "dark", marks=pytest.mark.slow),
    pytest.param("cifar10", 420, "light", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("source", "width", "scheme"), LOOKS)
def test_page_loads_with_its_tiles(loaded, source, name, width, scheme):
    mismatches = 4 if source == "digits" else 8
    expected = {"near_duplicates": 48, "failure_modes": mismatches, "random_examples": 10, "example": 4}
    with loaded(source, name, width, scheme) as page:
        if name in CELLS:
            cells = page.locator(CELLS[name])
            if (source, name) == ("digits", "failure_modes"):
                expect(cells.first).to_be_visible()
                assert 1 <= cells.count() <= 8
            else:
                expect(cells).to_have_count(expected[name])
            image = cells.first.locator("img").first
            assert image.evaluate("i => i.complete && i.naturalWidth > 0")
            assert image.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
            assert image.evaluate("i => i.getBoundingClientRect().width % i.naturalWidth") == 0
            assert re.match(r"(test|train) example \d+, label ", image.get_attribute("alt"))
        elif name == "pair":
            expect(page.locator(".comparison canvas")).to_have_attribute(
                "data-shows", re.compile("absolute|overlay")
            )
        else:
            page.wait_for_selector("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")
        overflow = page.evaluate(
            "(() => { const m = document.querySelector('[data-testid=stMain]');"
            " return m.scrollWidth - m.clientWidth })()"
        )
        assert overflow <= 0, "nothing may stick out sideways"
        shoot(page, f"{source}_{name}_{scheme}_{width}")


def test_near_duplicates_of_cifar10_are_the_cards_ranks(browser, cifar10_url):
    with tab(browser, cifar10_url) as page:
        visit(page, "/near_duplicates")
        heads = page.locator(".gallery.pairs .head").all_inner_texts()
        assert [int(re.match(r"#(\d+)", head)[1]) for head in heads] == list(range(601, 649))


def test_changed_ranks_are_in_the_address_and_the_address_restores_them(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        page.get_by_label("First rank").fill("101")
        page.get_by_label("First rank").press("Enter")
        settle(page)
        page.get_by_label("Last rank").fill("110")
        page.get_by_label("Last rank").press("Enter")
        expect(page.locator(".gallery.pairs .cell")).to_have_count(10)
        length = page.evaluate("history.length")
        page.get_by_text("Pixels", exact=True).click()
        page.wait_for_url(re.compile("by=pixels"))
        settle(page)
        assert page.evaluate("history.length") == length, "a choice is no entry in the history"
        heads = page.locator(".gallery.pairs .head").all_inner_texts()
        assert heads[0].startswith("#101")
        address = page.url
        assert "first=101" in address
        assert "last=110" in address
    with tab(browser, digits_url) as another:
        visit(another, address)
        expect(another.locator(".gallery.pairs .cell")).to_have_count(10)
        assert another.locator(".gallery.pairs .head").all_inner_texts() == heads


def test_next_and_previous_step_through_the_ranking(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        page.get_by_role("button", name="Next").click()
        expect(page.locator(".gallery.pairs .head").first).to_contain_text("#79")
        page.wait_for_url(re.compile("first=79"))
        page.get_by_role("button", name="Previous").click()
        expect(page.locator(".gallery.pairs .head").first).to_contain_text("#31")


def test_step_is_one_entry_in_the_history(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        listen(page)
        length, first = page.evaluate("history.length"), page.locator(".gallery.pairs .head").first
        page.get_by_role("button", name="Next").click()
        expect(first).to_contain_text("#79 ")
        press(page, "n")
        expect(first).to_contain_text("#127 ")
        settle(page)
        assert page.evaluate("history.length") == length + 2
        page.go_back()
        expect(first).to_contain_text("#79 ")
        expect(page.locator(".gallery.pairs .cell")).to_have_count(48)
        page.get_by_role("link", name="Overview").click()
        expect(page.locator("h1")).to_have_text("digits")
        settle(page)
        page.go_back()
        expect(first).to_contain_text("#79 ")
        page.go_back()
        expect(first).to_contain_text("#31 ")
        visit(page, "/example?example=test:9&trail=test:3,train:4")
        length = page.evaluate("history.length")
        page.get_by_role("button", name="Next").click()
        at_example(page, "test:10")
        assert page.evaluate("history.length") == length + 1
        page.go_back()
        at_example(page, "test:9")
        expect(page.locator(".gallery.crumbs a.tile")).to_have_count(3)


def test_filters_and_seed_are_in_the_address(browser, cifar10_url):
    with tab(browser, cifar10_url) as page:
        visit(page, "/near_duplicates?first=1&last=10000&labels=different&class=cat")
        expect(page.locator(".gallery.pairs .cell")).to_have_count(96)
        for cell in page.locator(".gallery.pairs .cell").all()[:5]:
            assert "cat" in cell.inner_text()
            assert "≠" in cell.inner_text()
        visit(page, "/failure_modes?labels_differ=bird ≠ airplane&rows=12")
        expect(page.locator(".gallery.rows .cell")).to_have_count(12)
        visit(page, "/random_examples?seed=7&k=3&other=pixels")
        assert page.locator(".gallery.columns .cell").first.locator("img").count() == 7
        shown = page.locator(".gallery.columns img").first.get_attribute("alt")
        page.get_by_role("button", name="Another ten").click()
        page.wait_for_url(lambda url: "seed=7&" not in url)
        settle(page)
        assert page.locator(".gallery.columns img").first.get_attribute("alt") != shown


def test_grid_is_one_tab_stop_and_arrows_walk(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        assert page.locator(".gallery.pairs a[tabindex='0']").count() == 1
        tiles = page.locator(".gallery.pairs a.tile")
        tiles.first.focus()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        expect(tiles.nth(3)).to_be_focused()
        assert page.locator(".gallery.pairs a[tabindex='0']").count() == 1
        across = page.locator(".gallery.pairs").evaluate(
            "g => getComputedStyle(g).gridTemplateColumns.split(' ').length"
        )
        page.keyboard.press("ArrowDown")  # to the head of the pair below, then to its tile
        expect(page.locator(".gallery.pairs a.head").nth(1 + across)).to_be_focused()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        expect(tiles.nth(3 + 2 * across)).to_be_focused()


def at_example(page, name):
    """Wait until that example's page is drawn, with its lists and its buttons, which load separately."""
    expect(page.locator("h1")).to_have_text(name)
    expect(page.locator(".gallery.lists a.compare").first).to_have_attribute(
        "href", re.compile(rf"a={name}&")
    )
    page.locator(".st-key-next button").wait_for()
    settle(page)


def test_walk_is_one_step_each_way(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates?first=11&last=60&by=pixels")
        listen(page)
        page.locator("[data-testid=stMain]").evaluate("m => m.scrollTop = 200")
        length = page.evaluate("history.length")
        page.evaluate("window.sameDocument = true")
        tile = page.locator(".gallery.pairs a.tile").nth(2)
        first = tile.get_attribute("data-example")
        tile.focus()
        page.keyboard.press("Enter")
        at_example(page, first)
        assert "list=near_duplicates:pixels" in page.url
        tile = page.locator(".gallery.lists a.tile").nth(1)
        second = tile.get_attribute("data-example")
        tile.click()
        at_example(page, second)
        assert f"trail={first}" in page.url
        expect(page.locator(".gallery.crumbs a.tile")).to_have_count(2)
        page.locator(".gallery.lists a.tile").nth(2).click()
        expect(page.locator(".gallery.crumbs a.tile")).to_have_count(3)
        assert page.evaluate("history.length") == length + 3
        shoot(page, "digits_walk")
        page.locator(".gallery.crumbs a.tile").first.click()
        at_example(page, first)
        page.go_back()
        expect(page.locator(".gallery.crumbs a.tile")).to_have_count(3)
        page.go_back()
        at_example(page, second)
        page.go_back()
        at_example(page, first)
        page.go_back()
        expect(page.locator(".gallery.pairs .head").first).to_contain_text("#11 ")
        page.evaluate(SCROLLED_TO, 200)
        assert page.evaluate("window.sameDocument"), "the document was never loaded anew"


def test_same_example_is_marked_in_every_list(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/example?example=test:9")
        names = [a.get_attribute("data-example") for a in page.locator(".gallery.lists a.tile").all()]
        twice = next(name for name in names if names.count(name) > 1)
        page.locator(f".gallery.lists a.tile[data-example='{twice}']").first.hover()
        expect(page.locator(".gallery.lists a.same")).to_have_count(names.count(twice))
        assert "#" in page.locator(f".gallery.lists a.tile[data-example='{twice}'] small").first.inner_text()


def test_keys_are_the_same_everywhere(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        press(page, "n")
        expect(page.locator(".gallery.pairs .head").first).to_contain_text("#79 ")
        press(page, "ArrowLeft")
        expect(page.locator(".gallery.pairs .head").first).to_contain_text("#31 ")
        press(page, "?")
        expect(page.get_by_role("dialog", name="Keys")).to_contain_text("walk from tile to tile")
        press(page, "?")
        expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
        first, second = (
            page.locator(".gallery.pairs a.tile").nth(n).get_attribute("data-example") for n in (0, 2)
        )
        press(page, "o")
        at_example(page, first)
        press(page, "n")
        at_example(page, second)
        press(page, "b")
        at_example(page, first)
        typed = page.get_by_role("textbox", name="Go to")
        typed.press_sequentially("train:7nopb?")
        assert typed.input_value() == "train:7nopb?"
        assert page.get_by_role("dialog", name="Keys").count() == 0
        typed.fill("train:7")
        typed.press("Enter")
        at_example(page, "train:7")


def test_next_follows_the_list_as_it_was_filtered(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/disagreement?class=8")
        tiles = page.locator(".gallery.columns .cell a.tile:first-child").filter(has_text="test")
        first, second = (tiles.nth(n).get_attribute("data-example") for n in (0, 1))
        tiles.first.click()
        at_example(page, first)
        expect(
            page.get_by_text(re.compile(r"#1 of \d+ in lowest overlap, by Kernel and .*, 8$"))
        ).to_be_visible()
        press(page, "n")
        at_example(page, second)
        page.go_back()
        at_example(page, first)
        page.go_back()
        expect(tiles.first).to_have_attribute("data-example", first)


def test_pair_is_flipped_faded_and_subtracted_in_the_browser(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        page.locator(".gallery.pairs a.head").first.click()
        canvas = page.locator(".comparison canvas")
        expect(canvas).to_have_attribute("data-shows", "absolute")
        page.locator(".comparison .align input").set_checked(False)
        press(page, "f")
        expect(canvas).to_have_attribute("data-shows", "a")
        pixels = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].join()"
        plain = """i => {
          const c = document.createElement('canvas');
          c.width = i.naturalWidth; c.height = i.naturalHeight;
          c.getContext('2d').drawImage(i, 0, 0); return (%s)(c) }"""
        a, b = (image.evaluate(plain % pixels) for image in page.locator(".comparison .side img").all())
        assert canvas.evaluate(pixels) == a != b
        press(page, "f")
        expect(canvas).to_have_attribute("data-shows", "b")
        assert canvas.evaluate(pixels) == b
        page.get_by_role("button", name="Overlay").click()
        page.get_by_label("share of B").fill("0")
        assert canvas.evaluate(pixels) == a
        page.get_by_role("button", name="Difference", exact=True).click()
        page.get_by_label("amplified").select_option("4")
        expect(page.locator(".comparison .caption")).to_contain_text("amplified 4 times")
        x, y = ([int(v) for v in text.split(",")] for text in (a, b))
        expected = [
            255 if i % 4 == 3 else min(255, 4 * abs(p - q)) for i, (p, q) in enumerate(zip(x, y, strict=True))
        ]
        assert canvas.evaluate(pixels) == ",".join(map(str, expected))
        shoot(page, "digits_pair")
        shown = [
            page.locator(f".comparison {name}")
            for name in ("canvas", "[data-side=a] img", "[data-side=b] img")
        ]
        transforms = "e => getComputedStyle(e).transform"
        whole = shown[0].evaluate(transforms)
        shown[1].locator("..").hover()
        page.mouse.wheel(0, -400)
        zoomed = {image.evaluate(transforms) for image in shown}
        assert len(zoomed) == 1, "all three show the same part"
        assert zoomed != {whole}
        shown[2].locator("..").dblclick()
        assert {image.evaluate(transforms) for image in shown} == {whole}
        page.get_by_role("button", name="Enlarge A").click()
        large = page.locator(".comparison dialog img")
        expect(large).to_be_visible()
        assert large.bounding_box()["width"] > 2 * shown[1].bounding_box()["width"]
        page.keyboard.press("Escape")
        expect(large).to_have_count(0)


@pytest.mark.parametrize(("classes", "side", "examples"), [(1000, 8, 1000), (2, 224, 12)])
def test_long_names_and_large_images_stay_inside(browser, tmp_path, classes, side, examples):
    rng = np.random.default_rng(0)
    names = [f"*a* <b>class</b> of a thousand, of a very long name, number {c:04d}" for c in range(classes)]
    labels = np.arange(examples) % classes
    logits = (rng.normal(size=(4, examples, classes)) + 4 * np.eye(classes)[labels]).astype(np.float16)
    write_log(tmp_path / "runs/log.pt", logits, logits[:, ::-1].copy())
    images = rng.integers(0, 256, (examples, side, side, 3), dtype=np.uint8)
    for split, order in (("test", slice(None)), ("train", slice(None, None, -1))):
        write_parquet(tmp_path / f"{split}.parquet", images[order], labels[order], names)
    (tmp_path / "source.toml").write_text(
        'name = "planted"\n[images]\ntrain = "train.parquet"\ntest = "test.parquet"\n'
        '[ensemble]\nfiles = ["runs/*.pt"]\n'
    )
    environment = dict(
        os.environ,
        KERNEL_EXPLORER_CACHE=str(tmp_path / "cache"),
        KERNEL_EXPLORER_SOURCE=str(tmp_path / "source.toml"),
    )
    assert forked.cli("build", tmp_path / "source.toml", env=environment).returncode == 0
    with server(environment, tmp_path / "log") as url, tab(browser, url, 420) as page:
        for address in ("/example?example=train:3&k=5", "/pair?a=test:1", "/near_duplicates"):
            visit(page, address)
            main = page.locator("[data-testid=stMain]")
            assert main.evaluate("m => m.scrollWidth - m.clientWidth") <= 0, address
            assert page.locator("b", has_text=names[0][:40]).count() or "pair" in address, (
                "names are shown as they are"
            )


def test_cold_server_opens_a_deep_link_inside_the_app(browser, digits_cache, tmp_path):
    """A server's very first request: without the guard the page would run without the menu."""
    with (
        server(dict(digits_cache, KERNEL_EXPLORER_SOURCE="digits"), tmp_path / "log") as url,
        tab(browser, url) as page,
    ):
        visit(page, "/near_duplicates?first=1&last=12")
        expect(page.locator(".gallery.pairs .cell")).to_have_count(12)
        expect(page.get_by_text("Findings")).to_be_visible()


def test_source_is_built_from_the_page_with_progress(browser, tmp_path):
    environment = dict(
        os.environ,
        KERNEL_EXPLORER_SOURCE="digits",
        KERNEL_EXPLORER_CACHE=str(tmp_path / "cache"),
        PYTHONPATH=str(ROOT),
    )
    with server(environment, tmp_path / "log") as url, tab(browser, url) as page:
        visit(page, "/failure_modes")
        page.get_by_role("button", name="Build it now").click()
        expect(page.locator("[data-testid=stProgress]")).to_contain_text(
            "training 256 networks", timeout=120_000
        )
        shoot(page, "digits_building")
        page.wait_for_selector(".gallery.rows .cell", timeout=120_000)
    assert json.loads(run_cli("evaluate", "digits", "--json", env=environment).stdout)["runs"] == 256
