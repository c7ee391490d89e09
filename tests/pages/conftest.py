"""What the tests of pages share: the digits, built and served, their nearest pairs, and planted verdicts."""

from pathlib import Path

import pytest

from kernel_core.findings.pairs import nearest_pairs
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from tests.support.verdicts import Plant


@pytest.fixture
def digits(digits_cache, monkeypatch):
    """The digits' results, with the environment in which the pages show them."""
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", digits_cache["KERNEL_EXPLORER_CACHE"])
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", "digits")
    return open_results(SourceRequest("digits"), Store(Path(digits_cache["KERNEL_EXPLORER_CACHE"])))


@pytest.fixture
def plant(digits, tmp_path, monkeypatch):
    """Plants verdicts on the digits in the file that the pages read."""
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "verdicts.jsonl"))
    return Plant(digits, tmp_path / "verdicts.jsonl")


@pytest.fixture
def pairs(digits):
    """The nearest pairs, as two examples each."""
    table = nearest_pairs(digits.neighbors_by("kernel"), *digits.labels)
    rows = zip(table["query_index"].tolist(), table["database_index"].tolist(), strict=True)
    return [(("test", a), ("train", b)) for a, b in rows]
