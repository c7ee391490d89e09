"""The examples in docstrings, run as they stand."""

import doctest
import importlib

import pytest

from tests.support.command import ROOT

# The examples of kernel_core/notebook.py need the digits: tests/test_notebook.py runs them.
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("kernel_core", "pages")
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text() and path.name != "notebook.py"
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
