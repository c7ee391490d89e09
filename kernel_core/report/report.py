"""The claims about the kernel, put to the test on a source: accuracy by number of runs, and what the pairs look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.pairs import nearest_pairs
from kernel_core.findings.votes import knn_accuracy
from kernel_core.report import pair_quality
from kernel_core.results.accuracy import accuracies
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import ADJECTIVES, SIMILARITIES, Split, run_count_steps

FIGURE_PAIRS = 24
Opens = Callable[[SourceRequest], Results]


@dataclass(frozen=True, eq=False)
class Report:
    """What was found of a source; accuracies and shares are fractions of the test examples.

    by_runs: a row a number of runs, columns runs, single, ensemble, kernel_knn3, kernel_weighted20, raw_kernel_knn3
    (logits without log_softmax), agreement (the share of test examples whose nearest by these runs is the one
    by all). examples: how many each split has. neighbor: what it is, in words. fixed: penultimate_knn3, penultimate_euclidean_knn3 and pixels_knn3, which do not depend on
    the number of runs; None without features. layer and run: of the features. pairs: as `likeness.quality_table` says.
    """

    name: str
    runs: int
    examples: dict[Split, int]
    neighbor: str
    classes: int
    by_runs: pd.DataFrame
    fixed: dict[str, float | None]
    layer: str
    run: str
    pairs: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        tables = {"by_runs": self.by_runs, "pairs": self.pairs}
        rows = {name: table.to_dict("records") for name, table in tables.items()}
        return {**{key: value for key, value in asdict(self).items() if key not in rows}, **rows}


def run_counts(asked: Sequence[int | None] | None, total: int) -> list[int]:
    """The numbers of runs reported on, rising, each once; asked: None in it for all, None for 10, 20, 50, 100, … all.

    Raises `RequestError` for fewer than 2 runs or more than the `total` there are.

    >>> run_counts(None, 256), run_counts([None, 50, 5], 59)
    ([10, 20, 50, 100, 200, 256], [5, 50, 59])
    """
    if asked is None:
        return run_count_steps(total)
    counts = sorted({total if count is None else count for count in asked})
    for count in counts:
        if not 2 <= count <= total:
            raise RequestError(
                f"{count:,} run(s) were asked for, but the kernel takes 2 or more and the ensemble opened has "
                f"{total:,}: expected numbers from 2 to {total:,}, or all."
            )
    return counts


def make_report(
    request: SourceRequest, asked: Sequence[int | None] | None, opens: Opens
) -> tuple[Report, Results]:
    """The report on a source, and its results by all runs; opens: how results come about, built or read.

    asked: as in `run_counts`. Every result is one that the cache keeps, so that a report that was stopped goes on.
    """
    whole = opens(request)
    counts = run_counts(asked, len(whole.predictions.single))
    report = Report(
        whole.name,
        runs=len(whole.predictions.single),
        examples={split: len(found) for split, found in whole.examples.items()},
        neighbor=whole.spec.database_example,
        classes=len(whole.class_names),
        by_runs=pd.DataFrame(_rows(request, counts, whole, opens)),
        fixed=_fixed(whole),
        layer=whole.features_layer,
        run=whole.features_run,
        pairs=pair_quality.quality_table(whole),
    )
    return report, whole


def _rows(
    request: SourceRequest, counts: Sequence[int], whole: Results, opens: Opens
) -> Iterator[dict[str, float | int | None]]:
    by_all = whole.neighbors_by("kernel").indices[:, 0]
    for count in counts:
        runs = None if count == len(whole.predictions.single) else count
        asked = replace(request, run_count=runs, similarities=("kernel",))
        found = whole if runs is None else opens(asked)
        accuracy = accuracies(found)
        nearest = found.neighbors_by("kernel").indices[:, 0]
        yield {
            **{
                key: accuracy[key]
                for key in ("runs", "single", "ensemble", "kernel_knn3", "kernel_weighted20")
            },
            "raw_kernel_knn3": accuracies(opens(replace(asked, transform="none")))["kernel_knn3"],
            "agreement": float((nearest == by_all).mean()),
        }


def _fixed(whole: Results) -> dict[str, float | None]:
    """Accuracies of the 3 nearest by what does not depend on the number of runs."""
    return {
        f"{name.replace('-', '_')}_knn3": knn_accuracy(whole.neighbors[name], *whole.labels)
        if name in whole.neighbors
        else None
        for name in SIMILARITIES
        if name != "kernel"
    }


def first_pairs(whole: Results) -> dict[str, pd.DataFrame]:
    """Title → the first pairs by the kernel and by penultimate features, for a figure."""
    names = [name for name in SIMILARITIES if name in whole.neighbors and name != "pixels"]
    grids = {}
    for name in names:
        pairs = nearest_pairs(whole.neighbors[name], *whole.labels).head(FIGURE_PAIRS)
        value = "value" if name != "penultimate-euclidean" else "minus the distance"
        title = f"{whole.name}: the first {len(pairs)} pairs by {SIMILARITIES[name]}"
        pair = f"left: {ADJECTIVES[whole.query]}, right: nearest {whole.spec.database_example}"
        grids[f"{title} ({pair}; rank, {value}, labels)"] = pairs
    return grids
