"""The registry of similarities: pages, verbs and notebooks list what a source offers from here.

A source has the kernel, pixels, the closed form of networks before any training (NNGP), any number of sets
of features, and neighbors that its owner gives. The kernel has variants, whose names say what differs:
`kernel.raw`, `kernel.first-50`, `kernel.whitened`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kernel_core.spec import WHITENED, KernelSpec

Kind = Literal["kernel", "features", "pixels", "nngp", "given"]
By = Literal["correlation", "cosine", "euclidean", "dot", "given"]

WAYS: dict[By, tuple[str, str]] = {
    "cosine": ("cosine", "cosine similarity"),
    "euclidean": ("Euclidean", "minus the Euclidean distance"),
    "dot": ("dot product", "inner product"),
}
"""How features can be compared: name in a `source.toml` → name that people see, and what it is."""

ABOUT = {
    "centred": "logits minus their mean over the classes",
    "shift": "the mean of the logits over the classes, one number per run",
    WHITENED: "cosine of rows that the covariance of the training rows has whitened",
}
"""What varies the kernel → what it is, where its name does not say."""
PENULTIMATE = "penultimate"  # the set that [features] itself names, and that this program computes
PATCHES = "patches"  # the set that heads are trained on here, which takes no training itself
MEANINGS = {
    PENULTIMATE: "of the activations before the last layer of one run",
    PATCHES: "of what small patches of the two images look like, averaged over parts of the image",
}
"""Set of features → what is compared, where this program knows it."""


@dataclass(frozen=True)
class Similarity:
    """One way to say how similar two examples are; a larger value is nearer.

    name: on the command line, in addresses and in cache keys. title: the name that people see.
    meaning: what is compared, in one line. kind, by: what the values are of. of: the set of features, or the
    given neighbors, by their name in the `source.toml`. on_request: whether neighbors by it are found only
    where somebody asks for it by name.
    """

    name: str
    title: str
    meaning: str
    kind: Kind
    by: By
    of: str = ""
    on_request: bool = False

    @property
    def is_distance(self) -> bool:
        """Whether the values are minus distances."""
        return self.by == "euclidean"


KERNEL = Similarity(
    "kernel",
    "Kernel",
    "correlation over the runs of the two examples' log-probabilities, averaged over the classes",
    "kernel",
    "correlation",
)
PIXELS = Similarity("pixels", "Pixels", "correlation of the pixel values", "pixels", "correlation")
NNGP = Similarity(
    "nngp",
    "NNGP",
    "what networks of infinite width see before any training: correlation of their outputs, in closed form, "
    "of gray levels through two hidden layers",
    "nngp",
    "correlation",
    on_request=True,
)


def of_features(name: str, title: str, ways: tuple[By, ...]) -> list[Similarity]:
    """Return the similarities of one set of features, one per way to compare them.

    name, title: of the set. The cosine has the name of the set itself, others add theirs to it.

    >>> [similarity.name for similarity in of_features("clip", "CLIP", ("cosine", "dot"))]
    ['clip', 'clip-dot']
    """
    what = MEANINGS.get(name, f"of {title}")
    return [
        Similarity(
            name if by == "cosine" else f"{name}-{by}",
            f"{title} ({WAYS[by][0]})",
            f"{WAYS[by][1]} {what}",
            "features",
            by,
            name,
        )
        for by in ways
    ]


def of_given(name: str, title: str) -> Similarity:
    """Return the similarity of neighbors that the source's owner gives."""
    return Similarity(name, title, f"as given by {title}", "given", "given", name)


def of_variant(spec: KernelSpec) -> Similarity:
    """Return the kernel as a spec varies it; the kernel itself if it does not.

    >>> of_variant(KernelSpec("kernel", run_count=50, transform="none")).title
    'Kernel (first 50 runs, raw logits)'
    """
    if spec.name == KERNEL.name:
        return KERNEL
    kernel = f"the kernel {'from' if spec.run_count else 'of'} {spec.differences}"
    chosen = (spec.transform, WHITENED) if spec.whitened else (spec.transform,)
    return Similarity(
        spec.name,
        f"Kernel ({spec.differences})",
        ": ".join([kernel, *(ABOUT[choice] for choice in chosen if choice in ABOUT)]),
        "kernel",
        "cosine" if spec.whitened else "correlation",
    )
