"""A short walk at random; 500 clicks from several seeds are a trial of their own."""

import pytest

from tests.support.walks import walk

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("seed", [1])
def test_no_page_fails_on_a_random_walk(browser, digits_url, seed):
    assert walk(browser, digits_url, seed=seed, clicks=40) == []
