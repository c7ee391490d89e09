"""The part of `check` for the logits: they are opened, and compared with the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kernel_core.checks import misfit_of_classes, refuse_untrainable
from kernel_core.cli.check_parts import Report
from kernel_core.recipes import Training
from kernel_core.records import Ensemble
from kernel_core.sources import images
from kernel_core.sources.source import Source
from kernel_core.spec import Split
from kernel_core.training_masks import TrainingMasks

LOOKED_AT = 2_000  # runs, of perhaps 300,000, that are looked at and whose training masks are read


def check_logits(report: Report, source: Source) -> None:
    """Open the files of logits, and compare them with the images."""
    lines = report.parts.setdefault("logits", [])
    if isinstance(source.logits, Training):
        of = "a small network on fixed features" if source.logits.of_heads else "a small network"
        lines.append(f"{source.logits.run_count:,} runs of {of} are trained here")
        if train := report.inventories.get("train"):
            report.attempt(refuse_untrainable, train.classes, train.noun)
        report.content["logits"] = {"trained_here": source.logits.run_count}
        return
    names = next((tuple(inventory.classes) for inventory in report.inventories.values()), ())
    ensemble = report.attempt(_open, source, names)
    if ensemble is None:
        for path in source.logits if len(source.logits) > 1 else ():
            report.attempt(_open, replace(source, logits=(path,)), names)
        return
    first, files = ensemble.parts[0], len(source.logits)
    counts = {split: ensemble.example_count(split) for split in first}
    dtypes = sorted({str(logits.dtype) for part in ensemble.parts for logits in part.values()})
    examples = " and ".join(f"{count:,} {split}" for split, count in sorted(counts.items(), reverse=True))
    lines.append(
        f"{ensemble.run_count:,} runs in {files:,} file{'s' if files > 1 else ''}, {ensemble.class_count} "
        f"classes, {source.logit_form.kind}, {' and '.join(dtypes)}, of {examples} examples"
    )
    report.content["logits"] = {
        "files": files,
        "runs": ensemble.run_count,
        "classes": ensemble.class_count,
        "kind": source.logit_form.kind,
        "dtypes": dtypes,
        "examples": counts,
    }
    masks = report.attempt(_masks, source, ensemble)
    if masks is not None:
        some = f", the first {masks.run_count:,} say" if masks.run_count < ensemble.run_count else ""
        lines.append(masks.line + some)
    before = len(report.problems)
    _fit_logits(report, ensemble, counts)
    if len(report.problems) == before:
        report.notes += report.attempt(_logit_findings, source, ensemble) or []


def _fit_logits(report: Report, ensemble: Ensemble, counts: Mapping[Split, int]) -> None:
    name = ensemble.name_of(0)
    if ensemble.run_count < 2:
        report.problem(
            f"{name} holds 1 run; the kernel correlates over runs, so it takes 2 or more. Add some."
        )
    for split, count in counts.items():
        report.misfit(f"{name}: its {split} logits are", split, count)
    for split, inventory in list(report.inventories.items())[:1]:
        names = tuple(inventory.classes)
        said = report.remarks(split)
        report.problem(misfit_of_classes(name, ensemble.class_count, names, said, noun=inventory.noun))


def _logit_findings(source: Source, ensemble: Ensemble) -> list[str]:
    from kernel_core.ensembles.logit_findings import logit_findings

    found = {split: images.example_labels(source.images, split) for split in source.images.splits}
    names = next(iter(found.values()))[1]
    labels = {split: of_split for split, (of_split, _) in found.items()}
    fit = all(len(of_split) == ensemble.example_count(split) for split, of_split in labels.items())
    known = fit and len(names) == ensemble.class_count
    ensemble = ensemble.first(min(LOOKED_AT, ensemble.run_count))
    return logit_findings(ensemble, labels if known else {}, names, source.logit_form.kind)


def _masks(source: Source, ensemble: Ensemble) -> TrainingMasks | None:
    """Return the training masks; of a file of their own, which may be of 300,000 runs, the first."""
    from kernel_core.ensembles.masks import read_masks

    if source.logit_form.masks is None:
        return ensemble.trained_on
    N = ensemble.example_count("train") if "train" in ensemble.parts[0] else None
    of_all = [(ensemble.name_of(0), ensemble.run_count, None)]
    return read_masks(of_all, source.logit_form.masks, N, min(LOOKED_AT, ensemble.run_count))


def _open(source: Source, class_names: tuple[str, ...]) -> Ensemble:
    from kernel_core.ensembles.join import ExampleNames
    from kernel_core.ensembles.opening import open_ensemble  # torch takes seconds to load

    assert not isinstance(source.logits, Training)
    named = ExampleNames(lambda split: images.example_names(source.images, split), class_names)
    form = replace(source.logit_form, masks=None)
    return open_ensemble(source.logits, source.root, source.images.splits, form, named)
