"""The command of this trial; the package says what it does."""

from pathlib import Path

import click

from kernel_core.bench.synthetic import SyntheticSize
from tests.trials.scale.planting import plant
from tests.trials.scale.views import measure


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--train", default=1_000_000, show_default=True)
@click.option("--test", default=50_000, show_default=True)
@click.option("--classes", default=10, show_default=True)
@click.option("--runs", default=20, show_default=True)
@click.option("--page", "only", multiple=True, help="Measure this page alone; may be repeated.")
@click.option("--plant-only", is_flag=True)
def main(folder, train, test, classes, runs, only, plant_only):
    """Plant a source of this size in FOLDER, unless one is there, and measure its pages."""
    folder.mkdir(parents=True, exist_ok=True)
    source, cache = folder / "source", folder / "cache"
    plant(source, SyntheticSize(test, train, runs, classes), cache)
    if plant_only:
        return
    click.echo("| page | address | s | core-s | kB | server MB |\n|---|---|--:|--:|--:|--:|")
    for page, query, (seconds, cores, kilobytes, wrong), memory in measure(
        source, cache, folder / "server.log", only
    ):
        click.echo(
            f"| {page or 'overview'} | {query} | {seconds:.2f} | {cores:.2f} | {kilobytes:,.0f} "
            f"| {memory:,.0f} | {' '.join(wrong)[:200]}"
        )


if __name__ == "__main__":
    main()
