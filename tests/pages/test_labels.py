"""Labels to check: rows with their evidence, both splits, filters, lists, and what the page says of them."""

from dataclasses import replace

import numpy as np
import pytest

from kernel_core.pipeline import build
from kernel_core.results.directions import in_direction
from kernel_core.results.label_check import check_labels
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from pages.ui import lists, load
from tests.support.app import cells, open_page, text_of


def test_rows_show_what_is_proposed_and_the_nearest_of_both_classes(digits):
    table = check_labels(digits)
    app = open_page("labels")
    shown = cells(app, "labels_to_check")
    assert [cell["id"] for cell in shown] == table["query_index"].head(12).tolist()
    assert "**500 test examples**, the first to check first" in text_of(app)
    assert "warning" not in text_of(app)
    assert not app.warning
    names, vectors = digits.class_names, kernel_rows(digits)
    for cell, row in zip(shown, table.itertuples(), strict=False):
        assert f"ensemble: {names[row.likeliest]} {row.likeliest_probability:.0%}" in cell["head"]
        assert f"neighbors: {names[row.voted]} {row.voted_share:.0%}" in cell["head"]
        assert ("both say" in cell["head"]) == row.both_against
        own, given, proposed = cell["groups"]
        assert own["large"]
        assert [tile["example"] for tile in own["tiles"]] == [f"test:{row.query_index}"]
        for group, label in ((given, row.query_label), (proposed, row.proposed)):
            members = np.flatnonzero(digits.labels[1] == label)
            values = vectors["train"][members] @ vectors["test"][row.query_index]
            nearest = members[np.argsort(-values, kind="stable")[:3]]
            assert [tile["example"] for tile in group["tiles"]] == [f"train:{i}" for i in nearest]
            assert {tile["differs"] for tile in group["tiles"]} == {label != row.query_label}


def kernel_rows(results):
    """The rows whose inner product is the kernel, in float64, by split, from the kept traces."""
    rows = {}
    for split, traces in results.traces.items():
        values = np.asarray(traces.values, np.float64)  # (N, C, M)
        values = values - values.mean(2, keepdims=True)
        values /= values.std(2, keepdims=True)
        rows[split] = values.reshape(len(values), -1)
    return rows


def test_filters_and_next_follow_the_list(digits):
    table = check_labels(digits, order="agreement")
    app = open_page("labels", order="agreement", both="true", label="8")
    kept = table[table["both_against"] & (table["query_label"] == 8)]["query_index"].tolist()
    shown = cells(app, "labels_to_check")
    assert [cell["id"] for cell in shown] == kept[:12]
    assert f"**{len(kept)} of 500 test examples**" in text_of(app)
    assert "list=labels:kernel:agreement:8::both" in shown[0]["groups"][0]["tiles"][0]["href"]
    load.by_id[digits.id] = digits
    here = lists.place(digits, "test", kept[0], "labels:kernel:agreement:8::both")
    assert (here.total, here.next) == (len(kept), f"test:{kept[1]}" if kept[1:] else None)
    assert here.title == "labels to check by agreement, labeled 8, both agree"
    app.get_by_key("proposed").set_value("8").run()
    assert "**0 of 500 test examples**" in text_of(app)


@pytest.fixture
def source(source_folder, cache, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    return source_folder


def build_both_ways(source):
    """Build the planted source and its neighbors within train; return the results within train."""
    request = SourceRequest(str(source))
    opened = build(request)
    build(replace(request, query="train", database="train", similarities=("kernel",)))
    return in_direction(opened, request, Store(), "train", "train")


def test_training_labels_are_held_against_training_examples_with_a_warning(source):
    within = build_both_ways(source)
    app = open_page("labels", split="train")
    shown = cells(app, "labels_to_check")
    assert [cell["id"] for cell in shown] == check_labels(within)["query_index"].head(12).tolist()
    assert "The runs were trained on these labels" in app.warning[0].value
    assert app.code[0].value == f"kernel-explorer train heads {source} --subset 0.5 --out my-ensemble"
    for cell in shown:
        (own,), *evidence = ([tile["example"] for tile in group["tiles"]] for group in cell["groups"])
        assert own.startswith("train:")
        assert own not in {name for group in evidence for name in group}
    assert "list=labels@train:kernel" in shown[0]["groups"][0]["tiles"][0]["href"]
    assert f"kernel-explorer labels {source} --split train" in app.code[1].value
    assert ".labels(split='train')" in app.code[2].value


def test_training_labels_are_judged_by_runs_that_did_not_see_them(source, planted):
    masks = np.random.default_rng(2).random((24, 130)) < 0.5
    masks[:, 17] = True
    np.save(source / "masks.npy", masks)
    toml = source / "source.toml"
    toml.write_text(toml.read_text().replace("[ensemble]", '[ensemble]\nmasks = "masks.npy"'))
    within = build_both_ways(source)
    table = check_labels(within)
    logits = planted.train.astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)  # (runs, examples, classes)
    assert sorted(table["query_index"]) == sorted(set(range(130)) - {17})
    for row in table.itertuples():
        P = shares[~masks[:, row.query_index], row.query_index].mean(0)
        other = max(p for c, p in enumerate(P) if c != row.query_label)
        assert row.score == pytest.approx((P[row.query_label] - other + 1) / 2, abs=1e-5)
    app = open_page("labels", split="train")
    assert not app.warning
    for order in ("normalized margin", "twins"):
        app = open_page("labels", split="train", order=order)
        assert "1 is left out: every run was trained on it." in text_of(app)
    app = open_page("labels", split="train")
    shown = [cell["id"] for cell in cells(app, "labels_to_check")]
    assert shown == table["query_index"].head(12).tolist()


def test_votes_of_centred_logits_and_of_the_shift_are_offered_and_built(source):
    build(SourceRequest(str(source)))
    app = open_page("labels", order="vote", by="kernel.shift")
    assert any(button.label == "Build it now" for button in app.button)
    assert {"kernel.centred", "kernel.shift"} < set(app.get_by_key("by").options) or app.get_by_key("by")
    results = build(SourceRequest(str(source), similarities=("kernel.shift",)))
    table = check_labels(results, "kernel.shift", "vote")
    shown = cells(open_page("labels", order="vote", by="kernel.shift"), "labels_to_check")
    assert [cell["id"] for cell in shown] == table["query_index"].head(12).tolist()


def test_neighbors_within_train_that_are_not_built_are_offered(source):
    build(SourceRequest(str(source)))
    app = open_page("labels", split="train")
    assert any(button.label == "Build it now" for button in app.button)
    assert "--query train --database train --similarity kernel" in app.code[1].value


def test_old_address_of_labels_to_check_still_works(digits):
    app = open_page("failure_modes", order="label to check")
    assert cells(app, "failures")
