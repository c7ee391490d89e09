"""Attributions written as given neighbors, and given neighbors judged as attributions."""

import numpy as np
import pytest
import torch

from kernel_core.errors import RequestError
from kernel_core.lab.ask import Order, ask
from kernel_core.lab.attributions import asked as asked_module
from kernel_core.lab.attributions import giving
from kernel_core.lab.attributions.answer import asked_of
from kernel_core.lab.attributions.given_methods import given_methods
from kernel_core.lab.attributions.giving import give_neighbors
from kernel_core.lab.attributions.methods import methods_for
from kernel_core.pipeline import build
from kernel_core.progress import no_progress
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import Given, SourceRequest
from kernel_core.sources.toml_edits import given_lines
from tests.lab.test_subset_runs import N, n, opened, planted, write  # noqa: F401 (a fixture)
from tests.support.command import invoke

ALL = Order(queries=None)


@pytest.fixture
def own(write):  # noqa: F811
    """A request for a source whose runs were each trained on a part of the training set."""
    return write("own", *planted()[:3])


def given_to(request, folder):
    return give_neighbors(request, ALL, folder, device="cpu", budget=None, progress=no_progress)


def weights_of(request):
    """Each method's weights of all test examples, by its name."""
    asked = asked_of(opened(request, queries=None))
    return {of.name: np.array(of.prepare(asked)(slice(0, n))) for of in methods_for(asked)}


def largest(weights, k):
    """The k largest of each row, ties by index, the plain way: indices and values."""
    indices = np.argsort(-weights, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(weights, indices, 1)


def test_files_hold_the_largest_weights_of_every_test_example(own, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(asked_module, "AT_A_TIME", 4 * N * 7)  # 7 test examples at a time
    toml = tmp_path / "own" / "source.toml"
    toml.write_text(toml.read_text() + "# mine\n")
    told = invoke("lab", "attribution", own.name, "--give", str(toml.parent / "given"), "--json")
    assert told.exit_code == 0, told.output
    assert "effects.npz" in told.output
    assert "# mine" in toml.read_text()
    given, expected = open_source(own).given, weights_of(own)
    assert [of.name for of in given] == [name for name in expected if name not in ("kernel", "label")]
    results = build(own, device="cpu")
    for of in given:
        found, weights = results.neighbors_by(of.name), expected[of.name]
        close = {"rtol": 1e-3, "atol": 1e-6 * np.abs(weights).max()}  # sums of other blocks round otherwise
        np.testing.assert_allclose(found.values, largest(weights, 50)[1], **close)
        np.testing.assert_allclose(np.take_along_axis(weights, found.indices, 1), found.values, **close)
    before = toml.read_text()
    assert given_to(own, toml.parent / "given") == (given, toml)
    assert toml.read_text() == before
    (table,) = ask("attribution", own, ALL, device="cpu").tables
    assert len(table.rows) == len(expected), "what comes from a method is not judged again"


def test_another_similarity_of_the_same_name_is_left_alone(own, cache, tmp_path):
    toml = tmp_path / "own" / "source.toml"
    np.save(tmp_path / "own" / "mine.npy", np.zeros((n, N)))
    toml.write_text(toml.read_text() + '[neighbors.datamodels]\nfile = "mine.npy"\n')
    given, _ = given_to(own, tmp_path / "own" / "given")
    assert {"effects", "datamodels-lab"} <= {of.name for of in given}
    assert {of.name: of.file.name for of in open_source(own).given}["datamodels"] == "mine.npy"
    before = toml.read_text()
    with pytest.raises(RequestError, match="'datamodels' and 'datamodels-lab'"):
        given_to(own, tmp_path / "own" / "elsewhere")
    assert toml.read_text() == before
    assert not (tmp_path / "own" / "elsewhere").exists()


def test_part_of_the_examples_is_refused_before_any_network_is_trained(
    source_folder, cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(giving, "MOST", {"test": 5, "train": 1_500})
    monkeypatch.setattr(giving, "asked_of", None)
    with pytest.raises(RequestError, match="for 1,500 and 5 at most, but neighbors are given for all"):
        given_to(SourceRequest(str(source_folder)), tmp_path / "given")
    assert not (tmp_path / "given").exists()


def test_given_neighbors_are_judged_as_what_they_hold(own, cache, tmp_path):
    effects, folder, truth = weights_of(own)["effects"], tmp_path / "own", planted()[3]
    indices, values = largest(effects, 30)
    np.save(folder / "matrix.npy", np.asfortranarray(effects))
    np.save(folder / "own.npy", np.eye(N))  # train→train: nothing that a test example could be asked by
    torch.save({"weight": torch.from_numpy(truth.T.copy()), "bias": torch.zeros(n)}, folder / "truth.pt")
    np.savez(folder / "table.npz", indices=indices, values=values)
    toml = folder / "source.toml"
    toml.write_text(
        toml.read_text() + '[neighbors.matrix]\nfile = "matrix.npy"\n'
        '[neighbors.table]\nfile = "table.npz"\ntitle = "Table"\n'
        '[neighbors.own]\nfile = "own.npy"\nquery = "train"\n[neighbors.truth]\nfile = "truth.pt"\n'
    )
    answer = ask("attribution", own, ALL, device="cpu")
    (table,) = answer.tables
    measured = [i for i, name in enumerate(table.columns) if name.split(",")[0] not in ("memory", "method")
                and not name.startswith("processor")]  # fmt: skip
    rows = {row[0]: [row[i] for i in measured] for row in table.rows}
    assert rows["matrix (given)"] == rows["effects"]
    assert rows["truth (given)"][0] == "1.000 (1.000 to 1.000)"
    assert rows["Table (given)"] != rows["effects"]
    assert answer.seen[-1].startswith("Table is given as a table")
    zeros = np.zeros((n, N))
    np.put_along_axis(zeros, indices, values, axis=1)
    asked = asked_of(opened(own, queries=7))
    (of_table,) = (of for of in given_methods(asked) if of.title == "Table (given)")
    expected = zeros[asked.places["test"]][2:5]
    np.testing.assert_allclose(of_table.prepare(asked)(slice(2, 5)), expected, rtol=1e-6)


def test_verb_takes_the_option_for_one_question_and_prints_lines_without_a_file(own, cache, tmp_path):
    refused = invoke("lab", "runs", own.name, "--give", str(tmp_path / "given"))
    assert refused.exit_code == 2
    assert "--give is for attribution, not for runs." in refused.output
    lines = given_lines([Given("trak", "TRAK", tmp_path / "trak.npz", "test", "train")])
    assert lines == f'[neighbors.trak]\nfile = "{tmp_path}/trak.npz"\ntitle = "TRAK"'
