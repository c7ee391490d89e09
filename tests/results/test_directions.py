"""Other directions of a source's results: what is built there is found, then and later."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from kernel_core import pipeline
from kernel_core.errors import RequestError
from kernel_core.results.directions import in_direction
from kernel_core.results.nearby import Nearby
from kernel_core.results.opening import open_results
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest

REQUEST = SourceRequest("digits")


@pytest.fixture
def store(digits_cache, tmp_path):
    """A cache that holds the digits from test to train, and that a test may add to."""
    shutil.copytree(digits_cache["KERNEL_EXPLORER_CACHE"], tmp_path / "cache")
    return Store(Path(tmp_path / "cache"))


def test_what_is_built_later_is_found(store):
    results = open_results(REQUEST, store)
    within = in_direction(results, REQUEST, store, "train", "train")
    built_before = set(within.names)
    assert within.fitting == ("kernel", "penultimate", "penultimate-euclidean", "pixels", "nngp")
    pipeline.build(
        SourceRequest("digits", query="train", database="train", similarities=("pixels",)), store=store
    )
    assert set(within.names) == built_before | {"pixels"}
    assert (within.query, within.database, within.within) == ("train", "train", "train")
    assert within.predictions is results.predictions_of["train"]

    images = results.examples["train"].images.reshape(1297, -1).astype(np.float64)
    images -= images.mean(axis=1, keepdims=True)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    cosine = images @ images.T
    np.fill_diagonal(cosine, -np.inf)
    found = within.neighbors_by("pixels")
    np.testing.assert_allclose(found.values[:, 0], cosine.max(axis=1), atol=1e-5)
    indices, values = Nearby(REQUEST, results, store).nearest(("train", 5), 3, "pixels", "train")
    assert indices.tolist() == found.indices[5, :3].tolist()
    assert values.tolist() == found.values[5, :3].tolist()


def test_own_direction_comes_back_as_it_is(digits_cache):
    store = Store(Path(digits_cache["KERNEL_EXPLORER_CACHE"]))
    results = open_results(REQUEST, store)
    assert in_direction(results, REQUEST, store, "test", "train") is results
    assert results.within == ""
    with pytest.raises(RequestError, match="no valid split in digits; expected train or test"):
        in_direction(results, REQUEST, store, "valid", "valid")
