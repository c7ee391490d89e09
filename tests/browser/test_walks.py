"""A short walk at random; 500 clicks from several seeds are a trial of their own."""

import os

import pytest

from tests.support.browser import server
from tests.support.walks import walk

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("seed", [1])
def test_no_page_fails_on_a_random_walk(browser, own_digits_cache, tmp_path, seed):
    environment = dict(os.environ, KERNEL_EXPLORER_SOURCE="digits")  # the walk may build what is missing
    with server(environment, tmp_path / "log") as url:
        assert walk(browser, url, seed=seed, clicks=40) == []
