"""The benchmark itself: prepare the logits, let the methods take turns, and summarize what was measured."""

from __future__ import annotations

import importlib
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kernel_core.bench.competitors import Job, agreement
from kernel_core.bench.processes import Failure, Measurement, Outcomes, describe_machine, take_turns
from kernel_core.bench.request import TITLES, BenchRequest
from kernel_core.bench.synthetic import SyntheticSize, write_synthetic
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import RequestError, Unavailable
from kernel_core.held import temporary_folder
from kernel_core.machine import choose_device, cpu_info
from kernel_core.networks.training import train_in_memory
from kernel_core.pipeline.build import budget_on
from kernel_core.progress import Progress
from kernel_core.recipes import Training
from kernel_core.search.certified import choose_precision
from kernel_core.search.topk import TopK
from kernel_core.sources import images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.logit_form import LOGIT_KEYS
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import SPLITS

INSTALL = 'not installed: pip install "kernel-explorer[bench]"'


@dataclass(frozen=True)
class _Logits:
    """Files to measure with, and the near-duplicates planted in them (test index → training index)."""

    name: str
    files: tuple[Path, ...]
    planted: dict[int, int]


def measure_all(request: BenchRequest, progress: Progress) -> dict[str, Any]:
    """Measure, and return what `--json` prints: every timing in seconds, memory in bytes.

    Temporary files are removed in any case. Raises `RequestError` if nothing can be measured, `DataError` or
    `SourceError` if the source cannot be read.
    """
    device = choose_device(request.device).type
    methods = _find_methods(request.methods)
    with temporary_folder("bench") as folder:
        if request.source is None:
            logits = _write_synthetic(request, folder, progress)
        else:
            logits = _open_source(request, request.source, folder, progress)
        job, class_count = _plan_job(request, device, logits.files)
        measurable = [method for method, reason in methods.items() if reason is None]
        outcomes = take_turns(job, measurable, request.repeats, request.busy, progress)
        machine = describe_machine(device)
    (reference,) = outcomes["oracle", 0]
    if isinstance(reference, Failure):
        raise Unavailable(f"The reference in float64 could not be computed: {reference.reason}.")
    rows = [
        {"method": m, "title": TITLES[m], "unavailable": reason} if reason else {
            "method": m,
            "title": TITLES[m],
            **_summarize(job, outcomes[m, 0], reference.top, logits.planted),
            **_beside(outcomes, m, request.busy),
        }
        for m, reason in methods.items()
    ]  # fmt: skip
    _check_measured(rows)
    sizes = {
        "source": logits.name, "queries": job.queries, "database": job.database, "runs": job.run_count,
        "classes": class_count, "files": len(logits.files), "k": job.k, "repeats": request.repeats,
    }  # fmt: skip
    flop = 2 * job.queries * job.database * job.run_count * class_count
    return {
        "machine": machine, "sizes": sizes, "precision": job.precision, "memory_budget": job.budget,
        "methods": rows, "product": _summarize_product(outcomes.get(("ours", 0), []), flop, device),
    }  # fmt: skip


def _find_methods(requested: tuple[str, ...]) -> dict[str, str | None]:
    """Return each method to list → why it cannot be measured, or None.

    Includes faiss with other OpenBLAS kernels where the processor has instructions that its wheel may not
    detect. Raises `RequestError` if only faiss was requested and it is not installed.
    """
    reasons: dict[str, str | None] = dict.fromkeys(requested)
    if "faiss" in reasons:
        try:
            importlib.import_module("faiss")
        except ImportError:
            if requested == ("faiss",):
                raise Unavailable(f"faiss is {INSTALL}, or choose other --methods.") from None
            reasons["faiss"] = INSTALL
        else:
            if "avx512vl" in cpu_info().get("flags", "").split():
                reasons["faiss-skylakex"] = None
    return {method: reasons[method] for method in TITLES if method in reasons}


def _write_synthetic(request: BenchRequest, folder: Path, progress: Progress) -> _Logits:
    """Write synthetic logits into the folder. Raises `RequestError` if they do not fit on its disk."""
    size = SyntheticSize(**request.synthetic_sizes)
    free = shutil.disk_usage(folder).free
    if size.bytes > 0.95 * free:
        raise Unavailable(
            f"These logits take {size.bytes / 1e9:,.1f} GB, but {folder.parent} has only "
            f"{free / 1e9:,.1f} GB left. Choose smaller sizes, or set TMPDIR to a folder with more space."
        )
    written = write_synthetic(folder, size, progress=progress)
    return _Logits("synthetic", written.files, written.planted)


def _open_source(request: BenchRequest, name: str, folder: Path, progress: Progress) -> _Logits:
    """Return a source's files; train its ensemble into a file of the folder if it has none."""
    source = open_source(SourceRequest(name, request.run_count, request.file_count), progress=progress)
    if not isinstance(source.logits, Training):
        return _Logits(source.name, source.logits, {})
    if source.logits.of_heads:
        raise RequestError(
            f"{source.name} has no ensemble, and `bench` reads logits from files; expected some. "
            "Train one with `kernel-explorer train heads`, and name its source.toml."
        )
    examples = {split: images.load_examples(source.images, split, progress) for split in SPLITS}
    training = replace(source.logits, run_count=request.run_count or source.logits.run_count)
    part = train_in_memory(training, examples, progress)[0].parts[0]
    log = folder / "log.pt"
    torch.save({key: torch.from_numpy(np.asarray(part[split])) for split, key in LOGIT_KEYS.items()}, log)
    return _Logits(source.name, (log,), {})


def _plan_job(request: BenchRequest, device: str, files: tuple[Path, ...]) -> tuple[Job, int]:
    """Return what every method is given, and the number of classes.

    Raises `RequestError` if the request exceeds what the files hold.
    """
    ensemble = open_ensemble(files)
    ensemble = ensemble.first(request.run_count or ensemble.run_count)
    queries, database = ensemble.example_count("test"), ensemble.example_count("train")
    for option, requested, available in (
        ("--queries", request.queries, queries),
        ("--database", request.database, database),
    ):
        if requested is not None and requested > available:
            raise RequestError(f"{option} is {requested:,}, but the source has only {available:,}.")
    queries, database = request.queries or queries, request.database or database
    if request.k > database:
        raise RequestError(f"--k is {request.k}; expected at most {database:,}, the size of the database.")
    if ensemble.run_count < 2:
        raise RequestError(
            f"The source has {ensemble.run_count} run; the kernel correlates over runs and needs at least 2."
        )
    job = Job(
        files=files,
        run_count=ensemble.run_count,
        queries=queries,
        database=database,
        k=request.k,
        device=device,
        precision=choose_precision(request.precision, torch.device(device)),
        budget=request.memory or budget_on(torch.device(device)),
    )
    return job, ensemble.class_count


def _summarize(
    job: Job, outcomes: Sequence[Measurement | Failure], reference: TopK, planted: dict[int, int]
) -> dict[str, Any]:
    """Return one method's part of the result; `planted` as in `_Logits`."""
    measured = []
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            return {"unavailable": f"failed: {outcome.reason}"}
        measured.append(outcome)
    top = measured[-1].top
    inside = {i: j for i, j in planted.items() if i < job.queries and j < job.database}
    nearest = sum(int(top.indices[i, 0]) == j for i, j in inside.items())
    return {
        "seconds": _spread([each.seconds for each in measured]),
        "core_seconds": _spread([each.core_seconds for each in measured]),
        "stages": {name: [each.stages[name] for each in measured] for name in measured[0].stages},
        "by_stage": {name: [each.by_stage[name] for each in measured] for name in measured[0].by_stage},
        "peak_resident": max(each.resident or 0 for each in measured) or None,
        "peak_anonymous": max(each.anonymous or 0 for each in measured) or None,
        "peak_cuda": max(each.cuda or 0 for each in measured) or None,
        "agreement": agreement(top, reference, job.sample),
        "planted": {"pairs": len(inside), "nearest": nearest},
        "certified": getattr(top, "certified", None),
        "redone": getattr(top, "redone", None),
    }  # fmt: skip


def _spread(seconds: list[float]) -> dict[str, Any]:
    return {
        "median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "all": seconds
    }  # fmt: skip


def _beside(outcomes: Outcomes, method: str, loops: int) -> dict[str, Any]:
    """Return what busy loops cost a method, if there were any.

    core_seconds_ratio: core-seconds beside them, relative to those of the turn without them just before; the
    median of the repeats. None if a turn failed.
    """
    if not loops:
        return {}
    turns = list(zip(outcomes[method, 0], outcomes[method, loops], strict=False))
    measured = [(a, b) for a, b in turns if isinstance(a, Measurement) and isinstance(b, Measurement)]
    if not turns or len(measured) < len(turns):
        return {"busy": None}
    ratios = [b.core_seconds / a.core_seconds for a, b in measured]
    return {
        "busy": {
            "loops": loops,
            "seconds": _spread([b.seconds for _, b in measured]),
            "core_seconds": _spread([b.core_seconds for _, b in measured]),
            "core_seconds_ratio": statistics.median(ratios),
        }
    }


def _check_measured(rows: list[dict[str, Any]]) -> None:
    """Raise `RequestError` if no method could be measured."""
    if not any("seconds" in row for row in rows):
        reasons = "; ".join(f"{row['method']}: {row['unavailable']}" for row in rows)
        raise Unavailable(f"Nothing could be measured ({reasons}). Fix that, or choose other --methods.")


def _summarize_product(
    outcomes: Sequence[Measurement | Failure], flop: int, device: str
) -> dict[str, Any] | None:
    """Return the float32 product measured after each of our searches, and our share of it.

    None if one of them failed. flop: floating-point operations of one search. peak, this_length: as in
    `Rates`, and ours from opening the files to the neighbors. share: ours, of the peak. share_of_length:
    ours, of the product of rows as long. All are medians over the repeats.
    """
    measured = [outcome for outcome in outcomes if isinstance(outcome, Measurement)]
    rates = [each.product for each in measured if each.product is not None]
    if not outcomes or len(rates) < len(outcomes):
        return None
    spent = [each.core_seconds if device == "cpu" else each.seconds for each in measured]
    ours = [flop / each / 1e9 for each in spent]
    of_both = list(zip(ours, rates, strict=True))
    return {
        "by": rates[-1].by,
        "peak": statistics.median(each.peak for each in rates),
        "this_length": statistics.median(each.this_length for each in rates),
        "ours": statistics.median(ours),
        "share": statistics.median(ours / rate.peak for ours, rate in of_both),
        "share_of_length": statistics.median(ours / rate.this_length for ours, rate in of_both),
        "all": [{"peak": each.peak, "this_length": each.this_length} for each in rates],
    }
