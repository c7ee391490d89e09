"""The step of a build for ensembles with training masks: what runs say of examples they did not train on."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from kernel_core.ensembles.unseen import find_unseen, label_probabilities
from kernel_core.errors import StoreError
from kernel_core.progress import Progress, renamed
from kernel_core.records import Ensemble, ExampleSet
from kernel_core.results.unseen import BYTE_LIMIT, UnseenEntries
from kernel_core.spec import Split

log = logging.getLogger("kernel_core")


def keep_unseen(
    entries: UnseenEntries, ensemble: Ensemble, examples: Mapping[Split, ExampleSet], progress: Progress
) -> None:
    """Write what the runs say of examples that they did not train on, or that there are no masks."""
    if ensemble.trained_on is None:
        entries.write_none()
        return
    _keep_of_label(entries, ensemble, examples, progress)
    unseen = find_unseen(ensemble, examples["train"].labels, progress)
    ensemble.check_unchanged()
    entries.write(unseen)


def _keep_of_label(
    entries: UnseenEntries, ensemble: Ensemble, examples: Mapping[Split, ExampleSet], progress: Progress
) -> None:
    """Write each run's probability of every label, if there is room; results can do without it."""
    name = entries.keys.source.name
    if 2 * ensemble.run_count * sum(map(len, examples.values())) > BYTE_LIMIT:
        log.warning("%s is too large to keep each run's probability of each label; no influence", name)
        return
    try:
        for split, of_split in examples.items():
            blocks = label_probabilities(
                ensemble, split, of_split.labels, renamed(progress, f"{split} labels")
            )
            entries.write_of_label(split, (len(of_split), ensemble.run_count), blocks)
            ensemble.check_unchanged()
    except StoreError as error:
        log.warning("each run's probability of each label could not be kept; no influence. %s", error)
