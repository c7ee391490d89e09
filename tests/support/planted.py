"""An ensemble in which the answer is known, and a source folder made of it."""

import io
import json
import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from safetensors.numpy import save_file

from kernel_core.explain.traces import Traces
from kernel_core.records import Ensemble

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLASS_NAMES = ("ant", "bee", "cat", "dog", "elk")


@dataclass(frozen=True)
class Planted:
    """An ensemble in which the answer is known.

    The logits of test example i equal those of training example `exact[i]` in every run; those of `near[i]`
    differ by a little noise. Test example 7's exact duplicate has another label.
    """

    test: np.ndarray  # float16 (M, N1, C)
    train: np.ndarray  # float16 (M, N2, C)
    exact: dict
    near: dict
    test_labels: np.ndarray
    train_labels: np.ndarray


def plant():
    """Return the planted ensemble, with the same numbers every time."""
    rng = np.random.default_rng(0)
    M, N1, N2, C = 24, 40, 130, 5  # runs, test examples, train examples, classes
    train_labels, test_labels = np.arange(N2) % C, np.arange(N1) % C
    train = rng.normal(size=(M, N2, C)) + 3 * np.eye(C)[train_labels]
    test = rng.normal(size=(M, N1, C)) + 3 * np.eye(C)[test_labels]
    exact = {0: 100, 1: 21, 7: 53}  # 7 % 5 = 2, 53 % 5 = 3: the labels differ
    near = {4: 64, 9: 129}
    for i, j in exact.items():
        test[:, i] = train[:, j]
    for i, j in near.items():
        test[:, i] = train[:, j] + 0.3 * rng.normal(size=(M, C))
    return Planted(test.astype(np.float16), train.astype(np.float16), exact, near, test_labels, train_labels)


def write_log(path, test, train):
    """Write a log.pt in the published layout. test, train: float16 (M, N, C)."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    accs = torch.full((len(test),), 0.9)
    content = {
        "logits": torch.from_numpy(test),
        "logits_train": torch.from_numpy(train),
        "accs": accs,
        "code": "# code",
    }
    torch.save(content, path)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path, images, labels, names):
    """Write Hub-style Parquet, with class names in the schema's metadata."""
    cells = [{"bytes": png(image), "path": f"{i}.png"} for i, image in enumerate(images)]
    features = {"img": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    table = pa.table({"img": cells, "label": pa.array(labels, pa.int64())})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def write_source(folder, planted):
    """Write a source, and return its folder.

    It has source.toml, Parquet images, the planted ensemble in two files, and features.
    """
    write_log(folder / "runs/a/log.pt", planted.test[:14], planted.train[:14])
    write_log(folder / "runs/b/log.pt", planted.test[14:], planted.train[14:])
    rng = np.random.default_rng(1)
    for split, labels in (("train", planted.train_labels), ("test", planted.test_labels)):
        images = rng.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
        write_parquet(folder / f"{split}.parquet", images, labels, CLASS_NAMES)
    features = {
        split: rng.normal(size=(n, 7)).astype(np.float16)
        for split, n in (("train", len(planted.train_labels)), ("test", len(planted.test_labels)))
    }
    save_file(features, folder / "penultimate.safetensors", metadata={"run": "0", "layer": "before the head"})
    (folder / "source.toml").write_text(
        'name = "planted"\n[images]\ntrain = "train.parquet"\ntest = "test.parquet"\n'
        '[ensemble]\nfiles = ["runs/*/log.pt"]\n[features]\nfile = "penultimate.safetensors"\n'
    )
    return folder


class Bomb:
    """An object whose unpickling makes a folder, which proves that code was run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def image_folder(root, sizes):
    """Write three PNG files per split and label. sizes: label → (width, height)."""
    for split in ("train", "test"):
        for label, size in sizes.items():
            (root / split / label).mkdir(parents=True)
            for n in range(3):
                color = (ord(label[0]) % 256, 10 * n, 80)
                Image.new("RGB", size, color).save(root / split / label / f"{n}.png")


def kept(logits, split="train"):
    """Return the traces of logits (M, N, C) that a build keeps."""
    from kernel_core.similarity.kernel_rows import trace_blocks

    ensemble = Ensemble(("made up",), ({split: logits},))
    return Traces(split, np.concatenate([of for _, of in trace_blocks(ensemble, split)]))
