"""The kernel and cosines of pixels on many training examples, which are read block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kernel_core.block_array import unmap_large
from kernel_core.lab.attributions.asked import Asked, Rows, Weights
from kernel_core.lab.blocks import in_blocks
from kernel_core.lab.run_sets import logits_of, runs_of
from kernel_core.nngp import gray_inputs
from kernel_core.records import Ensemble
from kernel_core.similarity.kernel import kernel_rows
from kernel_core.similarity.kernel_rows import KernelRows
from kernel_core.spec import Split

BLOCK_BYTES = 32_000_000  # of float32 rows


def kernel_of(asked: Asked, runs: Sequence[int]) -> Rows:
    """Return what gives the kernel of some runs. runs: rising."""
    ensemble, places = asked.setting.ensemble, asked.places["train"]
    query = logits_of(ensemble, "test", runs, asked.places["test"])
    of_query = kernel_rows(torch.from_numpy(query).permute(1, 2, 0))[0].flatten(1)
    if len(places) < ensemble.example_count("train"):
        logits = logits_of(ensemble, "train", runs, places)
        chosen = Ensemble(("the runs of a question",), ({"train": logits},))
    else:
        chosen = runs_of(ensemble, "train", runs)
    chosen = replace(chosen, files=ensemble.files)
    database, device = KernelRows(chosen, "train"), torch.device("cpu")
    return _products(of_query, len(places), lambda start, stop: database.block(start, stop, device))


def pixel_cosine_of(asked: Asked) -> Rows:
    """Return what gives the cosine of gray levels, minus the mean image of the training examples."""
    inputs = gray_inputs(asked.examples)

    def unit(split: Split, examples: slice) -> Tensor:
        return torch.nn.functional.normalize(torch.from_numpy(inputs[split][examples]).float())

    of_query = unit("test", slice(None))
    return _products(of_query, len(inputs["train"]), lambda start, stop: unit("train", slice(start, stop)))


def feature_cosine_of(
    query: npt.NDArray[Any], train: npt.NDArray[Any], places: npt.NDArray[np.int64]
) -> Rows:
    """Return what gives the cosine of features. query: (n, D); train: of all examples, perhaps mapped."""

    def unit(values: npt.NDArray[Any]) -> Tensor:
        found = torch.nn.functional.normalize(torch.from_numpy(np.array(values)).float())
        unmap_large(train)
        return found

    return _products(unit(query), len(places), lambda start, stop: unit(train[places[start:stop]]))


def _products(of_query: Tensor, N: int, of_train: Callable[[int, int], Tensor]) -> Rows:
    """Return what gives the products of rows. of_query: (n, d); of_train: start, stop → (b, d)."""
    step = max(1, BLOCK_BYTES // (4 * of_query.shape[1]))

    def rows(queries: slice) -> Weights:
        asked = of_query[queries]
        found = np.empty((len(asked), N), np.float32)
        products = in_blocks(N, step, lambda train: asked @ of_train(train.start, train.stop).T)
        for train, block in products:
            found[:, train] = block.numpy()
        return found

    return rows
