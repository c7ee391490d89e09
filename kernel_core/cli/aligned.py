"""`kernel-explorer aligned`: compare the pixels of near pairs where they fit best, for the twin score."""

from __future__ import annotations

import functools

import click

from kernel_core.cli.options import query_option, similarity_option, variant_options, with_results
from kernel_core.cli.output import say
from kernel_core.findings.twins import BANDS, allows_twin_score
from kernel_core.results.pair_orders import lacks_pixels, ordered_pairs
from kernel_core.results.results import Results


@click.command()
@functools.partial(
    with_results, lacks=lambda results, options: lacks_pixels(results, options["similarity"], floor=-1)
)
@query_option
@variant_options(each=False)
@similarity_option
def aligned(results: Results, similarity: str) -> None:
    """Compare the pixels of near pairs, for the twin score.

    Each example is compared with its ten nearest, where the two images fit best, shifted or mirrored. `build`
    does it for the kernel; this does it by any similarity, in any direction.

    \b
    Example:  kernel-explorer aligned digits --similarity pixels
    Example:  kernel-explorer aligned digits --query train --database train
    """
    values = results.aligned[similarity].values
    by = results.title_of(similarity)
    say(
        f"{results.name}: aligned pixels of {len(values):,} {results.spec.query_example}s with their "
        f"{values.shape[1]} nearest by {by}"
    )
    if allows_twin_score(results.similarity(similarity)):
        counts = ordered_pairs(results, similarity, "twin")["band"].value_counts()
        say("by the twin score: " + ", ".join(f"{counts.get(band, 0):,} {band}" for band in BANDS))
