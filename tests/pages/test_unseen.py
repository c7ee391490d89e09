"""Memorized examples, influence and the counterfactual of a pair, on a planted source with training masks."""

import numpy as np
import pytest

from kernel_core.pipeline import build
from kernel_core.results.counterfactuals import counterfactual, influence_on, memorization_of
from kernel_core.sources.source import SourceRequest
from pages.ui import lists, load
from tests.support.app import cells, open_page, text_of, tiles


@pytest.fixture
def masked(source_folder, cache, monkeypatch):
    """The planted source with masks of random halves, built, as the pages show it."""
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    np.save(source_folder / "masks.npy", np.random.default_rng(0).random((24, 130)) < 0.5)
    toml = source_folder / "source.toml"
    toml.write_text(toml.read_text().replace("[ensemble]", '[ensemble]\nmasks = "masks.npy"'))
    return build(SourceRequest(str(source_folder)))


def test_memorized_examples_come_in_order_and_can_be_filtered(masked):
    table = memorization_of(masked)
    app = open_page("memorization")
    shown = cells(app, "memorized")
    assert [cell["id"] for cell in shown] == table["query_index"].head(96).tolist()
    first = table.iloc[0]
    assert shown[0]["groups"][0]["tiles"][0]["note"].startswith(
        f"train {first.query_index}\n{first.right_without:.0%} → {first.right_with:.0%}"
    )
    assert shown[0]["head"] == f"#1  ·  {first.memorization:.2f}"
    label = masked.class_names[2]
    filtered = table[table["query_label"] == 2]
    app = open_page("memorization", label=label)
    assert [cell["id"] for cell in cells(app, "memorized")] == filtered["query_index"].tolist()
    load.by_id[masked.id] = masked
    order = lists.ranked(masked.id, f"memorization:{label}").order
    assert order.tolist() == filtered["query_index"].tolist()


def test_influential_pairs_come_in_order_with_their_intervals(masked):
    table = influence_on(masked, order="hurts")
    app = open_page("influence", order="hurts", labels="different")
    kept = table[table["query_label"] != table["database_label"]]
    shown = cells(app, "influence")
    pairs = [[tile["example"] for tile in tiles(cell)] for cell in shown]
    assert pairs == [
        [f"test:{row.query_index}", f"train:{row.database_index}"] for row in kept.head(48).itertuples()
    ]
    row = kept.iloc[0]
    found = counterfactual(masked, int(row.database_index), ("test", int(row.query_index)))
    assert found.difference == pytest.approx(row.influence, abs=1e-12)
    assert shown[0]["head"] == f"#{row['rank']}  ·  {found.difference:+.2f}"
    assert tiles(shown[0])[1]["note"].endswith(f"\n{found.low:.2f} to {found.high:.2f}")
    assert f"**{len(kept)} of {len(kept)} pairs** are listed" in text_of(app)
    app = open_page("pair", a=pairs[0][0], b=pairs[0][1])
    said = text_of(app)
    assert f"({found.runs_with} against {found.runs_without} runs); difference {found.difference:.2f}" in said
    assert f"without it **{found.probability_without:.2f}**" in said
    both = text_of(open_page("pair", a="train:1", b="train:2"))
    assert "With **train:2** in training" in both
    assert "With **train:1** in training" in both
    assert "in training" not in text_of(open_page("pair", a="test:1", b="test:2"))
    assert "not built yet" in text_of(open_page("influence", within="train"))


def test_front_page_tells_the_accuracy_of_runs_that_never_saw_an_example(masked):
    unseen = masked.unseen
    single = unseen.right.sum() / unseen.runs.sum()
    assert f"by runs that never saw them: one run {single:.2%}" in text_of(open_page("overview"))


def test_without_masks_pages_say_how_to_get_them(digits):
    for page in ("memorization", "influence"):
        app = open_page(page)
        assert "These have no training masks" in text_of(app)
        assert "train heads digits --subset 0.5" in app.code[0].value
    assert "in training" not in text_of(open_page("pair", a="test:1", b="train:2"))
