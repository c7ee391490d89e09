"""What does a training example do? The kernel beside attributions, judged by runs on subsets."""

from __future__ import annotations

from collections.abc import Sequence

from kernel_core.lab.asked import Asked
from kernel_core.lab.comparison import REMOVED, Judged, judge, panel_by_runs, sentences, table_of
from kernel_core.lab.curves import Answered
from kernel_core.lab.drawn import examples_drawn, places_drawn
from kernel_core.lab.halves import MOST, REMOVED_FOR, margins_lost, runs_on_halves
from kernel_core.lab.methods import methods_for
from kernel_core.lab.setting import Setting

BANDS = (
    "Bands and brackets: 95% intervals by a bootstrap over the query examples; ±: the "
    f"standard error over {REMOVED_FOR} of them."
)


def answer(setting: Setting, requested: Sequence[int] | None = None) -> Answered:
    """Return sentences, panels and tables. requested: numbers of networks that datamodels are found from.

    Raises `RequestError` if the source has no images, or no training examples.
    """
    examples = examples_drawn(setting, MOST)
    asked = Asked(setting, places_drawn(setting, MOST), examples, runs_on_halves(setting, examples))
    methods = methods_for(asked)
    judged: list[Judged] = []
    for method in methods:
        setting.progress(f"attributions: {method.title}", len(judged), len(methods))
        judged.append(judge(method, asked))
    first = {of.method.name: of.first[:, :REMOVED] for of in judged}
    lost = margins_lost(setting, examples, first)
    panel = panel_by_runs(asked.runs, requested, setting.seed)
    seen, table = sentences(judged, lost), table_of(judged, lost)
    return Answered(seen, (panel,), (table,), BANDS, len(examples["test"]))
