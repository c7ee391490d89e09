"""Files of logits that a source had when it was last built: a pattern that matches fewer does not say so."""

from __future__ import annotations

import contextlib
import logging

from kernel_core.errors import StoreError
from kernel_core.recipes import Training
from kernel_core.results.store import Store, key_of
from kernel_core.sources.source import Source, SourceRequest

NAMED = 3  # missing files that a warning names
log = logging.getLogger("kernel_core")


def warn_of_missing_files(request: SourceRequest, source: Source, store: Store) -> None:
    """Warn if the patterns of [ensemble] match fewer files than at the last build of this `source.toml`."""
    names, before = _names(source), _known_names(request, store)
    if len(names) >= len(before):
        return
    missing = [name for name in before if name not in names]
    others = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    log.warning(
        "[ensemble] files of %s matched %d files at the last build, %d now: missing %s%s",
        source.name,
        len(before),
        len(names),
        ", ".join(missing[:NAMED]),
        others,
    )


def remember_files(request: SourceRequest, source: Source, store: Store) -> None:
    """Remember the files of logits that a source was built from; a cache that cannot be written forgets."""
    names = _names(source)
    if request.path and names != _known_names(request, store):
        with contextlib.suppress(StoreError):
            about = f"{source.name}: names of {len(names)} files of logits"
            store.write("files", _key(request), {}, {"names": names}, about=about)


def _key(request: SourceRequest) -> str:
    """Return the key of a `source.toml`, which is its place."""
    assert request.path is not None
    path = request.path / "source.toml" if request.path.is_dir() else request.path
    return key_of({"files of": str(path.resolve())})


def _known_names(request: SourceRequest, store: Store) -> list[str]:
    known = store.read("files", _key(request)) if request.path else None
    return list(known[1]["names"]) if known else []


def _names(source: Source) -> list[str]:
    """Return the names of a source's files of logits, within its folder if they are there."""
    files, root = () if isinstance(source.logits, Training) else source.logits, source.root
    return [str(path.relative_to(root) if root and path.is_relative_to(root) else path) for path in files]
