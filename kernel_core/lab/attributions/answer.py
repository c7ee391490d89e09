"""What does a training example do? The kernel beside attributions, judged by runs on subsets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernel_core.lab.attributions.asked import Asked
from kernel_core.lab.attributions.comparison import Comparison
from kernel_core.lab.attributions.given_methods import given_methods, said_of_given
from kernel_core.lab.attributions.halves import MOST, margins_lost, runs_on_halves
from kernel_core.lab.attributions.judged import Judged, judge
from kernel_core.lab.attributions.methods import methods_for
from kernel_core.lab.attributions.subset_runs import has_own_runs, own_runs
from kernel_core.lab.attributions.words import bands, sentences
from kernel_core.lab.curves import Answered
from kernel_core.lab.drawn import Places, examples_at, places_drawn
from kernel_core.lab.setting import Setting


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of runs that datamodels are found from.

    Raises `RequestError` if the source has no runs on parts of its training set, and small networks cannot be
    trained for the question: without images, or without training examples.
    """
    asked = asked_of(setting)
    methods = (*methods_for(asked), *given_methods(asked))
    judged: list[Judged] = []
    for method in methods:
        setting.progress(f"attributions: {method.title}", len(judged), len(methods))
        judged.append(judge(method, asked))
    found = Comparison(asked, judged)
    if asked.runs.are_own:
        lost = found.lost_in_held
    else:
        lost = margins_lost(setting, asked.examples, {of.method.name: of.first for of in judged})
    seen = (*sentences(found, lost), *said_of_given(asked))
    return Answered(seen, (found.panel(requested),), (found.table(lost),), bands(asked), len(asked.labels[0]))


def asked_of(setting: Setting) -> Asked:
    """Return what methods are asked about a source: by its own runs on subsets, or by small networks."""
    if has_own_runs(setting):
        train = np.arange(len(setting.results.examples["train"]))
        places: Places = {"test": setting.queries, "train": train}
        return Asked(setting, places, examples_at(setting, places), own_runs(setting, setting.queries))
    places = places_drawn(setting, MOST)
    examples = examples_at(setting, places)
    return Asked(setting, places, examples, runs_on_halves(setting, examples))
