"""Flags of confident learning that a build keeps, so that no page waits for them."""

import numpy as np
import pandas as pd
import pytest

from kernel_core.errors import NotBuilt
from kernel_core.findings import labels_to_check
from kernel_core.pipeline import build
from kernel_core.results import flags
from kernel_core.results.label_check import check_labels
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest


@pytest.fixture
def asked(source_folder, cache):
    return [SourceRequest(str(source_folder), query=query) for query in ("test", "train")]


def test_kept_flags_are_those_that_are_found_without_them(asked, monkeypatch):
    without = [check_labels(build(request), order="confident learning") for request in asked]
    assert not list((Store().root / "flags").glob("*"))
    monkeypatch.setattr(flags, "WHOLE_CELLS", 100)
    kept = [build(request) for request in asked]
    assert [len(of.flags[split]) for of, split in zip(kept, ("test", "train"), strict=True)] == [40, 130]
    monkeypatch.setattr(labels_to_check, "flag_issues", None)  # which nothing could call
    for results, table in zip(kept, without, strict=True):
        pd.testing.assert_frame_equal(check_labels(results, order="confident learning"), table)
        reopened = open_results(results_request(asked, results), complete=True)
        np.testing.assert_array_equal(reopened.flags[results.query], results.flags[results.query])
    assert any(table["flagged"].any() for table in without)


def results_request(asked, results):
    (request,) = (request for request in asked if request.query == results.query)
    return request


def test_build_keeps_what_an_older_cache_lacks(asked, monkeypatch):
    build(asked[0])
    monkeypatch.setattr(flags, "WHOLE_CELLS", 100)
    open_results(asked[0])  # opens without
    with pytest.raises(NotBuilt):
        open_results(asked[0], complete=True)
    build(asked[0])
    assert set(open_results(asked[0], complete=True).flags) == {"test", "train"}
