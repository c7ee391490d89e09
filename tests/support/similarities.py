"""The planted source with every kind of similarity: a further set of features, scores, and a table."""

import numpy as np
import pandas as pd

rng = np.random.default_rng(11)
FEATURES = {split: rng.normal(size=(n, 7)).astype(np.float32) for split, n in (("train", 130), ("test", 40))}
SCORES = rng.normal(size=(40, 130)).astype(np.float32)

SECTIONS = """
[features.clip]
train = "clip-train.npy"
test = "clip-test.npy"
title = "CLIP ViT-B/32"
by = ["cosine", "euclidean", "dot"]

[neighbors.trak]
file = "trak.npy"
title = "TRAK"

[neighbors.order]
file = "order.csv"
title = "An *order*"
"""


def write_rich_source(folder):
    """Add the sections to a planted source that is there, with their files; return its folder."""
    for split, values in FEATURES.items():
        np.save(folder / f"clip-{split}.npy", values)
    np.save(folder / "trak.npy", SCORES)
    nearest = np.argsort(-SCORES, axis=1)[:, 3:9]
    table = {"query_index": np.repeat(np.arange(40), 6), "database_index": nearest.ravel()}
    pd.DataFrame(table).to_csv(folder / "order.csv", index=False)
    path = folder / "source.toml"
    path.write_text(path.read_text() + SECTIONS)
    return folder
