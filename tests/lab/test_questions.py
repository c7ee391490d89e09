"""Open questions put to a planted source: each point against an oracle in float64, and the answers kept."""

import json

import numpy as np
import pytest
import torch

from kernel_core.errors import DataError, RequestError
from kernel_core.lab import ask, setting
from kernel_core.lab.ask import Order
from kernel_core.lab.curves import difference
from kernel_core.lab.function_rows import rows_of
from kernel_core.lab.functions import FUNCTIONS
from kernel_core.lab.run_sets import disjoint_sets, runs_of
from kernel_core.progress import no_progress
from kernel_core.results.answers import QUESTIONS, Answer, read_answer
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.support.command import invoke

RUNS = (1, 4, 5, 9, 20)


def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def log_odds(x):
    p = np.exp(log_softmax(x))
    return np.log(p) - np.log1p(-p)


ORACLES = {
    "log_softmax": log_softmax,
    "none": lambda x: x,
    "centred": lambda x: x - x.mean(-1, keepdims=True),
    "shift": lambda x: x.mean(-1, keepdims=True),
    "log_odds": log_odds,
    "temperature-0.5": lambda x: log_softmax(x / 0.5),
    "temperature-2": lambda x: log_softmax(x / 2),
}


def values_of(test, train, function, classes=None):
    """The kernel of two splits' logits (M, N, C), in float64."""
    if function == "with-shift":
        return 0.8 * values_of(test, train, "log_softmax") + 0.2 * values_of(test, train, "shift")
    standard = []
    for logits in (test, train):
        z = ORACLES[function](logits.astype(np.float64))
        z = z if classes is None else z[..., list(classes)]
        standard.append((z - z.mean(0)) / z.std(0, ddof=1))
    M, _, C = standard[0].shape
    return np.einsum("ric,rjc->ij", *standard) / (M * C)


def open_planted(source_folder, **order):
    request = SourceRequest(str(source_folder / "source.toml"))
    return ask.open_setting(
        request, Order(**order), device="cpu", budget=None, progress=no_progress, store=Store()
    )


@pytest.fixture
def opened(source_folder, cache):
    return open_planted(source_folder)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("classes", [None, (3,), (0, 4)])
def test_point_is_what_an_oracle_finds(opened, planted, function, classes):
    if classes and not FUNCTIONS[function].has_classes:
        return
    point = opened.point(function, RUNS, classes)
    test, train = planted.test[list(RUNS)], planted.train[list(RUNS)]
    values = values_of(test, train, function, classes)
    order = np.argsort(-values, axis=1, kind="stable")
    rows = np.arange(len(values))
    found = values[rows, point.nearest]
    assert np.abs(found - values[rows, order[:, 0]]).max() < 2e-6
    votes = planted.train_labels[order[:, :3]]
    majority = np.array([np.bincount(row, minlength=5).argmax() for row in votes])
    clear = values[rows, order[:, 2]] - values[rows, order[:, 3]] > 1e-5
    assert (point.right["knn3"] == (majority == planted.test_labels))[clear].all()
    predicted = test.astype(np.float64).sum(0).argmax(-1)
    assert (point.right["ensemble"] == (predicted == planted.test_labels)).all()


def test_drawn_examples_are_some_of_all_and_the_same_for_a_seed(source_folder, cache, opened):
    every = opened.point("log_softmax", RUNS)
    some = open_planted(source_folder, queries=12, seed=3)
    assert len(some.queries) == 12 == len(set(some.queries))
    assert some.point("log_softmax", RUNS).nearest.tolist() == every.nearest[some.queries].tolist()
    again = open_planted(source_folder, queries=12, seed=3)
    assert again.queries.tolist() == some.queries.tolist()


def test_point_is_read_where_it_is_known(opened, monkeypatch):
    first = opened.point("none", RUNS)
    monkeypatch.setattr(setting, "TopKSearch", None)  # which no second search could call
    again = opened.point("none", RUNS)
    assert again.nearest.tolist() == first.nearest.tolist()
    with pytest.raises(TypeError):
        opened.point("none", (1, 2))


def test_disjoint_sets_share_no_run_and_grow_from_each_other():
    few, more = (disjoint_sets(24, size, 10, seed=1) for size in (3, 6))
    assert len(few) == 8
    assert sorted(run for runs in few for run in runs) == list(range(24))
    assert set(more[0]) == {*few[0], *few[1]}


def test_difference_is_that_of_paired_means(opened):
    first, second = (opened.point(function, RUNS) for function in ("log_softmax", "shift"))
    found = difference([first], [second], "knn3")
    paired = second.right["knn3"].astype(float) - first.right["knn3"]
    assert found.value == pytest.approx(second.share("knn3") - first.share("knn3"))
    assert found.high - found.value == pytest.approx(1.96 * paired.std(ddof=1) / np.sqrt(len(paired)))


@pytest.mark.parametrize(
    "question", [name for name in QUESTIONS if name not in ("attribution", "variation")]
)  # these have tests of their own
def test_answer_is_kept_and_read_back(source_folder, cache, question):
    request = SourceRequest(str(source_folder / "source.toml"))
    found = ask.ask(question, request, Order(counts=(2, 4, 8, 12)), device="cpu")
    keys = plan_keys(open_source(request, offline=True), request, Store())
    assert read_answer(keys, question, Store()) == found
    assert Answer.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.seen
    for panel in found.panels:
        for curve in panel.curves:
            y, low, high = (np.array(of) for of in (curve.y, curve.low, curve.high))
            assert len(curve.x) == len(y)
            assert (low <= y + 1e-9).all() & (y <= high + 1e-9).all()


def test_known_twins_take_the_place_of_those_found(source_folder, cache, planted, tmp_path):
    every = open_planted(source_folder)
    point = every.point("log_softmax", RUNS)
    named = [(i, int(point.nearest[i])) for i in range(3)] + [(3, int(point.nearest[3] == 0))]
    listed = tmp_path / "twins.txt"
    listed.write_text("".join(f"train:{j},test:{i}\n" for i, j in named) + "test:5,test:6\n")
    setting = open_planted(source_folder, truth=listed)
    assert sorted(setting.twins) == sorted(i * len(planted.train_labels) + j for i, j in named)
    assert setting.point("log_softmax", RUNS).share("twin_first") == 0.75  # three of four
    request = SourceRequest(str(source_folder / "source.toml"))
    answer = ask.ask("transforms", request, Order(counts=(4, 8), truth=listed), device="cpu")
    assert "4 of the query examples have one; they are those of twins.txt" in answer.bands
    assert f"--truth {listed} " in answer.command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("test:0,train:0,different\n", "no twins from test to train"),
        ("nothing\n", "has no pair of this source"),
    ],
)
def test_list_without_twins_is_refused(source_folder, cache, tmp_path, text, words):
    listed = tmp_path / "twins.txt"
    listed.write_text(text)
    with pytest.raises(DataError, match=words):
        open_planted(source_folder, truth=listed)


def test_few_runs_are_refused(source_folder, cache):
    request = SourceRequest(str(source_folder / "source.toml"), run_count=3)
    with pytest.raises(RequestError, match="3 runs"):
        ask.ask("transforms", request, Order(), device="cpu")
    request = SourceRequest(str(source_folder / "source.toml"), run_count=9)
    with pytest.raises(RequestError, match="10 runs or more"):
        ask.ask("classes", request, Order(), device="cpu")


def test_verb_prints_writes_and_refuses(source_folder, cache, tmp_path):
    source, out = str(source_folder / "source.toml"), tmp_path / "out"
    done = invoke("lab", "runs", source, "--counts", "2,4,8,12", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("# How many runs?")
    assert sorted(path.name for path in out.iterdir()) == ["answer.json", "answer.md", "answer.png"]
    answer = json.loads(invoke("lab", "runs", source, "--counts", "2,4,8,12", "--json").stdout)
    kept = json.loads((out / "answer.json").read_text())
    assert {**answer, "seconds": 0} == {**kept, "seconds": 0}
    assert "--counts 2,4,8,12" in answer["command"]
    for words, said in (
        (("lab", "nothing", source), "nothing"),
        (("lab", "runs", source, "--counts", "1"), "each 2 or more"),
        (("lab", "runs", source, "--queries", "no"), "number of examples"),
        (("lab", "runs", source, "--out", source), "is a file"),
    ):
        refused = invoke(*words)
        assert refused.exit_code == 2
        assert said in refused.stderr


@pytest.mark.parametrize("function", FUNCTIONS)
def test_rows_of_a_part_of_the_runs_are_those_of_all(opened, function):
    """Which are made where the rows of all runs do not fit into the memory."""
    ensemble = runs_of(opened.ensemble, "train", RUNS)
    rows = rows_of(FUNCTIONS[function], ensemble, "train", None)
    N, device = len(rows), torch.device("cpu")
    whole = rows.block(0, N, device).view(N, rows.width, len(RUNS))
    part = rows.block(3, 9, device, slice(1, 4)).view(6, rows.width, 3)
    torch.testing.assert_close(part, whole[3:9, :, 1:4], rtol=2e-5, atol=2e-6)
