"""`kernel-explorer evaluate`: the accuracies of single runs, the ensemble and the neighbors' votes."""

from __future__ import annotations

from dataclasses import asdict

import click

from kernel_core.cli.options import query_option, similarities_option, variant_options, with_results
from kernel_core.cli.output import say, say_json
from kernel_core.cli.tables import label_text, print_accuracy, print_evaluation
from kernel_core.results.accuracy import (
    UNSEEN_TITLES,
    accuracies,
    class_accuracies,
    unseen_accuracies,
)
from kernel_core.results.results import Results


@click.command()
@with_results
@query_option
@variant_options(each=True)
@similarities_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; accuracies are fractions.")
def evaluate(results: Results, as_json: bool) -> None:
    """Print the accuracies of single runs, the ensemble and k-NN.

    All are measured on the query split, k-NN by each similarity. With training masks, also on the
    training set by runs that never saw the example.

    \b
    Example:  kernel-explorer evaluate digits --json
    """
    accuracy, by_class = accuracies(results), class_accuracies(results)
    of_unseen = unseen_accuracies(results)
    if as_json:
        spec = asdict(results.spec)
        variant = {name: spec[name] for name in ("query", "database", "transform", "classes", "whitened")}
        by_class_or_none = list(by_class.values()) or None
        say_json({**variant, **accuracy, **of_unseen, "kernel_class_knn3": by_class_or_none})
        return
    say(results.title)
    print_evaluation(results, accuracy)
    for key, value in of_unseen.items():
        if value is not None:
            print_accuracy(UNSEEN_TITLES[key], value)
    for c, value in by_class.items():
        print_accuracy(f"Kernel of class {label_text(c, results.class_names)}, 3 nearest", value)
