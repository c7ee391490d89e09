"""`kernel-explorer bench`: our search beside its competitors, on the user's own machine."""

from __future__ import annotations

from typing import Any

import click

from kernel_core.bench.request import METHOD_NAMES, BenchRequest
from kernel_core.cli.option_types import Bytes
from kernel_core.cli.options import device_option
from kernel_core.cli.output import say, say_json
from kernel_core.cli.progress import ProgressBars
from kernel_core.spec import PRECISIONS


@click.command()
@click.argument("source", required=False)
@click.option("--queries", type=int, help="Number of test examples.  [default: 1,000, or all of SOURCE]")
@click.option(
    "--database", type=int, help="Number of training examples.  [default: 10,000, or all of SOURCE]"
)
@click.option("--runs", "run_count", type=int, help="Number of runs.  [default: 500, or all of SOURCE]")
@click.option("--classes", "class_count", type=int, help="Classes of the synthetic logits.  [default: 10]")
@click.option(
    "--files", "file_count", type=int, help="Number of files to write or to download.  [default: 1]"
)
@click.option("--k", type=int, default=20, show_default=True, help="Number of neighbors.")
@click.option("--repeats", type=int, default=3, show_default=True, help="Measurements per method.")
@click.option("--methods", default=",".join(METHOD_NAMES), show_default=True, help="Methods to compare.")
@device_option
@click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True)
@click.option(
    "--memory", type=Bytes(), help="Memory budget of our search.  [default: 40% of what is free; 3GB on CUDA]"
)
@click.option(
    "--busy", type=int, default=0, metavar="N", help="Measure beside N busy loops too.  [default: 0]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with every timing.")
def bench(methods: str, as_json: bool, **options: Any) -> None:
    """Compare our search with other methods on this machine.

    The others are the original algorithm, faiss and scikit-learn. The logits are synthetic unless SOURCE is
    given. Takes about a minute.

    \b
    Example:  kernel-explorer bench --queries 2000 --database 50000
    """
    request = BenchRequest(methods=tuple(dict.fromkeys(methods.split(","))), **options)
    from kernel_core.bench.measure import measure_all  # torch takes seconds to load

    with ProgressBars() as bars:
        result = measure_all(request, bars)
    if as_json:
        say_json(result)
    else:
        say(*bench_table(result).splitlines())


LAYOUT = "{:<37} {:>20} {:>8} {:>6} {:>8} {:>5} {:>10} {:>5}   {}"
COLUMNS = ("", "seconds [min-max]", "core-s", "speed", "memory", "less", "allocated", "less", "as in float64")


def bench_table(result: dict[str, Any]) -> str:
    """Return a result of `measure_all` as text, with one line per method."""
    measured = {row["method"]: row for row in result["methods"] if "seconds" in row}
    lines = [
        "{cpu}, {threads} threads, torch {torch}, device {device}".format(**result["machine"]),
        "{source}: {queries:,} queries x {database:,} examples, {runs:,} runs, {classes} classes, "
        "{files} file(s), k {k}, median of {repeats}\n".format(**result["sizes"]),
        LAYOUT.format(*COLUMNS).rstrip(),
        *(_format_row(row, measured.get("original")) for row in result["methods"]),
        "",
        "core-s: seconds of a core at work for it. speed, less: times the original algorithm's.",
        "memory: peak resident, libraries and maps included.",
        "as in float64: sampled queries with the same k nearest as a float64 reference.",
    ]  # fmt: skip
    if "ours" in measured:
        lines += _of_ours(measured["ours"], result)
    lines += [
        "{}: beside {loops} busy loops {core_seconds_ratio:.2f} x the core-seconds.".format(
            row["title"], **row["busy"]
        )
        for row in measured.values()
        if row.get("busy")
    ]
    return "\n".join(lines)


def _of_ours(row: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """Return the lines on our search: its stages, and its share of the product's rate."""
    lines = []
    if row["by_stage"]:
        whole = sum(row["core_seconds"]["all"])
        shares = {stage: sum(seconds) / whole for stage, seconds in row["by_stage"].items()}
        lines.append(
            "Kernel Explorer's core-seconds: product {product:.1%}, rows {rows:.1%}, selection and the rest "
            "{rest:.1%}.".format(**shares, rest=1 - sum(shares.values()))
        )
    if result["product"]:
        unit = "GFLOP/s a core" if result["machine"]["device"] == "cpu" else "GFLOP/s"
        lines.append(
            "Float32 product here ({by}): {peak:,.0f} {unit}; of rows as long as these {this_length:,.0f}.\n"
            "Kernel Explorer, from opening the files to the neighbors: {ours:,.0f}, {share:.1%} of the first "
            "and {share_of_length:.1%} of the second.".format(**result["product"], unit=unit)
        )
    return lines


def _format_row(row: dict[str, Any], original: dict[str, Any] | None) -> str:
    """Return the line of one method. original: the original algorithm's row, None if it was not measured."""
    if "unavailable" in row:
        return f"{row['title']:<37} {row['unavailable']}"
    seconds = row["seconds"]
    cells = ["{median:.2f} [{min:.2f}-{max:.2f}]".format(**seconds)]
    cells.append(f"{row['core_seconds']['median']:.2f}")
    cells.append(f"{original['seconds']['median'] / seconds['median']:.1f}x" if original else "")
    for peak in ("peak_resident", "peak_anonymous"):
        cells.append(f"{row[peak] / 1e9:.2f} GB" if row[peak] else "unknown")
        cells.append(f"{original[peak] / row[peak]:.1f}x" if original and row[peak] else "")
    return LAYOUT.format(row["title"], *cells, _format_agreement(row))


def _format_agreement(row: dict[str, Any]) -> str:
    """Return the last column: agreement with the reference, proved rows and GPU memory, where they apply."""
    agreement = row["agreement"]
    text = f"{agreement['same']} of {agreement['rows']}"
    if agreement["same"] < agreement["rows"]:
        text += f" ({agreement['close']} by rounding)"
    if row["certified"] is not None:
        text += f", {row['certified']:,} rows proved"
    if row["peak_cuda"]:
        text += f", {row['peak_cuda'] / 1e9:.2f} GB of GPU memory"
    return text
