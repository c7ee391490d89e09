"""leak.html opened from disk: nothing is fetched, pictures show, no overflow, axe-core finds nothing."""

import pytest

from kernel_core.findings.pairs import nearest_pairs
from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from tests.support.browser import PATIENCE
from tests.support.command import invoke
from tests.support.looks import AXE, axe
from tests.support.verdicts import Plant

pytestmark = pytest.mark.browser


@pytest.fixture
def written(digits_cache, monkeypatch, tmp_path):
    """The report on 30 judged pairs of the digits."""
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    digits = open_results(SourceRequest("digits"))
    plant = Plant(digits, tmp_path / "v.jsonl")
    for pair in nearest_pairs(digits.neighbors_by("kernel"), *digits.labels).head(30).itertuples():
        plant(("test", pair.query_index), ("train", pair.database_index), "near-duplicate", "<img src=x>")
    done = invoke("leaks", "digits", "--out", tmp_path / "out", "--verdicts", tmp_path / "v.jsonl")
    assert done.exit_code == 0, done.output
    return tmp_path / "out/leak.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_file_opens_from_disk_and_fetches_nothing(browser, written, scheme):
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": 420, "height": 900}, bypass_csp=True
    )
    page, asked, errors = context.new_page(), [], []
    page.set_default_timeout(PATIENCE)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(written.as_uri())
    images = page.locator("img")
    assert images.count() == 60
    assert all(images.evaluate_all("images => images.map((image) => image.naturalWidth > 0)"))
    assert {url for url in asked if not url.startswith("data:")} == {written.as_uri()}
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    page.evaluate(axe())
    found = page.evaluate(AXE)["violations"]
    assert not [(rule["id"], rule["nodes"][0]["html"]) for rule in found]
    assert not errors
    context.close()
