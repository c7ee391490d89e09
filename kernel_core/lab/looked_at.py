"""Small networks at their start and along their training: their outputs, kept, beside the closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kernel_core.lab.all_pairs import Values
from kernel_core.lab.cnn_nngp import cnn_nngp_correlation
from kernel_core.lab.setting import Setting
from kernel_core.machine import one_thread
from kernel_core.networks import mlp, plain_cnn
from kernel_core.networks.plain_cnn import PlainCnnRecipe, images_of
from kernel_core.nngp import nngp_correlation
from kernel_core.progress import Progress
from kernel_core.recipes import DIGITS
from kernel_core.records import ExampleSet
from kernel_core.spec import Split

MLP = replace(DIGITS, epochs=30)
CNN = PlainCnnRecipe(side=8, widths=(16, 32), epochs=10, batch=64, learning_rate=1e-2, label_smoothing=0.1)
FORMAT = 2  # of an entry of outputs
Logits = npt.NDArray[np.float16]  # (M, n, C)
Examples = Mapping[Split, ExampleSet]
Looked = dict[int, dict[Split, Logits]]
"""Epoch → split → logits of the networks that were looked at then; 0 is the start."""


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of network.

    name: what people call it. networks: how many are looked at, at their start. trained: how many of them are
    trained. together: whose kernel is looked at after an epoch. in_entry: networks whose outputs are kept
    together. epochs: those after which the trained ones are looked at, from 0. recipe: how they are trained.
    look: the number of an entry, epochs and a seed → logits by epoch and split. closed: the closed form of
    all pairs of test and training examples. Both are given the kind first.
    """

    name: str
    networks: int
    trained: int
    together: int
    in_entry: int
    epochs: tuple[int, ...]
    recipe: Any
    look: Callable[[Kind, Examples, int, Sequence[int], int], dict[int, dict[Split, npt.NDArray[Any]]]]
    closed: Callable[[Kind, Examples, Progress], Values]


def _look_at_mlps(
    kind: Kind, examples: Examples, entry: int, epochs: Sequence[int], seed: int
) -> dict[int, dict[Split, npt.NDArray[Any]]]:
    return dict(mlp.logits_by_epoch(kind.recipe, examples, entry, seed, epochs))


def _look_at_cnns(
    kind: Kind, examples: Examples, entry: int, epochs: Sequence[int], seed: int
) -> dict[int, dict[Split, npt.NDArray[Any]]]:
    runs = range(entry * kind.in_entry, (entry + 1) * kind.in_entry)
    found = [plain_cnn.logits_by_epoch(kind.recipe, examples, run, seed, epochs) for run in runs]
    return {
        epoch: {split: np.stack([of[epoch][split] for of in found]) for split in examples} for epoch in epochs
    }


def _mlp_closed_form(kind: Kind, examples: Examples, _progress: Progress) -> Values:
    query, database = (
        mlp.inputs_of(examples[split], examples["train"]).double().numpy() for split in ("test", "train")
    )
    return nngp_correlation(query, database, len(kind.recipe.hidden))


def _cnn_closed_form(kind: Kind, examples: Examples, progress: Progress) -> Values:
    query, database = (
        images_of(examples[split], examples["train"], kind.recipe.side).permute(0, 2, 3, 1).numpy()
        for split in ("test", "train")
    )
    with one_thread():
        return cnn_nngp_correlation(query, database, len(kind.recipe.widths), progress=progress)


KINDS = (
    Kind(
        "fully connected", 4 * mlp.GROUP, 2 * mlp.GROUP, mlp.GROUP, mlp.GROUP,
        (0, 1, 2, 3, 4, 6, 10, 15, 20, 30), MLP, _look_at_mlps, _mlp_closed_form,
    ),
    Kind(
        "convolutional", 64, 64, 32, 16, (0, 1, 2, 3, 4, 6, 8, 10), CNN, _look_at_cnns, _cnn_closed_form,
    ),
)  # fmt: skip


def look_at(setting: Setting, kind: Kind, examples: Examples) -> Looked:
    """Return the logits of the networks of a kind, from the cache if they are known."""
    found: Looked = {epoch: {} for epoch in kind.epochs}
    entries = []
    done = setting.counter(f"{kind.name} networks to look at", kind.networks // kind.in_entry)
    for entry in range(kind.networks // kind.in_entry):
        entries.append(_entry(setting, kind, examples, entry))
        done()
    for epoch in kind.epochs:
        for split in examples:
            name = f"{split}_{epoch}"
            found[epoch][split] = np.concatenate([of[name] for of in entries if name in of])
    return found


def closed_form(setting: Setting, kind: Kind, examples: Examples) -> Values:
    """Return the closed form of a kind's networks between test and training examples, (n, m), kept too."""
    content = _content(setting, kind, examples) | {"of": "closed form"}
    about = f"closed form of {kind.name} networks"
    compute = lambda: {"values": kind.closed(kind, examples, setting.progress)}
    values: Values = np.asarray(setting.kept(content, compute, about)["values"], np.float64)
    return values


def _entry(setting: Setting, kind: Kind, examples: Examples, entry: int) -> dict[str, Logits]:
    is_trained = (entry + 1) * kind.in_entry <= kind.trained
    epochs = kind.epochs if is_trained else (0,)
    parts = {"of": "outputs by epoch", "networks": kind.in_entry, "entry": entry, "epochs": list(epochs)}

    def compute() -> dict[str, npt.NDArray[Any]]:
        with one_thread():
            looked = kind.look(kind, examples, entry, epochs, setting.seed)
        return {
            f"{split}_{epoch}": looked[epoch][split].astype(np.float16)
            for epoch in epochs
            for split in examples
        }

    about = f"outputs of {kind.in_entry} {kind.name} networks by epoch"
    return dict(setting.kept(_content(setting, kind, examples) | parts, compute, about))


def _content(setting: Setting, kind: Kind, examples: Examples) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "images": setting.keys.examples,
        "recipe": {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(kind.recipe).items()},
        "kind": kind.name,
        "seed": setting.seed,
        "drawn": [len(of_split) for of_split in examples.values()],
    }
