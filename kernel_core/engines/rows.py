"""The rows of a search, as a worker opens them: from paths, hashes and the cache, never from tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kernel_core.engines.files import check_files
from kernel_core.ensembles.join import ExampleNames
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError
from kernel_core.machine import CPU
from kernel_core.recipes import Training
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.results.entries import MOMENTS, Entries
from kernel_core.results.example_entries import read_examples
from kernel_core.results.keys import Keys
from kernel_core.results.store import Store
from kernel_core.results.trained_here import HeadEntries
from kernel_core.similarities import PATCHES, PENULTIMATE, Similarity
from kernel_core.similarity.embed import embed
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.similarity.split_moments import Kept, in_memory, read_moments
from kernel_core.sources import images
from kernel_core.sources.features import load_features
from kernel_core.sources.image_ranges import absolute
from kernel_core.sources.source import FeatureSet, Source
from kernel_core.spec import KernelSpec, Split


@dataclass(frozen=True, eq=False)
class RowsFrom:
    """From where a worker makes the rows of a search.

    keys: of the results; all paths in it are absolute. spec: of the neighbors. cache: folder of the cache.
    class_names: of the source.
    """

    keys: Keys
    spec: KernelSpec
    cache: Path
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, keys: Keys, spec: KernelSpec, store: Store, class_names: tuple[str, ...]) -> RowsFrom:
        """Return from where the rows of a spec come, in words that any folder of any node understands."""
        absolute = replace(keys, source=_absolute(keys.source))
        return cls(absolute, spec, store.root.absolute(), class_names)

    @property
    def id(self) -> str:
        """A text that is the same for the same rows alone."""
        return f"{self.cache} {self.keys.key(self.spec)}"

    def open(self) -> tuple[SimilarityRows, SimilarityRows]:
        """Return the query rows and the database rows.

        Raises `DataError` if a file is missing or has another content than on the driver's machine, or if the
        cache lacks what it must have.
        """
        return _Opening(self).rows()


def must_be_local(spec: KernelSpec) -> str:
    """Return why the rows of a spec cannot be opened by workers; empty if they can."""
    return "whitening needs all rows at once" if spec.whitened else ""


def _absolute(source: Source) -> Source:
    """Return a source whose files have absolute paths: workers start in other folders."""
    logits = source.logits
    return replace(
        source,
        logits=logits if isinstance(logits, Training) else tuple(path.absolute() for path in logits),
        feature_sets=tuple(
            replace(of, files={split: path.absolute() for split, path in of.files.items()})
            for of in source.feature_sets
        ),
        images=absolute(source.images),
        root=None if source.root is None else source.root.absolute(),
    )


@dataclass(frozen=True, eq=False)
class RunsFrom:
    """From where a worker opens the runs of an ensemble.

    keys, cache, class_names: as in `RowsFrom`. run_count: number of the first runs; None for those of `keys`.
    """

    keys: Keys
    cache: Path
    class_names: tuple[str, ...]
    run_count: int | None = None

    @classmethod
    def of(cls, keys: Keys, store: Store, class_names: tuple[str, ...], run_count: int) -> RunsFrom:
        """Return from where the first runs come, in words that any folder of any node understands."""
        absolute = replace(keys, source=_absolute(keys.source))
        return cls(absolute, store.root.absolute(), class_names, run_count)

    @property
    def id(self) -> str:
        """A text that is the same for the same runs alone."""
        return f"{self.cache} {self.keys.id} {self.run_count}"

    def open(self) -> Ensemble:
        """Return the runs. Raises `DataError` as `RowsFrom.open` does."""
        source = self.keys.source
        if isinstance(source.logits, Training):
            ensemble = self.trained()[0]
        else:
            hashes = [sha256 for _, sha256 in self.keys.inputs["kernel"]["files"]]
            check_files(source.logits, hashes, self.cache, self.keys.run_count)
            named = ExampleNames(lambda s: images.example_names(source.images, s), self.class_names)
            splits, form = source.images.splits, source.logit_form
            ensemble = open_ensemble(source.logits, source.root, splits, form, named, self.keys.run_count)
        for run_count in (self.keys.run_count, self.run_count):
            if run_count is not None and run_count != ensemble.run_count:
                ensemble = ensemble.first(run_count)
        return ensemble

    def trained(self) -> tuple[Ensemble, Features]:
        """Return the runs that were trained here, and the features of run 0."""
        training, store = self.keys.source.logits, Store(self.cache)
        assert isinstance(training, Training)
        if training.of_heads:
            trained = HeadEntries(self.keys, store).read_ensemble()
        else:
            trained = Entries(self.keys, store).read_trained()
        if trained is None:
            raise _not_shared(self.cache, "the networks that were trained here")
        return trained


class _Opening:
    """What a worker opens for one spec."""

    def __init__(self, rows: RowsFrom) -> None:
        self.keys, self.spec, self.store = rows.keys, rows.spec, Store(rows.cache)
        self.runs = RunsFrom(rows.keys, rows.cache, rows.class_names, rows.spec.run_count)

    def rows(self) -> tuple[SimilarityRows, SimilarityRows]:
        similarity = self.keys.offered[self.spec.similarity]
        ensemble, moments = Ensemble((), ()), None
        if similarity.kind == "kernel":
            ensemble = self.runs.open()
            if not isinstance(self.keys.source.logits, Training):
                moments = {s: partial(self._moments_of_file, ensemble, s) for s in self.spec.splits}
        examples = self._examples() if similarity.kind in ("pixels", "nngp") else {}
        features = self._features(similarity) if similarity.kind == "features" else None
        return embed(self.spec, similarity, examples, ensemble, features, kept_moments=moments)

    def _examples(self) -> dict[Split, ExampleSet]:
        examples = read_examples(self.keys, self.store)
        if examples is None:
            raise _not_shared(self.store.root, "the images")
        return examples

    def _features(self, similarity: Similarity) -> Features:
        source = self.keys.source
        if isinstance(source.logits, Training) and similarity.of == PENULTIMATE:
            return self.runs.trained()[1]
        if isinstance(source.logits, Training) and similarity.of == PATCHES:
            entries = HeadEntries(self.keys, self.store)
            if entries.read_patches() is None:
                raise _not_shared(self.store.root, "the patches of the images")
            return load_features(entries.patches, source.images.splits)
        (features,) = (of for of in source.feature_sets if of.name == similarity.of)
        hashes = [sha256 for _, sha256 in self.keys.inputs[similarity.name]["files"]]
        check_files(_files(features), hashes, self.store.root)
        return load_features(features, source.images.splits)

    def _moments_of_file(self, ensemble: Ensemble, split: Split, file: int) -> Kept:
        """Return what is kept of one file's moments: from the cache, if it is shared, or from the file."""
        run_count, transform = len(ensemble.parts[file][split]), self.spec.transform
        content = {"runs": run_count, "split": split, "transform": transform, "of": MOMENTS}
        entry = self.store.map_all("moments", self.keys.moments(ensemble, file, content))
        if entry is not None:
            return entry[0]
        return in_memory(read_moments(ensemble, file, split, transform, CPU.device))


def _not_shared(cache: Path, what: str) -> DataError:
    return DataError(
        f"the cache {cache} lacks {what}; expected the same folder on every node. Set "
        "KERNEL_EXPLORER_CACHE to one on a shared disk, or use --engine local."
    )


def _files(features: FeatureSet) -> list[Path]:
    return list(features.files.values())
