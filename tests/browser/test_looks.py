"""How every page looks: axe-core finds nothing wrong in light or dark, and little moves while it loads."""

import pytest

from pages.ui.shell import PAGES
from tests.support import looks
from tests.support.browser import settle

pytestmark = pytest.mark.browser

ADDRESSES = {name: f"/{name}" for group in PAGES.values() for name in group}
ADDRESSES |= {"overview": "/", "example": "/example?example=test:25", "pair": "/pair?a=test:3"}
SHIFT = 0.1
"""The largest score of layout shift that web.dev calls good, here of all shifts together."""


@pytest.mark.parametrize("name", ADDRESSES)
def test_page_has_no_violations_and_hardly_moves(browser, digits_url, name):
    with looks.opened(browser, digits_url, ADDRESSES[name]) as page:
        moved = looks.shifts(page)
        assert sum(shift["value"] for shift in moved) < SHIFT, moved
        icons = page.locator("link[rel~=icon]").evaluate_all("links => links.map((link) => link.href)")
        assert icons
        assert all(icon.startswith((digits_url, "data:")) for icon in icons)
        assert not looks.violations(page)
        page.emulate_media(color_scheme="dark")
        page.wait_for_selector("[data-testid=stApp][style*=dark], [data-testid=stApp]")
        settle(page)
        assert not looks.violations(page)


@pytest.mark.slow
@pytest.mark.parametrize("width", [420, 2200])
@pytest.mark.parametrize("source", ["digits", "cifar10"])
@pytest.mark.parametrize("name", ADDRESSES)
def test_page_hardly_moves_at_other_widths(browser, request, source, name, width):
    with looks.opened(
        browser, request.getfixturevalue(f"{source}_url"), ADDRESSES[name], width=width
    ) as page:
        moved = looks.shifts(page)
        assert sum(shift["value"] for shift in moved) < SHIFT, moved
