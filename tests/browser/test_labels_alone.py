"""Tiles without images, as a browser draws them: a square with label and index, in either theme."""

import os

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.support.browser import server, shoot, tab, visit
from tests.support.command import run_cli
from tests.support.planted import CLASS_NAMES, plant, write_log

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of an app that shows the planted logits with labels alone, built with its map."""
    planted, folder = plant(), tmp_path_factory.mktemp("labels")
    write_log(folder / "log.pt", planted.test, planted.train)
    np.savez(folder / "labels.npz", train=planted.train_labels, test=planted.test_labels)
    (folder / "source.toml").write_text(
        f'[labels]\nfile = "labels.npz"\nclasses = {list(CLASS_NAMES)}\n[ensemble]\nfiles = ["log.pt"]\n'
    )
    environment = dict(
        os.environ, KERNEL_EXPLORER_CACHE=str(folder / "cache"), KERNEL_EXPLORER_SOURCE=str(folder)
    )
    assert run_cli("build", folder, env=environment).returncode == 0
    with server(environment, folder / "server.log") as address:
        yield address


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (420, "light")])
def test_a_tile_is_a_square_with_label_and_index(browser, url, width, scheme):
    with tab(browser, url, width, scheme) as page:
        visit(page, "/near_duplicates?first=1&last=40")
        tile = page.locator('.gallery a.tile[data-example="test:7"]').first  # its nearest has another label
        blank = tile.locator(".blank")
        expect(blank).to_have_text("cat7")
        expect(tile.locator("img")).to_have_count(0)
        box = blank.bounding_box()
        side = 96 if width > 600 else 84
        assert (box["width"], box["height"]) == (side, side)
        other = page.locator('.gallery a.tile[data-example="train:53"] .blank').first
        expect(other).to_have_text("≠ dog53")
        ink, paper = (
            other.evaluate(f"node => getComputedStyle(node).{name}") for name in ("color", "backgroundColor")
        )
        assert ink != paper
        shoot(page, f"labels-near_duplicates-{width}-{scheme}")
        tile.click()
        expect(page.locator(".verdict-blank")).to_have_text("cattest:7")
        page.locator(".gallery.lists .blank").first.wait_for()
        shoot(page, f"labels-example-{width}-{scheme}")


def test_a_pair_is_two_squares(browser, url):
    with tab(browser, url) as page:
        visit(page, "/pair?a=test:7&b=train:53")
        expect(page.locator(".gallery.rows .blank")).to_have_text(["cat7", "dog53"])
        expect(page.locator(".comparison")).to_have_count(0)
