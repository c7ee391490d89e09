"""Results as text: tables for a terminal, CSV for a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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


EVALUATION_TITLES = {
    "single": "one run, mean",
    "ensemble": "ensemble (averaged logits)",
    "kernel_knn3": "kernel, 3 nearest",
    "kernel_weighted20": "kernel, 20 nearest weighted by value^4",
    "penultimate_knn3": "penultimate features (cosine), 3 nearest",
    "pixels_knn3": "pixels, 3 nearest",
}


def print_evaluation(accuracy: Mapping[str, float | None], offered: Collection[str]) -> None:
    """A line an accuracy, a fraction; where there is none, why. offered: similarities that the source gives."""
    for key, title in EVALUATION_TITLES.items():
        value = accuracy[key]
        why = "not asked for" if key.partition("_")[0] in offered else "no features"
        print_accuracy(title, why if value is None else value)


def print_accuracy(title: str, value: float | str) -> None:
    """One line: a fraction as a percentage, or words in its place."""
    click.echo(f"{title:<46} {value if isinstance(value, str) else f'{100 * value:6.2f} %'}")


def label_text(label: int, class_names: tuple[str, ...]) -> str:
    """A class by number and name; by number alone where that is its name."""
    name = class_names[label]
    return name if name == str(label) else f"{label} {name}"
