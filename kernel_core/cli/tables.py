"""Results as text: tables for a terminal, CSV for a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.files import replacing
from kernel_core.results.results import ACCURACY_TITLES


def write_csv(table: pd.DataFrame, csv_file: Path) -> None:
    """A table to a CSV file, whole or not at all. Raises `RequestError` where it cannot be written."""
    try:
        with replacing(csv_file) as temporary:
            table.to_csv(temporary, index=False)
    except OSError as error:
        raise RequestError(
            f"Cannot write {csv_file} ({error.strerror or error}); name another --csv."
        ) from None
    click.echo(f"{len(table)} rows written to {csv_file}")


def print_table(table: pd.DataFrame, class_names: tuple[str, ...], csv_file: Path | None) -> None:
    """To a CSV file as it is; to a terminal with the classes' names beside their numbers."""
    if csv_file is not None:
        write_csv(table, csv_file)
        return
    shown = table.copy()
    for column in ("query_label", "database_label"):
        shown[column] = [label_text(label, class_names) for label in table[column]]
    click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.4f}"))


def print_evaluation(accuracy: Mapping[str, float | None], offered: Collection[str]) -> None:
    """Print one line per accuracy, or the reason it is missing.

    accuracy: what `evaluation` returns. offered: the similarities that the source has, asked for or not.
    """
    for key, title in ACCURACY_TITLES.items():
        value = accuracy[key]
        why = "not asked for" if key.partition("_")[0] in offered else "no features"
        print_accuracy(title, why if value is None else value)


def print_accuracy(title: str, value: float | str) -> None:
    """One line: a fraction as a percentage, or words in its place."""
    click.echo(f"{title:<46} {value if isinstance(value, str) else f'{value:7.2%}'}")


def label_text(label: int, class_names: tuple[str, ...]) -> str:
    """A class by number and name; by number alone where that is its name."""
    name = class_names[label]
    return name if name == str(label) else f"{label} {name}"


BENCH_LAYOUT = "{:<37} {:>20} {:>6} {:>8} {:>5} {:>10} {:>5}   {}"


def bench_table(result: dict[str, Any]) -> str:
    """The result of the verb bench as a person reads it: machine, sizes, a line a method, our share of the peak."""
    machine, product = result["machine"], result["product"]
    head = ("", "seconds [min-max]", "speed", "memory", "less", "allocated", "less", "as in float64")
    measured = {row["method"]: row for row in result["methods"] if "seconds" in row}
    base = measured.get("original", {})
    lines = [
        "{cpu}, {threads} threads, torch {torch}, device {device}".format(**machine),
        "{source}: {queries:,} queries x {database:,} examples, {runs:,} runs, {classes} classes, {files} file(s), "
        "k {k}, median of {repeats}\n".format(**result["sizes"]),
        BENCH_LAYOUT.format(*head).rstrip(),
        *(_bench_line(row, base) for row in result["methods"]),
        "",
        "speed, less: times the original algorithm's. memory: resident at its peak, with libraries and mapped files.",
        "as in float64: sampled queries whose k nearest are those of a float64 reference.",
    ]  # fmt: skip
    if product:
        lines.append(
            "Float32 product here: {gflops:,.0f} GFLOP/s ({by}). Kernel Explorer, from opening the files to the "
            "neighbors: {ours:,.0f} GFLOP/s, {share:.0%} of it.".format(**product)
        )
    return "\n".join(lines)


def _bench_line(row: dict[str, Any], base: dict[str, Any]) -> str:
    if "unavailable" in row:
        return f"{row['title']:<37} {row['unavailable']}"
    seconds, agreed = row["seconds"], row["agreement"]
    cells = ["{median:.2f} [{min:.2f}-{max:.2f}]".format(**seconds)]
    cells.append(f"{base['seconds']['median'] / seconds['median']:.1f}x" if base else "")
    for kind in ("peak_resident", "peak_anonymous"):
        cells.append(f"{row[kind] / 1e9:.2f} GB" if row[kind] else "unknown")
        cells.append(f"{base[kind] / row[kind]:.1f}x" if base and row[kind] else "")
    doubt = f" ({agreed['close']} by rounding)" if agreed["same"] < agreed["rows"] else ""
    proved = f", {row['certified']:,} rows proved" if row["certified"] is not None else ""
    on_gpu = f", {row['peak_cuda'] / 1e9:.2f} GB of GPU memory" if row["peak_cuda"] else ""
    return BENCH_LAYOUT.format(
        row["title"], *cells, f"{agreed['same']} of {agreed['rows']}{doubt}{proved}{on_gpu}"
    )
