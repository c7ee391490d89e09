"""Attributions of a source whose own runs were trained on random parts: planted weights, runs held out."""

import numpy as np
import pytest

from kernel_core.lab.ask import Order, ask, open_setting
from kernel_core.lab.attributions import answer as attribution
from kernel_core.lab.attributions import asked as asked_module
from kernel_core.lab.attributions import blocks_of_train, comparison, datamodels, judged
from kernel_core.lab.attributions.methods import methods_for
from kernel_core.lab.attributions.subset_runs import has_own_runs
from kernel_core.progress import no_progress
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from tests.support.planted import write_parquet

M, N, n = 160, 75, 30  # runs, training examples, test examples
EACH = 0.5  # what each of the examples that matter adds to a margin
MATTER = 20


def planted(seed=0):
    """Masks, logits by split whose test margins are sums of weights, and the weights (n, N)."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((M, N), bool)
    for mask in masks:
        mask[rng.permutation(N)[: N // 2]] = True
    weights = np.zeros((n, N))
    for row in weights:
        row[rng.permutation(N)[:MATTER]] = EACH
    labels = {"test": np.arange(n) % 2, "train": np.arange(N) % 2}
    logits = {"train": rng.normal(size=(M, N, 2)), "test": np.zeros((M, n, 2))}
    logits["test"][:, np.arange(n), labels["test"]] = masks @ weights.T - 5
    return masks, {split: of.astype(np.float16) for split, of in logits.items()}, labels, weights


@pytest.fixture
def write(tmp_path):
    """Write a source, with images, of some masks and logits; return the request for it."""

    def write_source(name, masks, logits, labels):
        folder = tmp_path / name
        folder.mkdir()
        rng = np.random.default_rng(1)
        for split, of_split in labels.items():
            images = rng.integers(0, 256, (len(of_split), 4, 4, 3), dtype=np.uint8)
            write_parquet(folder / f"{split}.parquet", images, of_split, ("ant", "bee"))
        features = {split: rng.normal(size=(len(of), 6)).astype(np.float16) for split, of in labels.items()}
        np.savez(folder / "other.npz", **features)
        np.savez(folder / "runs.npz", logits=logits["test"], logits_train=logits["train"], trained_on=masks)
        (folder / "source.toml").write_text(
            'name = "halves"\n[images]\ntrain = "train.parquet"\ntest = "test.parquet"\n'
            '[ensemble]\nfiles = ["runs.npz"]\n[features.other]\nfile = "other.npz"\n'
        )
        return SourceRequest(str(folder))

    return write_source


def opened(request, **order):
    """A source, ready for questions."""
    return open_setting(
        request, Order(**order), device="cpu", budget=None, progress=no_progress, store=Store()
    )


def test_planted_weights_are_found_and_predict_held_out_runs(write, cache):
    masks, logits, labels, weights = planted()
    setting = opened(write("own", masks, logits, labels))
    asked = attribution.asked_of(setting)
    runs = asked.runs
    assert runs.are_own
    assert (len(runs.fitted), len(runs.held)) == (128, 32)
    assert (runs.fitted_masks.of_runs(slice(None)) == masks[list(runs.numbers)]).all()
    expected = logits["test"].astype(np.float64)[:, np.arange(n), labels["test"]]
    assert np.abs(runs.fitted - expected[list(runs.numbers)]).max() < 1e-6
    methods = {method.name: method for method in methods_for(asked)}
    assert {"trak", "closed-form-signed"}.isdisjoint(methods)
    found = comparison.Comparison(
        asked, [judged.judge(methods[name], asked) for name in ("kernel", "datamodels")]
    )
    of_datamodels = found.judged[1]
    named = np.take_along_axis(weights, of_datamodels.first, axis=1)
    assert named.mean() > 0.9 * EACH, "those that matter come first"
    assert found.scores["datamodels"].value > 0.95
    assert found.most_there_could_be.value > 0.9
    assert abs(found.scores["kernel"].value) < 0.2
    assert found.lost_in_held["datamodels"].value == pytest.approx(MATTER * EACH, rel=0.01)
    assert abs(found.lost_in_held["kernel"].value) < 2


def test_best_possible_score_is_that_of_the_planted_weights(write, cache):
    asked = attribution.asked_of(opened(write("own", *planted()[:3])))
    weights = planted()[3].astype(np.float32)
    found = comparison.Comparison(asked, [])
    assert found.score_of(datamodels.predicted(weights, asked.runs.held_masks)).value > 0.99


def test_runs_that_are_held_out_change_no_weight(write, cache):
    masks, logits, labels, _ = planted()
    asked = attribution.asked_of(opened(write("own", masks, logits, labels)))
    held = np.setdiff1d(np.arange(M), asked.runs.numbers)
    others = {split: of.copy() for split, of in logits.items()}
    rng = np.random.default_rng(5)
    for of in others.values():
        of[held] = rng.normal(size=of[held].shape)
    other_masks = masks.copy()
    other_masks[held] = rng.permuted(masks[held], axis=1)
    again = attribution.asked_of(opened(write("again", other_masks, others, labels)))
    assert again.runs.numbers == asked.runs.numbers
    assert not np.array_equal(again.runs.held, asked.runs.held)
    names = []
    for first, second in zip(methods_for(asked), methods_for(again), strict=True):
        names.append(first.name)
        every = slice(0, n)
        assert np.array_equal(first.prepare(asked)(every), second.prepare(again)(every)), first.name
    assert names == [
        "kernel",
        "kernel-signed",
        "label",
        "pixels-signed",
        "effects",
        "datamodels",
        "other-signed",
    ]


def test_sizes_of_blocks_do_not_matter(write, cache, monkeypatch):
    asked = attribution.asked_of(opened(write("own", *planted()[:3])))
    methods = methods_for(asked)
    whole = [judged._measured(method, asked) for method in methods]
    for module, name, value in (
        (asked_module, "AT_A_TIME", 4 * N * 7),  # seven query examples
        (datamodels, "COLUMNS", 16),
        (blocks_of_train, "BLOCK_BYTES", 4 * 256 * 9),  # nine examples or so
        (judged, "ROWS", 2),
    ):
        monkeypatch.setattr(module, name, value)
    assert len(list(asked.runs.ranges())) == 5
    for method, of_whole in zip(methods, whole, strict=True):
        in_parts = judged._measured(method, asked)
        assert in_parts["predicted"] == pytest.approx(of_whole["predicted"], abs=1e-3), method.name
        assert (in_parts["listed"][:, 0] == of_whole["listed"][:, 0]).mean() > 0.9, method.name


def test_kernel_is_that_of_the_fitted_runs(write, cache):
    from tests.support import oracle

    masks, logits, labels, _ = planted()
    asked = attribution.asked_of(opened(write("own", masks, logits, labels), queries=10))
    assert len(asked.places["test"]) == 10
    fitted = list(asked.runs.numbers)
    kernel = methods_for(asked)[0].prepare(asked)(slice(2, 7))
    expected = oracle.kernel(logits["test"][fitted][:, asked.places["test"]], logits["train"][fitted])
    assert np.abs(kernel - expected[2:7]).max() < 1e-5


def test_question_is_answered_by_the_sources_own_runs(write, cache, monkeypatch):
    masks, logits, labels, _ = planted()
    request = write("own", masks, logits, labels)
    monkeypatch.setattr(attribution, "runs_on_halves", None)  # no network is trained
    found = ask("attribution", request, Order(), device="cpu")
    assert found.seen[0].startswith("Datamodels predicts best")
    assert "128 to find weights from" in found.seen[-1]
    (table,), (panel,) = found.tables, found.panels
    assert [row[0] for row in table.rows][-1] == "signed other cosine²"
    assert [curve.name for curve in panel.curves][-1] == "the most there could be"
    monkeypatch.setattr(judged, "_measured", None)  # nothing is computed again
    assert ask("attribution", request, Order(), device="cpu").tables == found.tables


def test_few_runs_on_parts_are_not_used(write, cache):
    masks, logits, labels, _ = planted()
    few = {split: of[:90] for split, of in logits.items()}
    assert not has_own_runs(opened(write("few", masks[:90], few, labels)))
    every = np.ones_like(masks)
    assert not has_own_runs(opened(write("whole", every, logits, labels)))


def test_twins_that_come_first_are_counted(write, cache, monkeypatch):
    asked = attribution.asked_of(opened(write("own", *planted()[:3])))
    first = np.tile(np.arange(20), (n, 1))
    method = methods_for(asked)[0]
    of_method = judged.Judged(method, np.zeros((32, n)), first, np.zeros((n, 20)), 0.0, 0.0)
    twins = np.array([3 * N + 0, 4 * N + 1, 9 * N + 0, 9 * N + 7])  # (query, training example)
    monkeypatch.setitem(asked.setting.__dict__, "twins", twins)
    assert comparison.Comparison(asked, []).twin_first(of_method) == pytest.approx(2 / 3)
