"""`kernel-explorer bench`: our search beside others, on the user's own machine, in about a minute.

Every measurement is a process of its own, and the methods take turns, so that what else the machine does meanwhile
falls on all of them. torch is loaded when measuring begins.
"""

from __future__ import annotations

import importlib
import json
import shutil
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kernel_core.cli.options import Bytes
from kernel_core.cli.tables import bench_table
from kernel_core.errors import RequestError
from kernel_core.progress import Progress, ProgressBars
from kernel_core.recipes import Training
from kernel_core.sources import images
from kernel_core.sources.catalog import open_source
from kernel_core.sources.source import SourceRequest
from kernel_core.spec import PRECISIONS, SPLITS

if TYPE_CHECKING:
    from kernel_core.bench.competitors import Job
    from kernel_core.search.topk import Top

TITLES = {
    "ours": "Kernel Explorer",
    "original": "original algorithm",
    "faiss": "faiss IndexFlatIP, CPU",
    "faiss-skylakex": "the same, OPENBLAS_CORETYPE=SKYLAKEX",
    "sklearn": "scikit-learn brute cosine, CPU",
}
ASKED = ("ours", "original", "faiss", "sklearn")  # what --methods may name
INSTALL = 'not installed: pip install "kernel-explorer[bench]"'
SYNTHETIC = {"queries": 1_000, "database": 10_000, "runs": 500, "classes": 10, "files": 1}


@dataclass(frozen=True)
class BenchRequest:
    """What was asked for. queries, database, runs, classes, files: None for `SYNTHETIC`, or all that a source has.

    Raises `RequestError` for sizes or methods that make no bench.
    """

    source: str | None = None
    queries: int | None = None
    database: int | None = None
    runs: int | None = None
    classes: int | None = None
    files: int | None = None
    k: int = 20
    repeats: int = 3
    methods: tuple[str, ...] = ASKED
    device: str = "auto"
    precision: str = "auto"
    memory: int | None = None

    def __post_init__(self) -> None:
        least = {"queries": 1, "database": 1, "runs": 2, "classes": 2, "files": 1, "k": 1, "repeats": 1}
        for name, smallest in least.items():
            given = getattr(self, name)
            if given is not None and given < smallest:
                raise RequestError(f"--{name} is {given}; expected {smallest} or more.")
        unknown = [method for method in self.methods if method not in ASKED]
        if unknown or not self.methods:
            raise RequestError(
                f"--methods names {', '.join(map(repr, unknown)) or 'nothing'}; expected some of {','.join(ASKED)}."
            )
        if self.source is not None and self.classes is not None:
            raise RequestError(
                "--classes is for synthetic logits; a source has its own. Leave one of the two out."
            )
        sizes = self.synthetic_sizes
        for name, given, limit in (("k", self.k, "database"), ("files", sizes["files"], "runs")):
            if self.source is None and given > sizes[limit]:
                raise RequestError(f"--{name} is {given:,}; expected at most --{limit}, {sizes[limit]:,}.")

    @property
    def synthetic_sizes(self) -> dict[str, int]:
        """The sizes of synthetic logits."""
        return {name: getattr(self, name) or default for name, default in SYNTHETIC.items()}


@dataclass(frozen=True)
class _Logits:
    """Files to measure with, and the near-duplicates known to be in them (test index → training index)."""

    name: str
    files: tuple[Path, ...]
    planted: dict[int, int]


def measure_all(request: BenchRequest, progress: Progress) -> dict[str, Any]:
    """Measure, and return what `--json` prints: every timing, in seconds, and memory in bytes.

    Files are written to a temporary folder, which is removed whatever happens. Raises `RequestError` where nothing
    can be measured, `DataError` or `SourceError` where the source cannot be read.
    """
    from kernel_core.bench.processes import describe_machine, take_turns
    from kernel_core.machine import choose_device

    device = choose_device(request.device).type
    methods = _present(request.methods)
    with tempfile.TemporaryDirectory(prefix="kernel-explorer-bench-") as folder:
        if request.source is None:
            logits = _write_synthetic(request, Path(folder), progress)
        else:
            logits = _open_source(request, Path(folder), progress)
        job, classes = _job(request, device, logits.files)
        answers = take_turns(job, [m for m in methods if methods[m] is None], request.repeats, progress)
        machine = describe_machine(device)
    reference = answers.pop("oracle")[0]
    if "failed" in reference:
        raise RequestError(f"The reference in float64 could not be computed: {reference['failed']}.")
    rows = [
        {"method": m, "title": TITLES[m], "unavailable": why} if why
        else {"method": m, "title": TITLES[m], **_row(job, answers[m], reference["top"], logits.planted)}
        for m, why in methods.items()
    ]  # fmt: skip
    if not any("seconds" in row for row in rows):
        reasons = "; ".join(f"{row['method']}: {row['unavailable']}" for row in rows)
        raise RequestError(
            f"Nothing could be measured ({reasons}). Correct that, or ask for other --methods."
        )
    sizes = {
        "source": logits.name, "queries": job.queries, "database": job.database, "runs": job.runs,
        "classes": classes, "files": len(logits.files), "k": job.k, "repeats": request.repeats,
    }  # fmt: skip
    flop = 2 * job.queries * job.database * job.runs * classes
    return {
        "machine": machine, "sizes": sizes, "precision": job.precision, "memory_budget": job.budget,
        "methods": rows, "product": _product(answers.get("ours", []), flop),
    }  # fmt: skip


def _present(methods: tuple[str, ...]) -> dict[str, str | None]:
    """Each method asked for, and faiss in each way worth measuring → why it cannot be measured, or None."""
    found: dict[str, str | None] = dict.fromkeys(methods)
    if "faiss" in found:
        try:
            importlib.import_module("faiss")
        except ImportError:
            if methods == ("faiss",):
                raise RequestError(f"faiss is {INSTALL}, or ask for other --methods.") from None
            found["faiss"] = INSTALL
        else:
            from kernel_core.bench.processes import cpu_info

            if "avx512vl" in cpu_info().get("flags", "").split():
                found["faiss-skylakex"] = None  # the OpenBLAS in faiss' wheel may not know a newer processor
    return {method: found[method] for method in TITLES if method in found}


def _write_synthetic(request: BenchRequest, folder: Path, progress: Progress) -> _Logits:
    from kernel_core.bench.synthetic import SyntheticSize, write_synthetic  # torch takes seconds to load

    size = SyntheticSize(**request.synthetic_sizes)
    free = shutil.disk_usage(folder).free
    if size.bytes > 0.95 * free:
        raise RequestError(
            f"These logits take {size.bytes / 1e9:,.1f} GB, but {folder.parent} has {free / 1e9:,.1f} GB left. Ask for "
            "smaller sizes, or let TMPDIR name a folder with more room."
        )
    written = write_synthetic(folder, size, progress=progress)
    return _Logits("synthetic", written.files, written.planted)


def _open_source(request: BenchRequest, folder: Path, progress: Progress) -> _Logits:
    """A source's files; where it trains its ensemble, train it into a file of the folder."""
    name = str(request.source)
    source = open_source(SourceRequest(name, request.runs, request.files), progress=progress)
    if not isinstance(source.logits, Training):
        return _Logits(source.name, source.logits, {})
    import torch

    from kernel_core.networks.training import train_in_memory

    examples = {split: images.load_examples(source.images, split, progress) for split in SPLITS}
    training = replace(source.logits, run_count=request.runs or source.logits.run_count)
    part = train_in_memory(training, examples, progress)[0].parts[0]
    log = folder / "log.pt"
    torch.save(
        {"logits": torch.from_numpy(part["test"]), "logits_train": torch.from_numpy(part["train"])}, log
    )
    return _Logits(source.name, (log,), {})


def _job(request: BenchRequest, device: str, files: tuple[Path, ...]) -> tuple[Job, int]:
    """What to measure, and the number of classes. Raises `RequestError` if more is asked for than the files hold."""
    import torch

    from kernel_core.bench.competitors import Job
    from kernel_core.ensembles.log_file import open_ensemble
    from kernel_core.pipeline import BUDGET
    from kernel_core.search.certified import choose_precision

    ensemble = open_ensemble(files)
    ensemble = ensemble.first(request.runs or ensemble.run_count)
    queries, database = ensemble.example_count("test"), ensemble.example_count("train")
    for name, there in (("queries", queries), ("database", database)):
        if (getattr(request, name) or 1) > there:
            raise RequestError(
                f"--{name} is {getattr(request, name):,}, but the source has {there:,} of them."
            )
    queries, database = request.queries or queries, request.database or database
    if request.k > database:
        raise RequestError(f"--k is {request.k}; expected at most the database's {database:,} examples.")
    if ensemble.run_count < 2:
        raise RequestError(
            f"The source has {ensemble.run_count} run; the kernel correlates over runs, 2 or more."
        )
    job = Job(
        files=files, runs=ensemble.run_count, queries=queries, database=database, k=request.k, device=device,
        precision=choose_precision(request.precision, torch.device(device)), budget=request.memory or BUDGET[device],
    )  # fmt: skip
    return job, ensemble.class_count


def _row(job: Job, answers: list[dict[str, Any]], reference: Top, planted: dict[int, int]) -> dict[str, Any]:
    """One method's part of the result."""
    failed = [answer["failed"] for answer in answers if "failed" in answer]
    if failed:
        return {"unavailable": f"failed: {failed[0]}"}
    from kernel_core.bench.competitors import agreement

    seconds = [answer["seconds"] for answer in answers]
    top = answers[-1]["top"]
    known = {i: j for i, j in planted.items() if i < job.queries and j < job.database}
    return {
        "seconds": {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "all": seconds},
        "stages": {name: [a["stages"][name] for a in answers] for name in answers[0]["stages"]},
        **{f"peak_{kind}": max(a[kind] or 0 for a in answers) or None for kind in ("resident", "anonymous", "cuda")},
        "agreement": agreement(top, reference, job.sample),
        "planted": {"pairs": len(known), "nearest": sum(int(top.indices[i, 0]) == j for i, j in known.items())},
        "certified": getattr(top, "certified", None),
        "redone": getattr(top, "redone", None),
    }  # fmt: skip


def _product(answers: list[dict[str, Any]], flop: int) -> dict[str, Any] | None:
    """The float32 product measured beside each search of ours, by the quickest way; and our share of it, from opening
    the files to the neighbors. Medians.
    """
    if not answers or "failed" in answers[-1]:
        return None
    ways = {way: [answer["product"][way] for answer in answers] for way in answers[0]["product"]}
    by = max(ways, key=lambda way: statistics.median(ways[way]))
    seconds = [answer["seconds"] for answer in answers]
    shares = [flop / each / 1e9 / peak for each, peak in zip(seconds, ways[by], strict=True)]
    return {
        "gflops": statistics.median(ways[by]), "by": by, "all": ways,
        "ours": flop / statistics.median(seconds) / 1e9, "share": statistics.median(shares),
    }  # fmt: skip


@click.command("bench")
@click.argument("source", required=False)
@click.option("--queries", type=int, help="Test examples.  [default: 1,000; of SOURCE: all]")
@click.option("--database", type=int, help="Training examples.  [default: 10,000; of SOURCE: all]")
@click.option("--runs", type=int, help="[default: 500; of SOURCE: all]")
@click.option("--classes", type=int, help="Of synthetic logits.  [default: 10]")
@click.option("--files", type=int, help="Files that the runs are spread over, or downloaded.  [default: 1]")
@click.option("--k", type=int, default=20, show_default=True)
@click.option("--repeats", type=int, default=3, show_default=True)
@click.option("--methods", default=",".join(ASKED), show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True)
@click.option("--memory", type=Bytes(), help="Memory budget of our search.  [default: 1GB, CUDA 3GB]")
@click.option("--json", "as_json", is_flag=True, help="Every timing, and everything else known.")
def bench(methods: str, as_json: bool, **asked: Any) -> None:
    """Measure this machine: our search beside the original algorithm, faiss and scikit-learn.

    Without SOURCE on synthetic logits, in about a minute.

    \b
    Example:  kernel-explorer bench --queries 2000 --database 50000
    """
    request = BenchRequest(methods=tuple(dict.fromkeys(methods.split(","))), **asked)
    with ProgressBars() as report:
        result = measure_all(request, report)
    click.echo(json.dumps(result) if as_json else bench_table(result))
