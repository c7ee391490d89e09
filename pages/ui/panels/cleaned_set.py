"""What to do with the verdicts: a cleaned set to download, and the command that writes it with all files."""

from __future__ import annotations

import io
import zipfile

import streamlit as st

from kernel_core import __version__
from kernel_core.exports.decisions import Rules
from kernel_core.exports.folder import FORMATS, Asked, files_of
from kernel_core.printable import printable
from kernel_core.results.results import Results
from pages.ui import verdicts
from pages.ui.panels.list_tools import command

LIGHT = tuple(name for name in FORMATS if name not in ("cleanlab", "atlas"))
"""Formats that need no neighbors: their files are small."""
DATED = (1980, 1, 1, 0, 0, 0)  # of the files in the archive, so that the same verdicts give the same bytes


def show_cleaned_set(results: Results, rule: str) -> None:
    """Offer the cleaned set that a rule makes of the verdicts."""
    st.header("Use them")
    st.markdown(
        "Lists to keep and to drop, corrected labels, and the verdicts in the forms of ciFAIR, label-errors "
        "and ReaL. Test examples with a duplicate in training are dropped. The command has other choices and "
        "adds neighbors for cleanlab and Embedding Atlas."
    )
    st.download_button(
        "Download the cleaned set",
        lambda: _archive(results, rule),
        file_name="cleaned.zip",
        mime="application/zip",
        on_click="ignore",
        key="cleaned_set",
        icon=":material/download:",
    )
    words = command(results, "clean", "", "--rule", rule, "--out", "cleaned")
    st.code(printable(words), language="bash", wrap_lines=True)


def _archive(results: Results, rule: str) -> bytes:
    asked = Asked(Rules(rule), "kernel", LIGHT, {}, __version__)
    _, files = files_of(results, verdicts.judged(results), asked)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(f"cleaned/{name}", DATED), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
