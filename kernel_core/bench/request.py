"""The methods and sizes of a benchmark, checked before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from kernel_core.errors import RequestError

TITLES = {
    "ours": "Kernel Explorer",
    "original": "original algorithm",
    "faiss": "faiss IndexFlatIP, CPU",
    "faiss-skylakex": "the same, OPENBLAS_CORETYPE=SKYLAKEX",
    "sklearn": "scikit-learn brute cosine, CPU",
}
"""Method → its name shown to people."""

METHOD_NAMES = ("ours", "original", "faiss", "sklearn")
"""Methods that a request can name; `faiss-skylakex` is added to `faiss` where it can make a difference."""

SYNTHETIC = {"queries": 1_000, "database": 10_000, "run_count": 500, "class_count": 10, "file_count": 1}
SMALLEST = {
    "queries": 1,
    "database": 1,
    "run_count": 2,
    "class_count": 2,
    "file_count": 1,
    "k": 1,
    "repeats": 1,
    "busy": 0,
}


@dataclass(frozen=True)
class BenchRequest:
    """A benchmark to run.

    source: a source's name or path; None for synthetic logits. queries, database, run_count, class_count,
    file_count: None for the sizes in `SYNTHETIC`, or for all that the source has. memory: budget of our own
    search in bytes; None for the default of the device. busy: number of busy loops beside which everything is
    measured again. Raises `RequestError` if a size is too small, sizes
    contradict each other, or a method is unknown.
    """

    source: str | None = None
    queries: int | None = None
    database: int | None = None
    run_count: int | None = None
    class_count: int | None = None
    file_count: int | None = None
    k: int = 20
    repeats: int = 3
    methods: tuple[str, ...] = METHOD_NAMES
    device: str = "auto"
    precision: str = "auto"
    memory: int | None = None
    busy: int = 0

    def __post_init__(self) -> None:
        for field, smallest in SMALLEST.items():
            size = getattr(self, field)
            if size is not None and size < smallest:
                raise RequestError(f"{_option(field)} is {size}; expected {smallest} or more.")
        unknown = [method for method in self.methods if method not in METHOD_NAMES]
        if unknown or not self.methods:
            raise RequestError(
                f"--methods names {', '.join(map(repr, unknown)) or 'nothing'}; "
                f"expected some of {','.join(METHOD_NAMES)}."
            )
        if self.source is None:
            self._check_synthetic_sizes()
        elif self.class_count is not None:
            raise RequestError(
                "--classes sets the classes of synthetic logits, but a source has its own. "
                "Leave out --classes or SOURCE."
            )

    def _check_synthetic_sizes(self) -> None:
        sizes = {**self.synthetic_sizes, "k": self.k}
        for field, limit in (("k", "database"), ("file_count", "run_count")):
            if sizes[field] > sizes[limit]:
                raise RequestError(
                    f"{_option(field)} is {sizes[field]:,}; "
                    f"expected at most {_option(limit)}, {sizes[limit]:,}."
                )

    @property
    def synthetic_sizes(self) -> dict[str, int]:
        """Sizes of the synthetic logits, by the names of the fields."""
        return {field: getattr(self, field) or default for field, default in SYNTHETIC.items()}


def _option(field: str) -> str:
    """Return the command-line option that sets a field."""
    if field.endswith("_count"):
        return {"run_count": "--runs", "class_count": "--classes", "file_count": "--files"}[field]
    return f"--{field}"
