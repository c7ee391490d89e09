"""The front page: what is surprising first, then how good the kernel is, and what is not built yet."""

import pytest

from kernel_core.findings.labels_to_check import labels_to_check
from kernel_core.findings.twins import BANDS, twin_pairs
from kernel_core.pipeline import build
from kernel_core.results.accuracy import accuracies
from kernel_core.results.directions import in_direction
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from pages.ui import jobs, lists
from tests.support.app import cells, open_page, text_of


def test_strips_show_what_their_links_lead_to(digits):
    app = open_page("overview")
    twins = twin_pairs(digits.neighbors_by("kernel"), digits.aligned["kernel"], *digits.labels)
    same, likely, _ = (int((twins["band"] == band).sum()) for band in BANDS)
    many = f"{same} of 500 test examples look" if same else "None of 500 test examples looks"
    assert f"**{many} like the same picture as a training example" in text_of(app)
    assert f"clearly match. {likely} {'more ' if same else ''}may." in text_of(app)
    shown = cells(app, "the_nearest_pairs")
    assert [cell["id"] for cell in shown] == twins["query_index"].head(12).tolist()
    listed = cells(open_page("near_duplicates", order="twin"), "pairs")
    assert [cell["id"] for cell in shown] == [cell["id"] for cell in listed[:12]]
    assert all(cell["pair"].startswith("pair?a=test:") for cell in shown)

    check = labels_to_check(digits.neighbors_by("kernel"), digits.labels, digits.predictions.probabilities)
    shown = [cell["id"] for cell in cells(app, "labels_to_check")]
    assert shown == check["query_index"].head(12).tolist()
    assert [cell["id"] for cell in cells(open_page("labels"), "labels_to_check")] == shown
    assert lists.place(digits, "test", shown[0], "labels:kernel").next == f"test:{shown[1]}"
    against = check["both_against"].sum()
    assert f"**{against} of 500 test labels have both against them:**" in text_of(app)

    differ = cells(app, "the_largest_disagreements")
    listed = cells(
        open_page("disagreement", other="penultimate", order="first right, second wrong"), "disagreement"
    )
    assert differ
    assert [cell["id"] for cell in differ] == [cell["id"] for cell in listed][: len(differ)]


def test_accuracies_have_intervals(digits):
    app = open_page("overview")
    table = app.dataframe[0].value
    shown = dict(zip(table["Prediction by"], table["Accuracy"], strict=True))
    accuracy = accuracies(digits)
    assert shown["Kernel, 3 nearest"] == f"{accuracy['kernel_knn3']:.2%}"
    assert shown["Ensemble, averaged logits"] == f"{accuracy['ensemble']:.2%}"
    assert len(shown) == 7
    low, high = (float(end.rstrip("%")) for end in table["95% interval"][1].split(" – "))
    assert low < 100 * accuracy["ensemble"] < high
    assert "ranks 31–78" in text_of(app)
    assert "\\frac{1}{C}" in app.get("latex")[0].value


def test_what_is_not_built_has_a_button(source_folder, cache, monkeypatch):
    request = SourceRequest(str(source_folder))
    build(request)
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    started = []
    monkeypatch.setattr(jobs.Jobs, "start", lambda _, of, verb: started.append((of, verb)))
    app = open_page("overview")
    missing = {"build_within_train": "train", "build_within_test": "test"}
    for key, split in missing.items():
        app.get_by_key(key).click().run()
        of, verb = started.pop()
        assert (of.query, of.database, of.similarities, verb) == (split, split, ("kernel",), "build")
    build(of)
    app = open_page("overview")
    assert f"✓ Neighbors within the {of.query} set by Kernel" in text_of(app)
    results = open_results(request, Store())
    assert in_direction(results, request, Store(), of.query, of.query).names == ("kernel",)
    with pytest.raises(KeyError):
        app.get_by_key(f"build_within_{of.query}")
