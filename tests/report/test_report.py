"""`kernel-explorer report`: every figure of it computed again, the slow way, on the planted source."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import load_file

from kernel_core.cli import report as report_verb
from kernel_core.cli.main import main
from kernel_core.errors import RequestError
from kernel_core.explain.image_alignment import best_correlations
from kernel_core.report import pair_quality
from kernel_core.report.report import run_counts
from kernel_core.results.opening import open_results
from kernel_core.sources.source import SourceRequest
from tests.support.oracle import kernel
from tests.support.planted import write_source


def invoke(*words):
    return CliRunner().invoke(main, ["report", *map(str, words)])


@pytest.fixture(scope="module")
def built(planted, tmp_path_factory):
    """The planted source, a cache that holds it, the JSON that the command prints, and what it wrote."""
    folder = tmp_path_factory.mktemp("report")
    source = write_source(folder / "source", planted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERNEL_EXPLORER_CACHE", str(folder / "cache"))
        done = invoke(source, "--runs", "all,6,12", "--out", folder / "a/report", "--json")
    assert done.exit_code == 0, done.output
    return source, folder / "cache", json.loads(done.stdout), folder / "a/report"


@pytest.fixture
def saved(built, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_CACHE", str(built[1]))
    return built[2:]


@pytest.fixture
def source(built, saved):
    return built[0]


def knn3(similarity, planted):
    """Accuracy of the majority of the 3 largest of each row, ties to the smallest label."""
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :3]
    votes = [np.bincount(row, minlength=5).argmax() for row in planted.train_labels[nearest]]
    return float(np.mean(votes == planted.test_labels))


def test_each_row_is_what_the_slow_way_gives(saved, planted):
    report, _out = saved
    assert (report["runs"], report["examples"]) == (24, {"train": 130, "test": 40})
    top = kernel(planted.test, planted.train).argmax(1)
    assert [row["runs"] for row in report["by_runs"]] == [6, 12, 24]
    for row in report["by_runs"]:
        n = row["runs"]
        test, train = planted.test[:n].astype(np.float64), planted.train[:n].astype(np.float64)
        similarity = kernel(test, train)
        largest = np.argsort(-similarity, axis=1, kind="stable")[:, :20]
        weights = np.maximum(np.take_along_axis(similarity, largest, 1), 0) ** 4
        votes = np.zeros((40, 5))
        for c in range(5):
            votes[:, c] = (weights * (planted.train_labels[largest] == c)).sum(1)
        expected = {
            "single": (test.argmax(2) == planted.test_labels).mean(),
            "ensemble": (test.mean(0).argmax(1) == planted.test_labels).mean(),
            "kernel_knn3": knn3(similarity, planted),
            "kernel_weighted20": (votes.argmax(1) == planted.test_labels).mean(),
            "raw_kernel_knn3": knn3(kernel(test, train, transform="none"), planted),
            "agreement": (similarity.argmax(1) == top).mean(),
        }
        assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-12)
    agreements = [row["agreement"] for row in report["by_runs"]]
    assert agreements[0] < agreements[1] < agreements[2] == 1


def test_features_are_stated_once(saved, planted, source):
    report, out = saved
    tensors = load_file(source / "penultimate.safetensors")
    test, train = (tensors[split].astype(np.float64) for split in ("test", "train"))
    cosine = (test @ train.T) / np.linalg.norm(test, axis=1)[:, None] / np.linalg.norm(train, axis=1)
    euclidean = -np.linalg.norm(test[:, None] - train[None], axis=2)
    assert report["fixed"]["penultimate_knn3"] == knn3(cosine, planted)
    assert report["fixed"]["penultimate_euclidean_knn3"] == knn3(euclidean, planted)
    text = " ".join((out / "report.md").read_text().split())
    assert f"cosine {100 * knn3(cosine, planted):.2f}, Euclidean {100 * knn3(euclidean, planted):.2f}" in text
    table = pd.read_csv(out / "report.csv")
    assert list(table["penultimate_knn3"]) == [round(knn3(cosine, planted), 6)] * 3
    assert list(table["agreement"]) == [round(row["agreement"], 6) for row in report["by_runs"]]


def test_saved_files_are_the_same_bytes_again(saved, source):
    report, out = saved
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"report.md", "report.csv", "pairs.png"}
    done = invoke(source, "--runs", "6,12,24", "--out", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert done.stdout == before["report.md"].decode()
    assert Image.open(out / "pairs.png").width > 1_000
    assert "# planted" in done.stdout
    assert f"{100 * report['by_runs'][0]['kernel_knn3']:.2f}" in done.stdout


def test_source_without_features_says_so(source_folder, cache, tmp_path):
    toml = source_folder / "source.toml"
    toml.write_text(toml.read_text().partition("[features]")[0])
    done = invoke(source_folder, "--runs", "6", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "planted has no penultimate features" in done.stdout
    assert pd.read_csv(tmp_path / "out/report.csv")["penultimate_knn3"].isna().all()
    assert (
        json.loads(invoke(source_folder, "--runs", "6", "--json").stdout)["fixed"]["penultimate_knn3"] is None
    )


def test_pairs_are_described_as_planted(source, planted):
    results = open_results(SourceRequest(str(source)))
    train, test = results.examples["train"].images, np.array(results.examples["test"].images)
    for (
        i,
        j,
    ) in planted.exact.items():  # moved by a pixel and mirrored, so that pixels as they lie do not find it
        test[i] = np.roll(train[j], 1, axis=1)[:, ::-1]
    moved = {**results.examples, "test": replace(results.examples["test"], images=test)}
    results = replace(results, examples=moved)
    table = pair_quality.quality_table(results).set_index(["similarity", "first"])
    assert set(table["pairs"]) == {40, 4}
    whole = table.loc[("kernel", 1)]
    assert whole["alike"] == 3 / 40  # the images are noise but for the planted ones
    nearest = results.neighbors["kernel"].indices[:, 0]
    by_pixels = results.neighbors["pixels"].indices[:, 0]
    assert whole["nearest_by_pixels"] == (nearest == by_pixels).mean()
    assert whole["same_label"] == (planted.train_labels[nearest] == planted.test_labels).mean()
    assert whole["confidence"] == pytest.approx(results.predictions.confidence.mean())
    assert table.loc[("pixels", 1)]["nearest_by_pixels"] == 1
    baseline = table.loc[(pair_quality.RANDOM, 0)]
    surest = np.sort(results.predictions.confidence)[-4:]
    assert (baseline["same_label"], baseline["pairs"]) == (1, 4)
    assert baseline["confidence"] == pytest.approx(surest.mean())


@pytest.mark.parametrize("move", [(0, 0), (2, -1), (-2, 2)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_moved_and_mirrored_images_correlate_wholly(move, mirrored):
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (3, 24, 22, 3), dtype=np.uint8)
    first = scene[:, 4:20, 4:18]
    second = scene[:, 4 + move[0] : 20 + move[0], 4 + move[1] : 18 + move[1]]
    second = second[:, :, ::-1] if mirrored else second
    np.testing.assert_allclose(best_correlations(first, second // 2 + 40, pair_quality.SHIFT), 1, atol=1e-3)
    too_far = scene[:, 7:23, 4:18]
    assert (best_correlations(first, too_far, pair_quality.SHIFT) < 0.5).all()


def test_correlation_is_pearsons_and_0_for_one_color():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 256, (2, 5, 3, 3, 3), dtype=np.uint8)  # too small to be moved
    expected = [
        max(np.corrcoef(a.ravel(), c.ravel())[0, 1] for c in (b, b[:, ::-1]))
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(best_correlations(first, second, pair_quality.SHIFT), expected, atol=1e-12)
    assert (best_correlations(first, np.full_like(second, 7), pair_quality.SHIFT) == 0).all()


def test_pairs_by_variants_are_described_too(source, saved):
    words = ("--runs", "all", "--variant", "kernel.whitened", "--variant", "kernel.centred", "--json")
    report = json.loads(invoke(source, *words).stdout)
    names = {row["similarity"] for row in report["pairs"]}
    assert names - {row["similarity"] for row in saved[0]["pairs"]} == {"kernel.whitened", "kernel.centred"}
    assert report["fixed"] == saved[0]["fixed"], "a variant's accuracy depends on the number of runs"
    pairs = open_results(SourceRequest(str(source), similarities=("kernel.whitened",))).neighbors_by(
        "kernel.whitened"
    )
    first = next(row for row in report["pairs"] if row["similarity"] == "kernel.whitened")
    results = open_results(SourceRequest(str(source)))
    query = np.argsort(-pairs.values[:, 0], kind="stable")[: first["pairs"]]
    same = results.labels[0][query] == results.labels[1][pairs.indices[query, 0]]
    assert first["same_label"] == pytest.approx(same.mean())
    assert invoke(source, "--variant", "kernel.soft").exit_code == 2


def test_default_numbers_of_runs_reach_all():
    assert run_counts(None, 5) == [5]
    assert run_counts(None, 500) == [10, 20, 50, 100, 200, 500]
    assert run_counts(None, 2_000) == [10, 20, 50, 100, 200, 500, 1_000, 2_000]
    for count in (1, 60):
        with pytest.raises(RequestError, match="Choose numbers from 2 to 59"):
            run_counts([count], 59)


@pytest.mark.parametrize("runs", ["ten", "", "5,,9", "-4", "1.5", "1"])
def test_runs_that_are_not_numbers_are_wrong_usage(runs):
    done = invoke("digits", f"--runs={runs}")
    assert done.exit_code == 2
    assert "is not a list of numbers of runs" in done.stderr


def test_runs_that_there_are_not_are_refused(source, tmp_path):
    done = invoke(source, "--runs", "25,all", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "from 2 to 24" in done.stderr
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be_written_is_refused_before_anything_is_computed(source, monkeypatch):
    monkeypatch.setattr(report_verb, "make_report", lambda *_: pytest.fail("computed"))
    done = invoke(source, "--out", source / "source.toml" / "below")
    assert done.exit_code == 2
    assert "Choose another --out" in done.stderr
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "takes no files" in invoke(source, "--out", source / "new").stderr


def test_disk_that_fills_up_leaves_the_old_report(saved, source, monkeypatch):
    _report, out = saved
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(self, file, **_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    done = invoke(source, "--runs", "6,12,24", "--out", out)
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
