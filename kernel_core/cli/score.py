"""`kernel-explorer score`: how well similarities find known pairs, and pools of pairs to judge."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import numpy as np
import pandas as pd

from kernel_core.cli.building import build_pixels
from kernel_core.cli.options import (
    open_or_build,
    open_progress,
    similarities_option,
    source_options,
    table_options,
)
from kernel_core.cli.output import is_stdout, say
from kernel_core.cli.review_options import leaked_option
from kernel_core.cli.tables import give_table, table_text
from kernel_core.progress import Progress
from kernel_core.results.grouping import table_of
from kernel_core.results.pair_orders import ORDERS, lacks_pixels, ordered_pairs
from kernel_core.results.results import Results
from kernel_core.review.pooling import pool
from kernel_core.review.scoring import MEASURES, Ranked, intervals, ranked
from kernel_core.review.truth import Truth, read_truth
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS, Split, example_name

LOWER = (
    "Examples without a listed pair are unknown, and count as having no twin: precision at each depth is a "
    "lower limit, and average precision the mean of these over the listed examples."
)
SHORT = dict(zip(MEASURES, ("AP", "recall at R", "twin first", "AUROC"), strict=True))


@click.command()
@source_options
@similarities_option
@click.option(
    "--order",
    "orders",
    type=click.Choice(list(ORDERS)),
    multiple=True,
    default=[next(iter(ORDERS))],
    show_default=True,
    help="; ".join(f"{name}: {about}" for name, about in ORDERS.items()) + ". Repeat it to compare both.",
)
@click.option("--within", type=click.Choice(SPLITS), help="Pairs within this split.  [default: test→train]")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Known pairs: ciFAIR's CSV columns, two names such as test:1,train:2 a line, or verdicts.",
)
@click.option(
    "--pool", "depth", type=click.IntRange(1), metavar="K",
    help="Instead of scoring, list the pairs of the first K ranks of any of the rankings, to be judged.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of bootstrap or shuffle."
)
@leaked_option
@table_options
def score(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    within: Split | None,
    orders: tuple[str, ...],
    **options: Any,
) -> None:
    """Compare similarities by how well they find known pairs.

    Intervals are 95% bootstrap intervals over examples; differences are from the first ranking, on the same
    resamples. Pairs that are not listed are unknown, not negative.

    \b
    Example:  kernel-explorer score digits --truth pairs.txt --similarity kernel --similarity pixels
    Example:  kernel-explorer score digits --similarity kernel --similarity pixels --pool 50 --csv pool.csv
    """
    if (options["truth"] is None) == (options["depth"] is None):
        raise click.UsageError("Give --truth FILE to score rankings, or --pool K for a list to judge.")
    amount = {name: options.pop(name) for name in ("run_count", "files", "precision")}
    inside: dict[str, Any] = {"query": within, "database": within} if within else {}
    names = tuple(dict.fromkeys(options.pop("similarities"))) or None
    request = SourceRequest(source, **amount, similarities=names, **inside)
    with open_progress(progress_file) as progress:
        results = open_or_build(request, device, memory, progress)
        rankings = list(itertools.product(names or results.names, dict.fromkeys(orders)))
        _build_pixels(results, request, rankings, device, memory, progress)
    truth, depth = options.pop("truth"), options.pop("depth")
    if depth is not None:
        _give_pool(results, rankings, depth, **options)
    else:
        _give_scores(results, rankings, read_truth(truth, results.examples, within), **options)


def _build_pixels(
    results: Results,
    request: SourceRequest,
    rankings: list[tuple[str, str]],
    device: str,
    memory: int | None,
    progress: Progress,
) -> None:
    for name, order in rankings:
        if lacks_pixels(results, name, order):
            build_pixels(replace(request, similarities=(name,)), name, device, memory, progress)


def _give_pool(
    results: Results,
    rankings: list[tuple[str, str]],
    depth: int,
    *,
    seed: int,
    csv_file: Path | None,
    as_json: bool,
    leaked: tuple[str, ...],
) -> None:
    """List the pairs of a pool; what found them is left out, so that it cannot sway who judges."""
    del leaked
    pairs = pool([ordered_pairs(results, *ranking) for ranking in rankings], depth, seed)
    table = pd.DataFrame([(example_name(*a), example_name(*b), "") for a, b in pairs],
                         columns=["a", "b", "verdict"])  # fmt: skip
    listed = "+".join(f"{name}~{order}" for name, order in rankings)
    within = f"@{results.within}" if results.within else ""
    content = {"kind": "pair", "list": f"pool{within}:{listed}:{depth}:{seed}"}
    review = f"/review?{urlencode(content, safe=':@~')}"
    about = {"name": results.name, "rankings": rankings, "depth": depth, "seed": seed, "review": review}
    if give_table(table, "pairs", about, csv_file=csv_file, as_json=as_json):
        return
    say(*(f"{a},{b}" for a, b, _ in table.itertuples(index=False)))
    say(f"{len(table):,} pairs. Add a verdict after each for --truth, or judge them at {review}", err=True)


def _give_scores(
    results: Results,
    rankings: list[tuple[str, str]],
    truth: Truth,
    *,
    seed: int,
    leaked: tuple[str, ...],
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Score the rankings, and give the result in the forms that were asked for."""
    for problem in truth.warnings:
        say(f"warning: {problem}", err=True)
    scored = [ranked(table_of(results, *ranking), truth.pairs, leaked) for ranking in rankings]
    table = _table(rankings, scored, seed)
    first = scored[0]
    about = {
        "name": results.name, "query": results.query, "database": results.database, "leaked": leaked,
        "pairs": len(truth.pairs), "used": len(first.pair_positive), "examples": len(first.positive),
        "positives": int(first.positive.sum()), "negative_pairs": int((~first.pair_positive).sum()),
        "left_out": len(truth.problems),
    }  # fmt: skip
    given = give_table(table, "scores", about, csv_file=csv_file, as_json=as_json)
    if as_json or (csv_file is not None and is_stdout(csv_file)):
        return
    say(
        f"{results.name}: {about['used']:,} of {about['pairs']:,} known pairs are {results.spec.direction}; "
        f"{about['positives']:,} of {about['examples']:,} {results.spec.query_example}s have a listed twin, "
        f"{about['negative_pairs']:,} pairs are judged different."
    )
    if not given:
        say("", *table_text(_lines(table)).splitlines(), "")
    say(LOWER)


def _table(rankings: list[tuple[str, str]], scored: list[Ranked], seed: int) -> pd.DataFrame:
    """Return one row per ranking and measure; the columns are in docs/command_line.md."""
    values = np.array([ranking.measures() for ranking in scored])
    limits, differences = intervals(scored, seed)
    rows = [
        (similarity, order, measure, value[at], *limit[at], value[at] - values[0, at], *difference[at])
        for (similarity, order), value, limit, difference in zip(
            rankings, values, limits, differences, strict=True
        )
        for at, measure in enumerate(MEASURES)
    ]
    columns = ["similarity", "order", "measure", "value", "low", "high"]
    columns += ["difference", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=columns)


def _lines(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per ranking, for people."""
    lines: list[dict[str, str]] = []
    for (similarity, order), of in table.groupby(["similarity", "order"], sort=False):
        line = {"similarity": similarity, "order": order}
        for row in of.itertuples():
            line[SHORT[row.measure]] = _interval(row.value, row.low, row.high)
        ap = of.iloc[0]
        sign = _interval(ap["difference"], ap["difference_low"], ap["difference_high"], "+.3f")
        lines.append(line | {"AP − first": sign if lines else ""})
    return pd.DataFrame(lines)


def _interval(value: float, low: float, high: float, form: str = ".3f") -> str:
    return "none" if np.isnan(value) else f"{value:{form}} ({low:{form}} to {high:{form}})"
