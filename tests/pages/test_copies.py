"""Planted copies are counted on the Overview, which links to them, and in the report."""

import json

import numpy as np
import pytest
import streamlit as st

from kernel_core.pipeline import build
from kernel_core.sources.source import SourceRequest
from tests.support.app import open_page, text_of
from tests.support.command import invoke
from tests.support.planted import CLASS_NAMES, write_parquet

SENTENCE = (
    "2 test images are also in the training set, pixel for pixel; 1 of these with another label. "
    "1 training image repeats an earlier one, pixel for pixel."
)


@pytest.fixture
def copied(source_folder, planted, cache, monkeypatch):
    """The planted source: test 7 is training example 53 and 54, test 3 is training example 98."""
    rng = np.random.default_rng(5)
    train, test = (rng.integers(0, 256, (n, 8, 8, 3), np.uint8) for n in (130, 40))
    train[[53, 54]], train[98] = test[7], test[3]
    write_parquet(source_folder / "train.parquet", train, planted.train_labels, CLASS_NAMES)
    write_parquet(source_folder / "test.parquet", test, planted.test_labels, CLASS_NAMES)
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    st.cache_resource.clear()
    build(SourceRequest(str(source_folder)))
    return source_folder


def test_overview_counts_them_and_links_to_the_pairs(copied):
    app = open_page("overview")
    assert SENTENCE in text_of(app)
    links = [link.proto for link in app.get("page_link")]
    assert [(link.label, link.query_string) for link in links if link.page == "pair"] == [
        ("test:7 = train:53, another label →", "a=test%3A7&b=train%3A53"),
        ("test:3 = train:98 →", "a=test%3A3&b=train%3A98"),
    ]


def test_report_counts_them(copied):
    report = invoke("report", copied, "--runs", "all")
    assert " ".join(SENTENCE.split()) in " ".join(report.stdout.split())
    found = json.loads(invoke("report", copied, "--runs", "all", "--json").stdout)["copies"]
    assert found == {"shared": 2, "conflicting": 1, "repeated": {"train": 1, "test": 0}}
