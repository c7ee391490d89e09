"""Tables of predictions: joined to the examples by file name or id, or refused."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kernel_core.ensembles import opening
from kernel_core.errors import DataError
from kernel_core.pipeline import build
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from tests.support import oracle

CLASSES = ("ant", "bee", "cat")
RNG = np.random.default_rng(0)
COUNTS = {"train": 5, "test": 3}  # images per class
LOGITS = {
    split: RNG.normal(size=(6, 3 * n, 3)) + 3 * np.eye(3)[np.arange(3 * n) // n]
    for split, n in COUNTS.items()
}
LOGITS = {split: values.astype(np.float32) for split, values in LOGITS.items()}


@pytest.fixture
def root(tmp_path):
    for split, count in COUNTS.items():
        for name in CLASSES:
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{split}-{name}-{i}.png")
    (tmp_path / "runs").mkdir()
    return tmp_path


def names(split, form="{split}/{name}/{split}-{name}-{i}.png"):
    return [form.format(split=split, name=name, i=i) for name in CLASSES for i in range(COUNTS[split])]


def table(run, split, columns="logit_{c}", **form):
    """One run's predictions, the rows in a random order."""
    values = LOGITS[split][run]
    content = {"filename": names(split, **form), "label": np.arange(len(values)) % 3}
    content |= {columns.format(c=c, name=name): values[:, c] for c, name in enumerate(CLASSES)}
    return pd.DataFrame(content).sample(frac=1, random_state=run)


def toml(root, files, *lines):
    text = f'[images]\nfolder = "images"\n[ensemble]\nfiles = ["{files}"]\n'
    (root / "source.toml").write_text(text + "\n".join(lines))


def kernel(root, expected=LOGITS):
    neighbors = build(SourceRequest(str(root))).neighbors_by("kernel")
    oracle.assert_neighbors(
        neighbors.indices, neighbors.values, oracle.kernel(expected["test"], expected["train"]), 1e-5
    )


@pytest.mark.parametrize("ending", ["csv", "parquet", "tsv"])
def test_rows_are_put_into_the_order_of_the_images(root, cache, ending):
    """One table for both splits; the columns are in any order."""
    for run in range(6):
        both = pd.concat([table(run, "test"), table(run, "train")])[
            ["logit_2", "filename", "logit_0", "label", "logit_1"]
        ]
        path = root / f"runs/run-{run}.{ending}"
        if ending == "parquet":
            both.to_parquet(path, index=False)
        else:
            both.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    toml(root, f"runs/run-*.{ending}")
    kernel(root)


@pytest.mark.parametrize(
    "form", ["{name}/{split}-{name}-{i}.png", "/data/{split}/{name}/{split}-{name}-{i}.png",
             "{split}-{name}-{i}.png", "{split}-{name}-{i}", "./{name}\\{split}-{name}-{i}.png"]
)  # fmt: skip
def test_names_may_have_more_or_fewer_folders(root, cache, form):
    for run in range(6):
        for split in COUNTS:
            table(run, split, "{name}", form=form).to_csv(root / f"runs/run-{run}_{split}.csv", index=False)
    toml(root, "runs/run-*.csv")
    kernel(root)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_column_of_lists_is_read(root, cache, ending):
    for run in range(6):
        for split in COUNTS:
            rows = pd.DataFrame({"filename": names(split), "logit": LOGITS[split][run].tolist()})
            path = root / f"runs/run-{run}_{split}.{ending}"
            rows.to_csv(path, index=False) if ending == "csv" else rows.to_parquet(path)
    toml(root, f"runs/run-*.{ending}")
    kernel(root)


def test_probabilities_in_a_table_are_converted(root, cache):
    for run in range(6):
        for split in COUNTS:
            rows = table(run, split, "prob_{name}")
            columns = [f"prob_{name}" for name in CLASSES]
            p = np.exp(rows[columns].to_numpy(np.float64))
            rows[columns] = p / p.sum(1, keepdims=True)
            rows.to_csv(root / f"runs/run-{run}_{split}.csv", index=False)
    toml(root, "runs/run-*.csv", 'kind = "probabilities"')
    kernel(root)


def test_arrays_with_names_of_files_are_joined(root, cache):
    """Predictions of all runs, an archive per split, in another order than the images."""
    for split, count in COUNTS.items():
        order = RNG.permutation(3 * count)
        ids = np.array(names(split))[order]
        np.savez(root / f"runs/{split}.npz", predictions=LOGITS[split][:, order], filenames=ids)
    toml(root, "runs/*.npz")
    kernel(root)


def test_arrays_with_numbers_of_examples_are_joined(root, cache):
    order = RNG.permutation(9)
    np.savez(root / "runs/a.npz", test=LOGITS["test"][:, order], ids=order)
    toml(root, "runs/*.npz", 'splits = ["test"]')
    expected = oracle.kernel(LOGITS["test"], LOGITS["test"])
    np.fill_diagonal(expected, -2)
    neighbors = build(SourceRequest(str(root))).neighbors_by("kernel")
    oracle.assert_neighbors(neighbors.indices, neighbors.values, expected[:, :], 1e-5)
    np.savez(root / "runs/a.npz", test=LOGITS["test"], ids=order[[0, 0, *range(2, 9)]])
    with pytest.raises(DataError, match="of 9 test images"):
        build(SourceRequest(str(root)))


def without(rows):
    return rows.iloc[2:]


def doubled(rows):
    return pd.concat([rows, rows.iloc[:3]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without, r"run-0_test\.csv: of 9 test images, 2 have no row and 0 more than one"),
        (doubled, r"of 9 test images, 0 have no row and 3 more than one"),
        (lambda t: t.assign(filename="x.png"), "9 have no row"),
        (lambda t: t.drop(columns="filename"), r"expected one with file names, such as filename"),
        (
            lambda t: t.drop(columns="logit_1"),
            r"\['logit_0', 'logit_2'\] of numbers; expected one per",
        ),
        (lambda t: t.rename(columns={"logit_1": "other"}), "expected one per class"),
        (lambda t: t.assign(index_0=1), "its scores are sorted, the largest first"),
        (lambda t: t[["filename"]].assign(logit="[1, 2"), r"'logit' holds '\[1, 2'; expected a list"),
    ],
)
def test_table_that_does_not_fit_is_refused(root, cache, change, message):
    for split in COUNTS:
        rows = table(0, split)
        (change(rows) if split == "test" else rows).to_csv(root / f"runs/run-0_{split}.csv", index=False)
    toml(root, "runs/run-*.csv")
    with pytest.raises(DataError, match=message):
        build(SourceRequest(str(root)))


def test_key_names_what_rows_are_joined_to(root, cache):
    """If an image is renamed, rows belong elsewhere."""

    def key():
        request = SourceRequest(str(root))
        return plan_keys(open_source(request), request, Store()).inputs["kernel"]

    table(0, "test").to_csv(root / "runs/run-0.csv", index=False)
    toml(root, "runs/run-*.csv", 'splits = ["test"]')
    before = key()
    folder = root / "images/test/ant"
    (folder / "test-ant-0.png").rename(folder / "test-ant-9.png")
    assert key() != before


def test_rows_of_the_other_split_are_never_taken(root, cache):
    """File names are the same in both splits; the table for the test images is of the training images."""
    for split in COUNTS:
        for folder in (root / "images" / split).iterdir():
            for path in folder.iterdir():
                path.rename(folder / path.name.replace(f"{split}-", ""))
    toml(root, "runs/run-*.csv", 'splits = ["test"]')
    for run in range(6):
        rows = table(run, "train", form="train/{name}/{name}-{i}.png")
        rows.to_csv(root / f"runs/run-{run}.csv", index=False)
    with pytest.raises(DataError, match="of 9 test images, 9 have no row"):
        build(SourceRequest(str(root)))
    both = [
        pd.concat([table(run, s, form="/data/{split}/{name}/{name}-{i}.png") for s in COUNTS])
        for run in range(6)
    ]
    for run, rows in enumerate(both):
        rows.to_csv(root / f"runs/run-{run}.csv", index=False)
    toml(root, "runs/run-*.csv")
    kernel(root)


def test_sigmoid_output_in_a_table(root, cache):
    for name in ("cat",):
        for split in COUNTS:
            for path in (root / "images" / split / name).iterdir():
                path.unlink()
    z = {split: LOGITS[split][:, : 2 * n, 0] for split, n in COUNTS.items()}
    for run in range(6):
        for split, n in COUNTS.items():
            rows = pd.DataFrame({"filename": names(split)[: 2 * n], "output": z[split][run]})
            rows.to_csv(root / f"runs/run-{run}_{split}.csv", index=False)
    toml(root, "runs/run-*.csv", 'kind = "sigmoid"')
    kernel(root, {split: np.stack([0 * values, values], -1) for split, values in z.items()})


def test_tables_that_do_not_fit_into_the_memory_together_are_refused(root, cache, monkeypatch):
    for run in range(6):
        both = pd.concat([table(run, "test"), table(run, "train")])
        both.to_parquet(root / f"runs/run-{run}.parquet", index=False)
    toml(root, "runs/run-*.parquet")
    monkeypatch.setattr(opening, "memory_here", lambda: 6 * 4 * 3 * 24 - 1)
    with pytest.raises(DataError, match=r"6 such files more than .* Save them as \.npy or \.npz"):
        build(SourceRequest(str(root)))
    monkeypatch.setattr(opening, "memory_here", lambda: 6 * 4 * 3 * 24)
    kernel(root)
