"""`kernel-explorer corrections`: the label report, of what was judged and what machines find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kernel_core.cli.leaks import report_options, with_all_similarities
from kernel_core.cli.options import open_progress, similarity_option, source_options
from kernel_core.cli.output import say
from kernel_core.cli.review_options import read_verdicts
from kernel_core.report.label_report import label_report
from kernel_core.report.label_words import label_document, label_texts
from kernel_core.report.leak_review import architecture
from kernel_core.report.report_files import refuse_unwritable, write_files
from kernel_core.sources.source import SourceRequest


@click.command()
@source_options
@similarity_option
@report_options("corrections")
def corrections(
    source: str,
    device: str,
    memory: int | None,
    progress_file: Path | None,
    similarity: str,
    out: Path,
    **options: Any,
) -> None:
    """Report which labels people judged to be wrong.

    With their share, a list of corrections, and accuracies against the corrected labels; apart from that,
    what machines find. --similarity is that of the neighbors in the ranking of labels to check. Written to
    the folder: corrections.json, corrections.md, corrections.html and corrections.csv.

    \b
    Example:  kernel-explorer corrections digits --out corrections
    """
    refuse_unwritable(out)
    request = SourceRequest(source, **{name: options[name] for name in ("run_count", "files", "precision")})
    with open_progress(progress_file) as progress:
        results = with_all_similarities(request, similarity, device, memory, progress)
    report = label_report(
        results,
        read_verdicts(results, request),
        similarity=similarity,
        rule=options["rule"],
        anonymous=options["anonymous"],
        made_by=architecture(request),
    )
    for path in write_files(out, label_texts(report, images=not options["no_images"])):
        say(f"written: {path}", err=True)
    say(*label_document(report).lead)
