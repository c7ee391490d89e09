"""TRAK by its authors' library, traker, an extra: beside ours, so that the two can be compared."""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import io
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kernel_core.held import temporary_folder
from kernel_core.lab.attributions.trak import GRADIENTS, Labels, Step, Values, trained_weights
from kernel_core.networks.kept_networks import Networks
from kernel_core.spec import Split

QUERIES = "queries"  # what the library calls the test examples


def is_installed() -> bool:
    """Return whether the library is there. It is not imported."""
    return importlib.util.find_spec("trak") is not None


def traker_scores(
    networks: Networks,
    labels: Labels,
    seed: int,
    *,
    numbers: int | None,
    step: Step = lambda: None,
) -> Values:
    """Return what the library's attributions are, as `trak_scores` does, float32 (n, N).

    It weighs the networks otherwise: it divides the inverse of each by the mean of its absolute values.
    """
    with temporary_folder("traker") as folder, _quiet():
        library = importlib.import_module("trak")
        traker = library.TRAKer(
            model=copy.deepcopy(networks.module),  # it loads each network into its module
            task="image_classification",
            train_set_size=len(labels["train"]),
            save_dir=str(folder),
            device="cpu",
            projector=_projector(networks, numbers, seed),
            use_half_precision=False,
            grad_wrt=trained_weights(networks.module),
            logging_level=logging.ERROR,
        )
        for number, state in enumerate(networks.states.values()):
            _score(traker, networks, dict(state), number, labels)
            step()
        return np.ascontiguousarray(traker.finalize_scores(exp_name=QUERIES).T)


def _projector(networks: Networks, numbers: int | None, seed: int) -> Any:
    projectors = importlib.import_module("trak.projectors")
    if numbers is None:
        return projectors.NoOpProjector(device="cpu")
    module = networks.module
    return projectors.BasicProjector(
        grad_dim=sum(module.get_parameter(name).numel() for name in trained_weights(module)),
        proj_dim=numbers,
        seed=seed,
        proj_type="normal",
        device="cpu",
        block_size=-(-numbers // 2),  # of a single block, the library loses the matrix between its steps
    )


def _score(traker: Any, networks: Networks, state: dict[str, Tensor], number: int, labels: Labels) -> None:
    """Let the library look at one network, by gradients of all training and then all test examples."""
    traker.load_checkpoint(state, model_id=number)
    for batch in _batches(networks, "train", labels):
        traker.featurize(batch=batch, num_samples=len(batch[1]))
    traker.finalize_features(model_ids=[number], del_grads=True)
    traker.start_scoring_checkpoint(QUERIES, state, model_id=number, num_targets=len(labels["test"]))
    for batch in _batches(networks, "test", labels):
        traker.score(batch=batch, num_samples=len(batch[1]))


def _batches(networks: Networks, split: Split, labels: Labels) -> Iterator[tuple[Tensor, Tensor]]:
    size = max(1, GRADIENTS // (4 * sum(p.numel() for p in networks.module.parameters())))
    for start in range(0, len(labels[split]), size):
        rows = slice(start, min(start + size, len(labels[split])))
        yield networks.inputs(split, rows), torch.from_numpy(labels[split][rows])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from printing its own bars, and from setting up logging for the whole program."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        root.removeHandler(handler)
