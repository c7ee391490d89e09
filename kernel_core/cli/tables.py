"""Results as text: tables for a terminal, CSV for a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernel_core.cli.output import is_stdout, say, say_bytes, say_json
from kernel_core.errors import Unavailable
from kernel_core.files import replacing
from kernel_core.printable import CELL, printable
from kernel_core.results.accuracy import COSINE, accuracy_key, accuracy_titles
from kernel_core.results.results import Results


def write_csv(table: pd.DataFrame, csv_file: Path) -> None:
    """Write a table to a CSV file, whole or not at all, or to stdout. Raises `RequestError` if that fails."""
    _write(table.to_csv(index=False).encode(), len(table), csv_file, "--csv")


def write_parquet(table: pd.DataFrame, parquet_file: Path) -> None:
    """Write a table to a Parquet file as `write_csv` does to a CSV file."""
    _write(table.to_parquet(index=False), len(table), parquet_file, "--parquet")


def _write(content: bytes, row_count: int, file: Path, option: str) -> None:
    """Write a table's bytes to a file, or to stdout. option: the one that named the file."""
    if is_stdout(file):
        say_bytes(content)
        return
    try:
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise Unavailable(
            f"Cannot write {file} ({error.strerror or error}); choose another file with {option}."
        ) from None
    say(f"{row_count} rows written to {file}", err=True)


def give_table(
    table: pd.DataFrame, key: str, about: Mapping[str, Any], *, csv_file: Path | None, as_json: bool
) -> bool:
    """Write a table as CSV, as JSON, or both, as `table_options` say; return whether either was asked for.

    The JSON object is `about`, with the rows under `key`. Raises `RequestError` if it cannot be written.
    """
    if csv_file is not None:
        write_csv(table, csv_file)
    if as_json:
        say_json({**about, key: rows_of(table)})
    return as_json or csv_file is not None


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one object per row, for `say_json`: column → value, numbers in their own precision."""
    columns = [table[column].to_numpy() for column in table]
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]


def about_results(results: Results, similarity: str) -> dict[str, Any]:
    """Return what the JSON of a finding begins with: the source, the direction, and which similarity.

    `runs` are those of the kernel, or of its variant; None for another similarity.
    """
    spec = results.neighbors_by(similarity).spec
    is_kernel = results.similarity(similarity).kind == "kernel"
    return {
        "name": results.name,
        "query": spec.query,
        "database": spec.database,
        "similarity": similarity,
        "runs": (spec.run_count or results.run_count) if is_kernel else None,
        "transform": spec.transform,
        "classes": spec.classes,
        "whitened": spec.whitened,
    }


def print_pairs(table: pd.DataFrame, class_names: tuple[str, ...]) -> None:
    """Print a table of pairs for people: class names stand beside the labels, not in columns of their own."""
    named = table.drop(columns=[column for column in table if column.endswith("_class")])
    for column in {"query_label", "database_label", "predicted", "voted"} & set(named):
        named[column] = [label_text(label, class_names) for label in table[column]]
    say(*table_text(named).splitlines())


def table_text(table: pd.DataFrame) -> str:
    """Return a table as aligned text, floats with four decimals; no cell breaks the line or fills it."""
    cells = table.map(lambda cell: printable(cell, CELL) if isinstance(cell, str) else cell)
    return str(cells.to_string(index=False, float_format=lambda value: f"{value:.4f}"))


def print_evaluation(results: Results, accuracy: Mapping[str, float | None]) -> None:
    """Print one line per accuracy, or the reason it is missing. accuracy: what `accuracies` returns."""
    for key, title in accuracy_titles(results).items():
        is_offered = key != accuracy_key(COSINE.name) or COSINE.name in results.offered
        value = accuracy[key]
        print_accuracy(
            title, value if value is not None else "not asked for" if is_offered else "no features"
        )


def print_accuracy(title: str, value: float | str) -> None:
    """Print one line of the table of accuracies. value: a fraction, or the reason why it is missing."""
    say(f"{printable(title, CELL):<46} {value if isinstance(value, str) else f'{value:7.2%}'}")


def label_text(label: int, class_names: tuple[str, ...]) -> str:
    """Return a class as its number and name, or as the number if that is its name."""
    name = class_names[label]
    return name if name == str(label) else f"{label} {name}"
