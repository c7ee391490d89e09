"""`kernel-explorer sample`: which pairs to judge to know how many there are, and what is known so far."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import pandas as pd

from kernel_core.cli.building import build_pixels
from kernel_core.cli.options import (
    open_or_build,
    open_progress,
    similarity_option,
    source_options,
    table_options,
)
from kernel_core.cli.output import is_stdout, say
from kernel_core.cli.review_options import leaked_option, read_verdicts, rule_option, verdicts_option
from kernel_core.cli.tables import about_results, give_table, rows_of, table_text
from kernel_core.findings.pairs import with_class_names
from kernel_core.results.pair_orders import ORDERS, lacks_pixels, ordered_pairs
from kernel_core.results.results import Results
from kernel_core.review.along_ranking import judged_along, precision_and_recall
from kernel_core.review.estimate import Total, estimate_total, plan_more
from kernel_core.review.sampling import draw_sample
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS, Split

SIZE = 200
PRINTED = ["stratum", "census", "census_found", "drawn", "found", "unsure", "estimate", "low", "high"]


@click.command()
@source_options
@similarity_option
@click.option(
    "--order",
    type=click.Choice(list(ORDERS)),
    default=next(iter(ORDERS)),
    show_default=True,
    help="; ".join(f"{name}: {about}" for name, about in ORDERS.items()) + ".",
)
@click.option("--within", type=click.Choice(SPLITS), help="Pairs within this split.  [default: test→train]")
@click.option(
    "--size", type=click.IntRange(1), default=SIZE, show_default=True, metavar="N",
    help="Number of pairs to draw. A larger sample of the same seed holds the smaller one.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the draw.")
@leaked_option
@rule_option
@verdicts_option
@table_options
def sample(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    similarity: str,
    within: Split | None,
    **options: Any,
) -> None:
    """Draw pairs to judge, and estimate how many duplicates there are.

    The sample goes along the ranking of `pairs`, by strata. Verdicts on it, and on pairs that were judged in
    lists, give the estimate with its 95% interval; the verb says what more verdicts would buy.

    \b
    Example:  kernel-explorer sample digits --size 100 --csv sample.csv
    """
    amount = {name: options.pop(name) for name in ("run_count", "files", "precision")}
    inside: dict[str, Any] = {"query": within, "database": within} if within else {}
    request = SourceRequest(source, **amount, similarities=(similarity,), **inside)
    with open_progress(progress_file) as progress:
        results = open_or_build(request, device, memory, progress)
        if lacks_pixels(results, similarity, options["order"]):
            build_pixels(request, similarity, device, memory, progress)
    _show(results, request, similarity, **options)


def _show(
    results: Results,
    request: SourceRequest,
    by: str,
    *,
    order: str,
    size: int,
    seed: int,
    csv_file: Path | None,
    as_json: bool,
    **counting: Any,
) -> None:
    """Give the sample in the forms that were asked for. counting: leaked and rule."""
    ranking = ordered_pairs(results, by, order)
    judged = judged_along(ranking, read_verdicts(results, request), by=by, order=order, **counting)
    drawn = draw_sample(len(ranking), size, seed)
    table = with_class_names(drawn.merge(ranking, on="rank"), results.class_names)
    table = table.merge(judged[["rank", "verdict"]], on="rank", how="left").fillna({"verdict": ""})
    total = estimate_total(len(ranking), judged)
    plan, along = plan_more(total), precision_and_recall(len(ranking), judged)
    review = _address(results, by, order, size, seed)
    about = {
        **about_results(results, by), "order": order, "size": len(table), "seed": seed, "count": len(ranking),
        "review": review, "estimate": as_object(total), "strata": rows_of(total.strata),
        "plan": rows_of(plan), "along": rows_of(along), **counting,
    }  # fmt: skip
    give_table(table, "sample", about, csv_file=csv_file, as_json=as_json)
    if as_json or (csv_file is not None and is_stdout(csv_file)):
        return
    by_title = "the twin score" if order == "twin" else results.title_of(by)
    say(f"{results.name}: {len(table):,} of {len(ranking):,} pairs drawn along the ranking by {by_title}, "
        f"seed {seed}; {int((table['verdict'] != '').sum()):,} of them are judged.")  # fmt: skip
    say("", *_whole_numbers(total.strata[PRINTED]), "", *words_of(total), *_plan_words(plan))
    say("", f"Judge them on the review page of `serve`: {review}")


def as_object(total: Total) -> dict[str, Any]:
    """Return an estimate for JSON; its strata are left out."""
    names = "count", "judged", "drawn", "found", "unsure", "unknown", "estimate", "low", "high", "variance"
    return {name: getattr(total, name) for name in names}


def words_of(total: Total) -> list[str]:
    """Return an estimate as sentences."""
    if not total.judged:
        return [f"Nothing is judged yet: there may be 0 to {total.count:,} duplicates."]
    limits = f"{math.floor(total.low):,} to {math.ceil(total.high):,}"
    found = f"{total.found:,} found in {total.judged:,} verdicts"
    about = f"about {total.estimate:,.0f} of {total.count:,}"
    lines = [f"Duplicates: {about}, 95% interval {limits}; {found}."]
    if total.unknown:
        lines.append(
            f"Nothing was drawn of strata with {total.unknown:,} unjudged pairs: the estimate has none of "
            "these, the upper limit all."
        )
    if total.unsure:
        lines.append(f"{total.unsure:,} unsure: no duplicates, but in the upper limit they are.")
    return lines


def _plan_words(plan: pd.DataFrame) -> list[str]:
    """Return what further verdicts buy as sentences."""
    if plan.empty:
        return []
    buys = [f"{row.more:,} more: {max(0, math.floor(row.low)):,} to {math.ceil(row.high):,}"
            for row in plan.itertuples()]  # fmt: skip
    return [f"Interval to expect after further verdicts of the sample, if it goes on so: {'; '.join(buys)}."]


def _whole_numbers(table: pd.DataFrame) -> list[str]:
    """Return the strata as lines of text; limits are rounded outward."""
    rounded = table.assign(
        estimate=table["estimate"].round().astype(int),
        low=[math.floor(value) for value in table["low"]],
        high=[math.ceil(value) for value in table["high"]],
    )
    return table_text(rounded).splitlines()


def _address(results: Results, by: str, order: str, size: int, seed: int) -> str:
    """Return the address of the review page of a sample, after that of the server."""
    name = f"sample@{results.within}" if results.within else "sample"
    content = {"kind": "pair", "list": f"{name}:{by}:{order}:{size}:{seed}"}
    return f"/review?{urlencode(content, safe=':@')}"
