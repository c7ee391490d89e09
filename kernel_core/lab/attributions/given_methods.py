"""The similarities that a source is given from test to training examples, as methods that find weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from kernel_core.array_files import form_of, open_arrays
from kernel_core.lab.attributions.asked import Asked, Rows, Weights
from kernel_core.lab.attributions.methods import Method
from kernel_core.sources.given import GivenNeighbors, open_given
from kernel_core.sources.source import Given
from kernel_core.spec import Split

MARK = "method"  # an array of tables that come from a method, which is judged itself
COLUMNS = 4_096  # of a matrix that are read at a time: whole columns may lie together in its file


def given_methods(asked: Asked) -> tuple[Method, ...]:
    """Return a method for each of them. Its weights are the scores; 0 for what a table does not list."""
    return tuple(_method(given) for given in _fitting(asked))


def _method(given: Given) -> Method:
    def prepare(asked: Asked) -> Rows:
        return _rows_of(_opened(asked, given), asked.places)

    def version(asked: Asked) -> object:
        return asked.setting.keys.inputs[given.name]

    return Method(f"given-{given.name}", f"{given.title} (given)", prepare, version=version)


def said_of_given(asked: Asked) -> tuple[str, ...]:
    """Return the sentences of an answer about those that are given; none if there are none."""
    fitting = _fitting(asked)
    tables = [given.title for given in fitting if _opened(asked, given).scores is None]
    said = []
    if fitting and asked.runs.are_own:
        titles = " and ".join(given.title for given in fitting)
        said.append(f"If {titles} came from these same runs, those held out here too, the score is too high.")
    if tables:
        what = "is given as a table" if len(tables) == 1 else "are given as tables"
        listed = "training examples that it does not list count with weight 0"
        said.append(f"{' and '.join(tables)} {what}: {listed}.")
    return tuple(said)


def _fitting(asked: Asked) -> list[Given]:
    given = asked.setting.keys.source.given
    return [of for of in given if (of.query, of.database) == ("test", "train") and not _is_ours(of)]


def _is_ours(given: Given) -> bool:
    return form_of(given.file) == "npz" and MARK in open_arrays(given.file, "given neighbors").arrays


def _opened(asked: Asked, given: Given) -> GivenNeighbors:
    return open_given(given, {split: len(of) for split, of in asked.setting.results.examples.items()})


def _rows_of(found: GivenNeighbors, places: Mapping[Split, npt.NDArray[np.int64]]) -> Rows:
    query, train = places["test"], places["train"]

    def of_matrix(queries: slice) -> Weights:
        assert found.scores is not None
        weights = np.empty((len(query[queries]), len(train)), np.float32)
        for start in range(0, len(train), COLUMNS):
            columns = slice(start, start + COLUMNS)
            weights[:, columns] = found.scores[np.ix_(query[queries], train[columns])]
        return weights

    def of_table(queries: slice) -> Weights:
        assert found.indices is not None
        assert found.values is not None
        some = query[queries]
        every = np.zeros((len(some), int(max(train.max(), found.indices.max())) + 1), np.float32)
        np.put_along_axis(every, found.indices[some].astype(np.int64), found.values[some], axis=1)
        return every[:, train]

    return of_matrix if found.scores is not None else of_table
