"""What the tests of pages share: the digits, built and served."""

from pathlib import Path

import pytest

from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest


@pytest.fixture
def digits(digits_cache, monkeypatch):
    """The digits' results, with the environment in which the pages show them."""
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", "digits")
    return open_results(SourceRequest("digits"), Store(Path(digits_cache["KERNEL_EXPLORER_CACHE"])))
