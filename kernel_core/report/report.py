"""The claims about the kernel tested on a source: accuracy by number of runs, and how nearest pairs look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.findings.exact_copies import CopyCounts, count_copies, exact_copies
from kernel_core.findings.pairs import nearest_pairs
from kernel_core.findings.votes import knn_accuracy
from kernel_core.report import pair_quality
from kernel_core.report.run_counts import row_by_runs
from kernel_core.results.accuracy import accuracies, accuracy_key
from kernel_core.results.results import Results
from kernel_core.sources.source import SourceRequest, penultimate
from kernel_core.spec import ADJECTIVES, Split, run_count_steps

FIGURE_PAIRS = 24
OpenResults = Callable[[SourceRequest], Results]


@dataclass(frozen=True, eq=False)
class Report:
    """What was found for a source. Accuracies and shares are fractions of the test examples.

    run_count: number of runs of the ensemble.
    examples: number of examples by split.
    neighbor: what a neighbor is, in words.
    by_runs: one row per number of runs. Columns: runs, single, ensemble, kernel_knn3, kernel_weighted20,
    raw_kernel_knn3 (from logits without log_softmax), agreement (share of test examples whose nearest by
    these runs is the nearest by all).
    fixed: accuracies that do not depend on the number of runs, by the names of `accuracy_key`; those of
    penultimate features are None without features.
    titles: name of a similarity → the name that people see.
    layer, run: of the features.
    pairs: of `pair_quality.quality_table`.
    copies: of `findings.exact_copies`; None where there are no images.
    """

    name: str
    run_count: int
    examples: dict[Split, int]
    neighbor: str
    class_count: int
    by_runs: pd.DataFrame
    fixed: dict[str, float | None]
    titles: dict[str, str]
    layer: str
    run: str
    pairs: pd.DataFrame
    copies: CopyCounts | None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "name": self.name,
            "runs": self.run_count,
            "examples": self.examples,
            "neighbor": self.neighbor,
            "classes": self.class_count,
            "fixed": self.fixed,
            "titles": self.titles,
            "layer": self.layer,
            "run": self.run,
            "by_runs": self.by_runs.to_dict("records"),
            "pairs": self.pairs.to_dict("records"),
            "copies": asdict(self.copies) if self.copies else None,
        }


def run_counts(requested: Sequence[int | None] | None, total: int) -> list[int]:
    """Return the numbers of runs to report on, rising, each once.

    requested: numbers of runs, where None means all; None alone for 10, 20, 50, 100, … and all.
    Raises `RequestError` for a number below 2 or above the `total` there are.

    >>> run_counts(None, 256), run_counts([None, 50, 5], 59)
    ([10, 20, 50, 100, 200, 256], [5, 50, 59])
    """
    if requested is None:
        return run_count_steps(total)
    counts = sorted({total if count is None else count for count in requested})
    for count in counts:
        if not 2 <= count <= total:
            raise RequestError(
                f"{count:,} run(s) were asked for; the kernel needs 2 or more, and the ensemble has "
                f"{total:,}. Choose numbers from 2 to {total:,}, or all."
            )
    return counts


def make_report(
    request: SourceRequest,
    requested: Sequence[int | None] | None,
    open_results: OpenResults,
    variants: Sequence[str] = (),
) -> tuple[Report, Results]:
    """Return the report on a source, and its results by all runs, with those of the variants.

    request: its number of runs is that of all runs. requested: as of `run_counts`. open_results: returns the
    results of a request, built or read. The cache keeps each of them, so a report that was stopped goes on
    where it was. variants: names of variants of the kernel whose pairs are described too.
    """
    of_variants = replace(request, similarities=tuple(variants) or None)  # refuses what is no name
    described = by_all = open_results(request)
    if variants:
        also = open_results(of_variants)
        described = replace(by_all, neighbors={**by_all.neighbors, **also.neighbors})
    total = by_all.run_count
    counts = run_counts(requested, total)
    report = Report(
        by_all.name,
        run_count=total,
        examples=by_all.example_counts,
        neighbor=by_all.spec.database_example,
        class_count=len(by_all.class_names),
        by_runs=pd.DataFrame(_rows_by_runs(request, counts, by_all, open_results)),
        fixed=_fixed_accuracies(by_all),
        titles={name: by_all.title_of(name) for name in described.neighbors},
        layer=by_all.features_layer,
        run=by_all.features_run,
        pairs=pair_quality.quality_table(described),
        copies=_count_copies(by_all),
    )
    return report, described


def _count_copies(results: Results) -> CopyCounts | None:
    if not results.has_images:
        return None
    return count_copies(exact_copies(results.examples), results.examples)


def _rows_by_runs(
    request: SourceRequest, counts: Sequence[int], by_all: Results, open_results: OpenResults
) -> Iterator[dict[str, float | int | None]]:
    for count in counts:
        is_whole = count == by_all.run_count
        by_these = replace(
            request, run_count=request.run_count if is_whole else count, similarities=("kernel",)
        )
        results = by_all if is_whole else open_results(by_these)
        raw = open_results(replace(by_these, transform="none"))
        accuracy = row_by_runs(results, by_all)
        agreement = accuracy.pop("agreement")
        yield {**accuracy, "raw_kernel_knn3": accuracies(raw)["kernel_knn3"], "agreement": agreement}


def _fixed_accuracies(results: Results) -> dict[str, float | None]:
    """Return the accuracies of the 3 nearest by similarities that do not depend on the number of runs."""
    fixed: dict[str, float | None] = {}
    names = [similarity.name for similarity in penultimate(None).similarities]
    for name in dict.fromkeys([*names, *results.neighbors]):
        if name != "kernel":
            neighbors = results.neighbors.get(name)
            fixed[accuracy_key(name)] = knn_accuracy(neighbors, *results.labels) if neighbors else None
    return fixed


def first_pairs(results: Results) -> dict[str, pd.DataFrame]:
    """Return, by a figure's title, the first pairs by every similarity but pixels."""
    grids = {}
    for name, neighbors in results.neighbors.items():
        if name != "pixels":
            pairs = nearest_pairs(neighbors, *results.labels).head(FIGURE_PAIRS)
            value = "minus the distance" if results.similarity(name).is_distance else "value"
            sides = f"left: {ADJECTIVES[results.query]}, right: nearest {results.spec.database_example}"
            title = f"{results.name}: the first {len(pairs)} pairs by {results.title_of(name)}"
            grids[f"{title} ({sides}; rank, {value}, labels)"] = pairs
    return grids
