"""The examples in docstrings, run as they stand."""

import doctest
import importlib

import pytest

MODULES = [
    "kernel_core.explain.bootstrap", "kernel_core.findings.pairs", "kernel_core.findings.votes",
    "kernel_core.report.pair_quality", "kernel_core.report.report", "kernel_core.results.store", "kernel_core.networks.groups", "pages.ui.gallery",
    "pages.ui.jobs", "pages.ui.map_view",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
