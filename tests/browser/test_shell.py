"""The bar, the focus, what is read aloud, and the keys, in Chromium."""

import pytest
from playwright.sync_api import expect

from tests.support.browser import CLICKED_BY, listen, press, settle, tab, visit

pytestmark = pytest.mark.browser


def test_focus_goes_to_the_heading_of_a_new_page_and_a_list_is_read_aloud(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        listen(page)
        heading, told = page.locator("h1"), page.locator("body > [role=status]")
        expect(page.locator("body")).to_be_focused()
        expect(told).to_have_text("")
        page.locator(".st-key-next button").click()
        expect(told).to_contain_text("ranks 79–126")
        expect(page.locator(".st-key-next button")).to_be_focused()
        settle(page)
        press(page, "ArrowRight")
        expect(told).to_contain_text("ranks 127–174")
        same = page.locator(".st-key-labels").get_by_role("radio", name="same")
        same.click()
        expect(told).to_contain_text("same label")
        said = told.inner_text()
        page.keyboard.press("ArrowLeft")
        settle(page)
        expect(told).to_have_text(said)
        page.get_by_role("button", name="Findings").click()
        page.get_by_text("Label conflicts", exact=True).click()
        expect(heading).to_have_text("Label conflicts")
        expect(heading).to_be_focused()
        expect(page).to_have_title("Label conflicts · digits · Kernel Explorer")
        page.get_by_role("link", name="digits").click()
        expect(heading).to_have_text("digits")
        expect(heading).to_be_focused()
        page.go_back()
        expect(heading).to_have_text("Label conflicts")


BUSY_AFTER_A_CLICK = """() => {
  document.querySelector(".st-key-next button").click();
  setTimeout(() => { const end = performance.now() + 3000; while (performance.now() < end); }, 5);
}"""


def test_list_is_read_aloud_by_a_browser_that_draws_a_run_all_at_once(browser, digits_url):
    with tab(browser, digits_url) as page:
        visit(page, "/near_duplicates")
        listen(page)
        page.locator(CLICKED_BY["n"]).wait_for()
        page.evaluate(BUSY_AFTER_A_CLICK)
        expect(page.locator("body > [role=status]")).to_contain_text("ranks 79–126")


def test_list_of_keys_has_those_of_the_page(browser, digits_url):
    with tab(browser, digits_url) as page:
        dialog = page.get_by_role("dialog", name="Keys")
        for address, there, elsewhere in (
            ("/similarities", "arrows on the threshold", "flip between"),
            ("/near_duplicates", "walk from tile to tile", "arrows on the threshold"),
            ("/pair?a=test:3", "flip between", "walk from tile to tile"),
        ):
            page.goto(address)
            settle(page)
            page.locator(".threshold .grip, .gallery .cell, .comparison canvas[data-shows]").first.wait_for()
            listen(page)
            page.get_by_role("button", name="keys", exact=True).focus()
            page.keyboard.press("Enter")
            expect(dialog.get_by_text(there)).to_be_visible()
            expect(dialog.get_by_text("back to where you were")).to_be_visible()
            expect(dialog.get_by_text(elsewhere)).to_be_hidden()
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
            press(page, "?")
            expect(dialog).to_be_visible()
            page.keyboard.press("Escape")


def test_menu_of_a_phone_closes_behind_the_page_that_it_opened(browser, digits_url):
    with tab(browser, digits_url, width=420) as page:
        visit(page, "/near_duplicates")
        listen(page)
        expect(page.get_by_role("link", name="digits")).to_be_visible()
        page.get_by_role("button", name="Expand sidebar").click()
        page.get_by_role("link", name="Label conflicts").click()
        expect(page.locator("h1")).to_have_text("Label conflicts")
        expect(page.locator("h1")).to_be_focused()
        expect(page.locator("[data-testid=stSidebar]")).to_have_attribute("data-collapsed", "true")
