"""What the tests in a real browser share: Chromium, and servers of the digits and of CIFAR-10."""

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.support.browser import FLAGS, PATIENCE, server

expect.set_options(PATIENCE)


@pytest.fixture(scope="module")
def browser(chromium):
    """Chromium, running."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def digits_url(digits_cache, tmp_path_factory):
    """The address of an app that shows the digits."""
    environment = dict(digits_cache, KERNEL_EXPLORER_SOURCE="digits")
    with server(environment, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def cifar10_url(cifar10, cifar10_cache, tmp_path_factory):
    """The address of an app that shows the real CIFAR-10."""
    environment = dict(cifar10_cache, KERNEL_EXPLORER_SOURCE=str(cifar10))
    with server(environment, tmp_path_factory.mktemp("server") / "log") as url:
        yield url
