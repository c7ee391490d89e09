"""The examples in docstrings, run as they stand."""

import doctest
import importlib

import pytest

MODULES = [
    "kernel_core.certainty",
    "kernel_core.duplicates",
    "kernel_core.evaluate",
    "kernel_core.store",
    "pages.ui.gallery",
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
