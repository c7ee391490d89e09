"""Findings as text: a table for a terminal, CSV for a file."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

from kernel_core.errors import RequestError
from kernel_core.files import replacing


def print_table(table: pd.DataFrame, class_names: tuple[str, ...], csv_file: Path | None) -> None:
    """To a CSV file as it is; to a terminal with the classes' names beside their numbers."""
    if csv_file is not None:
        try:
            with replacing(csv_file) as temporary:
                table.to_csv(temporary, index=False)
        except OSError as error:
            raise RequestError(
                f"Cannot write {csv_file} ({error.strerror or error}); name another --csv."
            ) from None
        click.echo(f"{len(table)} rows written to {csv_file}")
        return
    shown = table.copy()
    for column in ("query_label", "database_label"):
        shown[column] = [label_text(label, class_names) for label in table[column]]
    click.echo(shown.to_string(index=False, float_format=lambda value: f"{value:.4f}"))


def label_text(label: int, class_names: tuple[str, ...]) -> str:
    """A class by number and name; by number alone where that is its name."""
    name = class_names[label]
    return name if name == str(label) else f"{label} {name}"
