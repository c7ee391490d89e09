"""Changed copies of training images: what must find them does, and the shares are counted as they say."""

from dataclasses import replace

import numpy as np
import pytest

from kernel_core.explain.aligned_pixels import aligned_pixels
from kernel_core.networks import patches
from kernel_core.pipeline import build, heads
from kernel_core.recipes import PatchesRecipe
from kernel_core.sources import catalog
from kernel_core.sources.source import SourceRequest
from tests.trials import planted_changes
from tests.trials.planted_changes import CHANGES, SIMILARITIES, nearest_by_all, plant, shares

TEST, ORIGINALS = 60, 10


@pytest.fixture
def few(monkeypatch):
    """Few features, short trainings and three changes."""
    monkeypatch.setattr(heads, "PATCHES", PatchesRecipe(side=5, directions=40, cells=2))
    monkeypatch.setattr(patches, "SAMPLE", 5000)
    short = replace(catalog.HEADS_TRAINING.recipe, steps=100)
    monkeypatch.setattr(catalog, "HEADS_TRAINING", replace(catalog.HEADS_TRAINING, recipe=short))
    changes = {name: CHANGES[name] for name in ("none", "shifted by 1/8", "mirrored")}
    monkeypatch.setattr(planted_changes, "CHANGES", changes)


@pytest.mark.slow
@pytest.mark.usefixtures("few", "cache", "one_thread")
def test_copies_shifted_and_mirrored_ones_behave_as_they_must(tmp_path):
    chosen = plant("digits", tmp_path, train=300, test=TEST, originals=ORIGINALS)
    results = build(SourceRequest(str(tmp_path), 32, similarities=SIMILARITIES))
    images = results.examples["test"].images[TEST:], results.examples["train"].images
    found, _clear = shares(results, chosen, TEST)
    assert (found.loc["none"] == 100).all(), "an exact copy is the nearest by everything"
    for _nearest, values in nearest_by_all(results).values():
        assert values[TEST : TEST + ORIGINALS].min() >= values[:TEST].max() - 1e-6, "and nearer than all else"
    px = aligned_pixels(*images, np.tile(chosen, 3)[:, None]).reshape(3, ORIGINALS)
    np.testing.assert_allclose(px[0], 1, atol=1e-5)
    np.testing.assert_allclose(px[2], 1, atol=1e-5, err_msg="aligned pixels do not see a mirror")
    assert px[1].min() > 0.8, "nor a shift, but for the rim"
    assert found.loc["mirrored", "pixels"] <= 30, "pixels as they are do"


def test_shares_are_of_copies_found_and_of_those_above_the_border(monkeypatch):
    monkeypatch.setattr(planted_changes, "CHANGES", {"none": None, "mirrored": None})
    unplanted = np.linspace(0, 0.99, 200)  # its second largest value is the border of a hundredth
    values = np.concatenate([unplanted, [0.999, 0.98, 0.97, 0.999]])
    nearest = np.concatenate([np.zeros(200, int), [7, 9, 7, 8]])
    monkeypatch.setattr(planted_changes, "nearest_by_all", lambda _: {"kernel": (nearest, values)})
    found, clear = shares(None, np.array([7, 9]), 200)
    assert found["kernel"].to_dict() == {"none": 100, "mirrored": 50}
    assert clear["kernel"].to_dict() == {"none": 50, "mirrored": 0}
