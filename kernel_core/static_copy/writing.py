"""Write a static copy: a folder that is there whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

from kernel_core import __version__
from kernel_core.errors import RequestError, Unavailable
from kernel_core.files import write_json
from kernel_core.findings.twins import BANDS
from kernel_core.held import folder_beside
from kernel_core.printable import NAME, printable
from kernel_core.progress import Progress, no_progress
from kernel_core.results.results import Results
from kernel_core.review.judged import Judged
from kernel_core.static_copy.lists import Listed, lists_of
from kernel_core.static_copy.numbered import Numbered
from kernel_core.static_copy.sprites import write_sheets
from kernel_core.static_copy.verdicts import verdicts_of

BROWSER = Path(__file__).parent / "browser"
SCRIPTS = ("state", "names", "filters", "tiles", "controls", "lists", "single", "start")
MARKER = "kernel-explorer-copy.json"
STYLES = ("copy.css", "tiles.css")
OURS = {"index.html", *STYLES, "data", "images", "scripts", MARKER, ".nojekyll"}
"""What the folder of a copy holds; one with anything else is not replaced."""


@dataclass(frozen=True)
class Options:
    """What goes into a copy. most: rows per list. images: whether pictures do. named: reviewers and notes."""

    most: int
    images: bool = True
    named: bool = True


@dataclass(frozen=True)
class Written:
    """What was written: lists, number of examples, bytes of images and of all; and what is left out, why."""

    lists: list[Listed]
    examples: int
    image_bytes: int
    total_bytes: int
    lacking: list[str]

    def summary(self, folder: Path) -> list[str]:
        """Return what was written, a line per list, and where to open it."""
        lines = []
        for listed in self.lists:
            rows = listed.about()["count"]
            of = f" of {listed.total:,}" if rows < listed.total else ""
            lines.append(f"{listed.name}: {rows:,}{of} rows")
        size = f"{self.total_bytes / 1e6:,.1f} MB, of which {self.image_bytes / 1e6:,.1f} MB are images"
        return [*lines, f"{self.examples:,} examples, {size}", f"open {folder / 'index.html'}"]


def refuse_other_folder(folder: Path) -> None:
    """Raise `RequestError` unless a folder is missing, empty, or an earlier copy with nothing else in it."""
    if not os.path.lexists(folder):
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if not folder.is_dir() or (names and MARKER not in names):
        found = "a folder with other files" if folder.is_dir() else "no folder"
        raise RequestError(f"{folder} is {found}; expected a new or empty folder, or an earlier copy.")
    if others := sorted(names - OURS):
        raise RequestError(
            f"{folder} is an earlier copy, but also holds {printable(', '.join(others[:3]))}; it is not "
            "replaced. Move that elsewhere, or choose another folder with --out."
        )


def write_copy(
    parts: Sequence[Results],
    by: str,
    judged: Judged,
    folder: Path,
    options: Options,
    progress: Progress = no_progress,
) -> Written:
    """Write the copy of what is built of a source; replace an earlier one.

    parts: its results in each direction, the first the one that they were opened in. by: the similarity.
    Raises `RequestError` for a folder that is no copy, and `Unavailable` if it cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    refuse_other_folder(folder)
    results = parts[0]
    numbered = Numbered(results.examples, results.predictions_of)
    progress("listing", 0, 1)
    lists, lacking = lists_of(parts, by, numbered, options.most)
    progress("listing", 1, 1)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder_beside(folder) as new:
            about = _about(results, by, lists, options)
            if options.images and results.has_images:
                about["sheets"] = asdict(write_sheets(numbered, new / "images", progress))
            data = {listed.name: listed.columns for listed in lists}
            data |= {"about": about, "examples": numbered.columns()}
            data["verdicts"] = verdicts_of(judged, numbered, named=options.named)
            _write_files(new, about, data)
            sizes = {path: path.stat().st_size for path in new.rglob("*") if path.is_file()}
            _put_in_place(new, folder)
    except OSError as error:
        raise Unavailable(
            f"Cannot write the copy to {folder} ({error.strerror or error}); nothing there was changed. Free "
            "some space, or choose another folder with --out."
        ) from None
    images = sum(size for path, size in sizes.items() if path.parent.name == "images")
    return Written(lists, len(numbered.listed), images, sum(sizes.values()), lacking)


def _about(results: Results, by: str, lists: Sequence[Listed], options: Options) -> dict[str, Any]:
    similarity = replace(results.similarity(by))
    return {
        "source": printable(results.name, NAME),
        "results": results.id,
        "version": __version__,
        "runs": results.run_count,
        "by": {"name": by, "title": similarity.title, "is_distance": similarity.is_distance},
        "classes": list(results.class_names),
        "counts": results.example_counts,
        "bands": list(BANDS),
        "most": options.most,
        "lists": [listed.about() for listed in lists],
        "sheets": None,
    }


def _write_files(new: Path, about: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Write everything but the images. data: name of a file → its content."""
    for name in ("data", "scripts"):
        (new / name).mkdir()
    for name, content in data.items():
        (new / "data" / f"{name}.js").write_text(_as_script(name, content), encoding="utf-8")
    for name in SCRIPTS:
        shutil.copyfile(BROWSER / f"{name}.js", new / "scripts" / f"{name}.js")
    for name in STYLES:
        shutil.copyfile(BROWSER / name, new / name)
    loader = jinja2.FileSystemLoader(BROWSER)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.get_template("index.html.jinja").render(about=about, scripts=SCRIPTS)
    (new / "index.html").write_text(page, encoding="utf-8")
    (new / ".nojekyll").touch()  # GitHub Pages then serves the files as they are
    kept = ("source", "results", "version", "runs", "counts", "most")
    write_json(new / MARKER, {"made with": "kernel-explorer export", **{name: about[name] for name in kept}})


def _as_script(name: str, content: Any) -> str:
    """Return values as a script that hands them over: a page from disk may load scripts, but read no JSON.

    ASCII alone, and without what could end a script element.
    """
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    safe = text.replace("<", "\\u003c")
    return f'Copy.take("{name}", {safe});\n'


def _put_in_place(new: Path, folder: Path) -> None:
    """Rename the new folder to its place; an earlier copy goes once the new one is complete."""
    if not folder.is_dir():
        os.rename(new, folder)
        return
    with folder_beside(folder) as aside:
        os.rename(folder, aside / "before")
        try:
            os.rename(new, folder)
        except OSError:
            os.rename(aside / "before", folder)
            raise
