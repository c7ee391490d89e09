"""The static copy in a browser, from disk and from a host of files: filters, addresses, keys and badges."""

import functools
import http.server
import threading
from pathlib import Path

import pytest

from kernel_core.findings.pairs import matching_pairs
from kernel_core.results.label_check import check_labels
from kernel_core.results.opening import open_results
from kernel_core.results.pair_orders import ordered_pairs
from kernel_core.results.store import Store
from kernel_core.review.judged import PixelHashes
from kernel_core.review.verdict_file import VerdictFile
from kernel_core.review.verdicts import Verdict
from kernel_core.sources.source import SourceRequest
from tests.support.browser import PATIENCE
from tests.support.command import invoke
from tests.support.looks import AXE, axe

pytestmark = pytest.mark.browser
ANN = "Ann </script><b>"
MOST = 300


@pytest.fixture(scope="module")
def results(digits_cache):
    return open_results(SourceRequest("digits"), Store(Path(digits_cache["KERNEL_EXPLORER_CACHE"])))


@pytest.fixture(scope="module")
def copied(results, digits_cache, tmp_path_factory):
    """The folder of a copy of the digits, with verdicts on the first three pairs and the first label."""
    hashes, folder = PixelHashes(results.examples), tmp_path_factory.mktemp("static")
    pairs = ordered_pairs(results, "kernel").head(3).to_dict("records")
    items = [
        [hashes.item((row[f"{side}_split"], row[f"{side}_index"])) for side in ("query", "database")]
        for row in pairs
    ]
    first = check_labels(results).iloc[0]
    label = hashes.item((first["query_split"], int(first["query_index"])))
    VerdictFile(folder / "verdicts.jsonl").append(
        [
            Verdict("pair", *items[0], "exact", ANN),
            Verdict("pair", *items[0], "exact", "Bob", note="<i>clear</i>"),
            Verdict("pair", *items[1], "different", ANN),
            Verdict("pair", *items[2], "exact", ANN),
            Verdict("pair", *items[2], "different", "Bob"),
            Verdict("label", label, None, "guessed", "Bob", proposed_label="<nine>"),
        ]
    )
    options = ("--pairs", MOST, "--verdicts", folder / "verdicts.jsonl")
    done = invoke("export", "digits", "--out", folder / "site" / "copy", *options, env=digits_cache)
    assert done.exit_code == 0, done.output
    return folder / "site" / "copy"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def hosted(copied):
    """The address of the copy below a path of a host of static files."""
    handler = functools.partial(_Quiet, directory=copied.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/copy/index.html"
        server.shutdown()
        thread.join()


@pytest.fixture
def opened(browser, copied):
    """Open addresses of the copy from disk; fail on script errors, and on what is missing or elsewhere."""
    yield from tabs(browser, copied.as_uri() + "/index.html")


def tabs(browser, url, **options):
    context = browser.new_context(**options)
    page, wrong = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)

    def check(request):
        if not request.url.startswith((url.rpartition("/")[0], "data:")):
            wrong.append(f"asks for {request.url}")

    page.on("request", check)
    page.goto(url)
    settle(page, "")
    yield page
    context.close()
    assert not wrong, wrong


def settle(page, address):
    page.locator(f'main[data-drawn="{address}"]').wait_for()


def go(page, address):
    """Go to an address of the copy, and wait until it is drawn."""
    page.evaluate("address => { location.hash = address }", address)
    settle(page, address)


def ranks(page):
    """Return the ranks of all rows of the list, of which the page draws the first."""
    found = page.evaluate(
        """async () => {
          const { page, params } = Copy.read();
          const columns = await Copy.load(Copy.listOf(page, params).name);
          return Copy.rowsOf(page, columns, params).map((row) => row + 1);
        }"""
    )
    assert page.locator("ol.cells, main > p").last.is_visible()
    drawn = [int(text[1:].replace(",", "")) for text in page.locator(".cells .rank").all_inner_texts()]
    assert drawn == found[: len(drawn)]
    assert bool(drawn) == bool(found)
    return found


def test_filters_give_the_rows_of_findings(opened, results):
    pairs = ordered_pairs(results, "kernel").head(MOST)
    names = results.class_names
    at = float(str(pairs["similarity"].iloc[41]))
    for address, expected in (
        ("", pairs),
        ("?labels=different", matching_pairs(pairs, "different")),
        (f"?labels=same&class={names[3]}", matching_pairs(pairs, "same", 3)),
        (f"?threshold={at}", matching_pairs(pairs, threshold=at)),
        ("?labels=same&ranks=11-20", matching_pairs(pairs, "same").iloc[10:20]),
    ):
        go(opened, f"#near_duplicates{address}")
        assert ranks(opened) == expected["rank"].tolist(), address
    index = int(pairs["query_index"].iloc[5])
    go(opened, f"#near_duplicates?find=test:{index}")
    assert 6 in ranks(opened)
    go(opened, "#near_duplicates?order=twin&band=likely&pixels_at=0.9")
    twins = ordered_pairs(results, "kernel", "twin").head(MOST)
    assert ranks(opened) == matching_pairs(twins, band="likely", aligned=0.9)["rank"].tolist()
    go(opened, "#labels?both=1")
    labels = check_labels(results).head(MOST)
    assert ranks(opened) == labels.loc[labels["both_against"], "rank"].tolist()


def test_verdicts_are_badges_and_filters_and_stay_text(opened):
    go(opened, "#near_duplicates")
    assert opened.locator(".badge.judged").all_inner_texts() == [
        "✓ exact · 2",
        "✓ different",
        "? disputed · 2",
    ]
    expected = {"judged": [1, 2, 3], "exact": [1], "different": [2], "disputed": [3]}
    for judged, found in expected.items():
        go(opened, f"#near_duplicates?judged={judged}")
        assert ranks(opened) == found
    go(opened, "#near_duplicates?judged=different&reviewer=Bob")
    assert ranks(opened) == [3]
    opened.locator(".cells a.tile").first.click()
    opened.locator("h1", has_text="↔").wait_for()
    assert f"exact by {ANN}; different by Bob" in opened.locator("p.verdict").inner_text()
    go(opened, "#labels?judged=guessed")
    assert opened.locator(".badge.judged").inner_text() == "✓ guessed: <nine>"
    assert opened.locator("main b b, main i").count() == 0


def test_addresses_restore_and_keys_walk_the_filtered_list(opened):
    go(opened, "#near_duplicates?judged=judged")
    opened.get_by_label("Verdict").select_option("unjudged")
    settle(opened, "#near_duplicates?judged=unjudged")
    opened.go_back()
    settle(opened, "#near_duplicates?judged=judged")
    assert opened.get_by_label("Verdict").input_value() == "judged"
    opened.locator(".cells a.rank").first.click()
    opened.locator("nav.pager", has_text="1 of 3").wait_for()
    opened.keyboard.press("n")
    opened.locator("nav.pager", has_text="2 of 3").wait_for()
    opened.reload()
    opened.locator("nav.pager", has_text="2 of 3").wait_for()
    assert opened.locator("em.judged").first.inner_text() == "✓ different"
    opened.keyboard.press("ArrowLeft")
    opened.locator("nav.pager", has_text="1 of 3").wait_for()
    assert opened.locator(".stage").get_attribute("data-shows") == "a"
    opened.keyboard.press("f")
    assert opened.locator(".stage").get_attribute("data-shows") == "b"
    opened.keyboard.press("d")
    assert opened.locator(".stage").get_attribute("data-shows") == "difference"
    opened.go_back()
    opened.locator("nav.pager", has_text="2 of 3").wait_for()


def test_address_that_makes_no_sense_is_said_or_shows_the_overview(opened):
    for address, heading in (
        ("#constructor", "digits"),
        ("#near_duplicates?page=-3&ranks=abc&threshold=x&within=nowhere", "Near-duplicates"),
        ("#pair?a=test:1&b=%E0%A4%A", "Not in this copy"),
        ("#example?e=<b>", "Not in this copy"),
    ):
        opened.evaluate("address => { location.hash = address }", address)
        opened.locator("h1", has_text=heading).wait_for()
    go(opened, "#near_duplicates?class=nothing")
    assert ranks(opened) == []
    assert opened.get_by_label("Class").input_value() == "nothing"


def test_back_returns_to_the_place_on_the_page(opened):
    opened.set_viewport_size({"width": 900, "height": 500})
    go(opened, "#near_duplicates")
    opened.evaluate("scrollTo(0, 700)")
    opened.locator(".cells a.rank").nth(20).click()
    opened.locator(".stage").wait_for()
    assert opened.evaluate("scrollY") == 0
    opened.go_back()
    opened.locator(".cells").wait_for()
    assert opened.evaluate("scrollY") >= 700


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_wider_than_a_phone(browser, hosted, scheme):
    for page in tabs(browser, hosted, color_scheme=scheme, viewport={"width": 420, "height": 3_000}):
        page.evaluate(axe())
        for address in (
            "#overview", "#near_duplicates", "#labels", "#failure_modes", "#groups",
            "#pair?a=test:1&b=nothing",
        ):  # fmt: skip
            go(page, address)
            found = page.evaluate(AXE)["violations"]
            assert not [(rule["id"], rule["nodes"][0]["html"]) for rule in found], address
            assert page.evaluate("document.documentElement.scrollWidth") <= 420
        go(page, "#near_duplicates")
        page.locator(".cells a.rank").first.click()
        page.locator(".stage").wait_for()
        assert not page.evaluate(AXE)["violations"]
        assert page.evaluate("document.documentElement.scrollWidth") <= 420
