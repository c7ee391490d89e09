"""Each method's nearest training examples of every test example, written as files of given neighbors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kernel_core.errors import RequestError
from kernel_core.files import writing
from kernel_core.lab.ask import Order, open_setting
from kernel_core.lab.attributions.answer import asked_of
from kernel_core.lab.attributions.halves import MOST
from kernel_core.lab.attributions.judged import judge
from kernel_core.lab.attributions.methods import KERNEL, Method, methods_for
from kernel_core.lab.attributions.subset_runs import has_own_runs
from kernel_core.lab.setting import Setting
from kernel_core.results.store import Store
from kernel_core.shortage import shortage_said
from kernel_core.sources.catalog import source_file_of
from kernel_core.sources.source import Given, SourceRequest
from kernel_core.sources.toml_edits import with_given

NOT_GIVEN = (KERNEL, "label")  # every source has the first, and the second makes no difference within a class
LONGEST = 40  # characters of a section's name


def give_neighbors(
    request: SourceRequest, order: Order, folder: Path, **machine: Any
) -> tuple[tuple[Given, ...], Path | None]:
    """Write a file `NAME.npz` for each method but those of `NOT_GIVEN`, and name them in the `source.toml`.

    Each file has `indices`, int32 (n, 50), of every test example, and `values`, float32, the largest first.
    What is found of a method is kept in the cache, and an answer takes it from there. order: with all query
    examples. machine: options of `open_setting`. Returns what was written, and the `source.toml`; None if
    there is none.

    Raises `RequestError` if methods are asked about a part of the examples alone, if the names are taken, or
    if a file cannot be written.
    """
    setting = open_setting(request, order, store=Store(), **machine)
    toml = source_file_of(request)
    with shortage_said():
        try:
            given = _give(setting, folder)
            if toml is not None:
                text = with_given(toml, given)
                with writing(toml) as file:
                    file.write(text)
        except OSError as error:
            raise RequestError(
                f"{error.filename or folder} cannot be written ({error.strerror or error}). Choose another "
                "folder, or copy the source.toml to one that can be written."
            ) from None
    return given, toml


def _give(setting: Setting, folder: Path) -> tuple[Given, ...]:
    _refuse_part(setting)
    asked = asked_of(setting)
    methods = [method for method in methods_for(asked) if method.name not in NOT_GIVEN]
    given = tuple(_given(setting, method, folder) for method in methods)
    for number, (method, of) in enumerate(zip(methods, given, strict=True)):
        setting.progress(f"nearest by {method.title}", number, len(methods))
        found = judge(method, asked)
        with writing(of.file) as file:
            indices = found.listed.astype(np.int32)
            np.savez(file, indices=indices, values=found.values, method=np.array(method.name))
    setting.progress("nearest by each method", len(methods), len(methods))
    return given


def _refuse_part(setting: Setting) -> None:
    name, counts = setting.results.name, setting.results.example_counts
    if not has_own_runs(setting) and any(counts[split] > most for split, most in MOST.items()):
        raise RequestError(
            f"{name} has {counts['train']:,} training and {counts['test']:,} test examples; networks are "
            f"trained for {MOST['train']:,} and {MOST['test']:,} at most, but neighbors are given for all. "
            "Choose a source whose runs were each trained on a part of its training set, as `train "
            "heads --subset 0.5` writes."
        )


def _given(setting: Setting, method: Method, folder: Path) -> Given:
    """Return what a method is called as given neighbors: "-lab" is added if another similarity has its name.

    Raises `RequestError` if both names are taken.
    """
    source = setting.keys.source
    earlier = {of.name: of.file.resolve() for of in source.given}
    offered = {similarity.name for similarity in source.similarities}
    title = method.title[:1].upper() + method.title[1:]
    for addition, shown in (("", title), ("-lab", f"{title} (lab)")):
        name = f"{method.name[: LONGEST - len(addition)]}{addition}"  # that of features may be long
        file = folder / f"{name}.npz"
        if name not in offered or earlier.get(name) == file.resolve():
            return Given(name, shown, file, "test", "train")
    raise RequestError(
        f"{source.name} has other similarities called {method.name!r} and {name!r}. Rename a section in its "
        "source.toml, or write to the folder that they are in."
    )
