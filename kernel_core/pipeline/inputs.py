"""What a build reads: images, the ensemble, features and moments, each once, when it is first needed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from kernel_core.checks import check_alignment, check_features, refuse_untrainable
from kernel_core.engines.engine import LOCAL, Engine
from kernel_core.ensembles.join import ExampleNames
from kernel_core.ensembles.opening import open_ensemble
from kernel_core.errors import DataError
from kernel_core.machine import Machine
from kernel_core.networks.training import train_in_memory
from kernel_core.oddities import odd_features
from kernel_core.pipeline.heads import Heads
from kernel_core.pipeline.images import keep_examples
from kernel_core.progress import Progress, renamed
from kernel_core.recipes import Training
from kernel_core.records import Ensemble, ExampleSet, Features
from kernel_core.results.entries import MOMENTS, Entries
from kernel_core.results.example_entries import read_examples
from kernel_core.results.hashes import hash_each
from kernel_core.results.opening import emptied
from kernel_core.search.scores import top_k_of_scores
from kernel_core.search.topk import TopK
from kernel_core.similarities import PATCHES, PENULTIMATE, Similarity
from kernel_core.similarity.embed import embed
from kernel_core.similarity.rows import SimilarityRows
from kernel_core.similarity.split_moments import Kept, read_moments
from kernel_core.similarity.whitening import WhitenedRows, fit_whitening
from kernel_core.sources import images
from kernel_core.sources.features import load_features
from kernel_core.sources.given import open_given
from kernel_core.spec import KernelSpec, Split

WHOLE = ("digits", "torchvision")  # readers of data sets that are read at once, and can be trained on
log = logging.getLogger("kernel_core")


class Inputs:
    """The inputs of one build. What is computed on the way, such as trained runs, goes to the cache."""

    def __init__(
        self, entries: Entries, machine: Machine, progress: Progress, engine: Engine = LOCAL
    ) -> None:
        self.engine, self.entries, self.keys, self.store = engine, entries, entries.keys, entries.store
        self.machine, self.progress = machine, progress

    @cached_property
    def examples(self) -> Mapping[Split, ExampleSet]:
        """The images and labels of every split."""
        known = read_examples(self.keys, self.store)
        if known is not None:
            return known
        source = self.keys.source.images
        if isinstance(self.keys.source.logits, Training) and source.reader not in WHOLE:
            train = images.image_inventories(source)["train"]
            refuse_untrainable(train.classes, train.noun)
        return keep_examples(self.keys, self.store, self.progress, self.engine)

    @cached_property
    def ensemble(self) -> Ensemble:
        """The ensemble asked for, with as many runs as asked for; it fits the examples."""
        source = self.keys.source
        if isinstance(source.logits, Training):
            ensemble = self._trained[0]
        else:
            class_names = next(iter(self.examples.values())).class_names
            named = ExampleNames(lambda split: images.example_names(source.images, split), class_names)
            splits, form = source.images.splits, source.logit_form
            ensemble = open_ensemble(source.logits, source.root, splits, form, named, self.keys.run_count)
            hashes = hash_each(self.store, source.logits, self.keys.run_count)
            for (name, sha256), now in zip(self.keys.inputs["kernel"]["files"], hashes, strict=True):
                if now != sha256:
                    raise DataError(f"{name} was replaced during the build; run the command again.")
        if self.keys.run_count and self.keys.run_count != ensemble.run_count:
            ensemble = ensemble.first(self.keys.run_count)
        check_alignment(ensemble, self.examples, images.remarks_on(source.images))
        return ensemble

    def ensemble_of(self, spec: KernelSpec) -> Ensemble:
        """Return the runs that a spec is of: all that were asked for, or the first of them."""
        if spec.run_count in (None, self.keys.run_count):
            return self.ensemble
        return self.ensemble.first(spec.run_count)

    @cached_property
    def _trained(self) -> tuple[Ensemble, Features]:
        """The ensemble trained here and its run 0's features, from the cache if they are there."""
        training = self.keys.source.logits
        assert isinstance(training, Training)
        if training.of_heads:
            return self._heads.trained(training)
        known = self.entries.read_trained()
        if known is not None:
            return known
        trained = train_in_memory(training, self.examples, self.progress)
        self.entries.write_trained(*trained)
        return trained

    @cached_property
    def _heads(self) -> Heads:
        return Heads(self.entries, self.examples, self.machine, self.progress)

    def features(self, similarity: Similarity) -> Features | None:
        """Return the features that a similarity compares; None if it compares something else."""
        if similarity.kind != "features":
            return None
        source, sets = self.keys.source, self.keys.source.feature_sets
        if isinstance(source.logits, Training) and similarity.of == PENULTIMATE:
            return self._trained[1]
        if isinstance(source.logits, Training) and similarity.of == PATCHES:
            sets = (self._heads.patches,)
        (feature_set,) = (features for features in sets if features.name == similarity.of)
        features = load_features(feature_set, source.images.splits)
        check_features(features, similarity.title, self.examples, images.remarks_on(source.images))
        for line in odd_features(features):
            log.warning("%s: %s", similarity.title, line)
        return features

    def given(self, similarity: Similarity, k: int, progress: Progress) -> TopK:
        """Return the k nearest as the source's owner gives them, or as many as are given."""
        (given,) = (given for given in self.keys.source.given if given.name == similarity.of)
        found = open_given(given, {split: len(examples) for split, examples in self.examples.items()})
        if found.scores is not None:
            is_own = given.query == given.database
            return top_k_of_scores(found.scores, k, str(given.file), exclude_self=is_own, progress=progress)
        assert found.indices is not None
        assert found.values is not None
        return TopK(found.indices[:, :k], found.values[:, :k])

    def rows(
        self, spec: KernelSpec, similarity: Similarity, features: Features | None
    ) -> tuple[SimilarityRows, SimilarityRows]:
        """Return the query rows and the database rows of a spec, but not of given neighbors.

        features: those that the similarity compares. Raises `RequestError` if whitening takes more memory
        than there may be.
        """
        ensemble, moments = self.ensemble_of(spec), self.moments(spec)
        query, database = embed(spec, similarity, self.examples, ensemble, features, kept_moments=moments)
        if not spec.whitened:
            return query, database
        split = self._whitened_by(spec)
        training, _ = embed(
            replace(spec, query=split, database=split),
            similarity,
            self.examples,
            ensemble,
            kept_moments=moments,
        )
        whitening = fit_whitening(training, self.machine, self.progress)
        return WhitenedRows(query, whitening), WhitenedRows(database, whitening)

    def _whitened_by(self, spec: KernelSpec) -> Split:
        """Return the split whose rows' covariance whitens: the training set, or the only one there is."""
        return "train" if "train" in self.examples else spec.database

    def moments(self, spec: KernelSpec) -> dict[Split, Callable[[int], Kept]] | None:
        """Return what gives mean and spread over the runs of a spec, when rows of some runs need them.

        By split; file by file, from the cache or read once. None for runs trained here, which are held in
        memory, and for other similarities than the kernel. The training rows are among them if a spec is
        whitened.
        """
        if "files" not in self.keys.inputs["kernel"] or spec.similarity != "kernel":
            return None
        ensemble = self.ensemble_of(spec)
        splits = {spec.query, spec.database, *([self._whitened_by(spec)] if spec.whitened else [])}
        return {
            split: functools.partial(self.moments_of_file, ensemble, split, spec.transform)
            for split in splits
        }

    def moments_of_file(
        self,
        ensemble: Ensemble,
        split: Split,
        transform: str,
        file: int,
        elsewhere: Iterable[tuple[slice, Kept]] | None = None,
    ) -> Kept:
        """Return mean and spread over one file's runs, from the cache, from elsewhere, or read here."""
        parts = ensemble.parts
        run_count, example_count, _ = parts[file][split].shape
        content = {"runs": run_count, "split": split, "transform": transform, "of": MOMENTS}
        key = self.keys.moments(ensemble, file, content)
        entry = self.store.map_all("moments", key)
        if entry is not None:
            return entry[0]
        place = f", file {file + 1} of {len(parts)}" if len(parts) > 1 else ""
        progress = renamed(self.progress, f"checking {split} logits{place}")
        blocks = read_moments(ensemble, file, split, transform, self.machine.device, progress)
        if elsewhere is not None:
            blocks = ((examples.start, kept) for examples, kept in elsewhere)
        about = f"mean and spread of {run_count} runs, {split}, {ensemble.name_of(file)}"
        class_count = 1 if transform == "shift" else ensemble.class_count
        self.entries.write_moments(key, (example_count, class_count), blocks, about)
        entry = self.store.map_all("moments", key)
        if entry is None:
            raise emptied(self.store, self.keys.source.name)
        return entry[0]
