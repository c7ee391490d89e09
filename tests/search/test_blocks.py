"""A search in blocks: any cut, any order and any number of threads gives what the whole search gives."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from kernel_core.machine import Machine
from kernel_core.search import blocks, products, topk
from tests.support import oracle
from tests.support.matrix import Matrix, use_plan

CPU = Machine(torch.device("cpu"), 10**9)


def rows_with_ties(n, seed):
    rows = np.random.default_rng(seed).integers(-2, 3, (n, 12)).astype(np.float32)
    rows[n // 2 : n // 2 + 20] = rows[:20]
    return rows


def whole_of(parts, job):
    """Return each table of all rows' neighbors, merged row range by row range."""
    found = blocks.empty(job)
    for part in parts:
        whole = blocks.empty(job)[part.table]
        rows = slice(part.first_row, part.first_row + len(part.values))
        whole.values[rows], whole.indices[rows] = part.values, part.indices
        found[part.table] = blocks.merge(found[part.table], whole)
    return found


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("plan", [(200, 32, 16, 4), (96, 32, 16, 4), (96, 32, 16, 3)])
@pytest.mark.parametrize("seconds", [1e9, 4e-5, 1e-9])
def test_blocks_give_what_the_whole_search_gives(monkeypatch, exclude_self, plan, seconds):
    use_plan(monkeypatch, *plan)
    q, d = rows_with_ties(200, 0), rows_with_ties(330, 1)
    query, database = Matrix(q, 4), Matrix(q if exclude_self else d, 4)
    job = blocks.plan_job(query, database, 30, exclude_self=exclude_self, machine=CPU)
    job = blocks.SearchJob.from_json(json.loads(json.dumps(job.to_json())))
    cut = blocks.cut(job, seconds)
    assert [block.number for block in cut] == list(range(len(cut)))
    assert (len(cut) > 4) == (seconds == 1e-9) or seconds == 4e-5
    parts = list(
        itertools.chain.from_iterable(
            blocks.do(job, block, query, database, threads=threads)
            for block, threads in zip(cut, itertools.cycle((1, 3)))
        )
    )
    np.random.default_rng(2).shuffle(parts)
    (found,) = whole_of(parts, job)
    whole = topk.top_k(query, database, 30, exclude_self=exclude_self, machine=CPU)
    np.testing.assert_array_equal(found.indices, whole.indices)
    np.testing.assert_array_equal(found.values, whole.values)
    similarity = (q @ (q if exclude_self else d).T).astype(np.float64)
    if exclude_self:
        np.fill_diagonal(similarity, -np.inf)
    oracle.assert_exact_order(found.indices, similarity)


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("plan", [(200, 32, 16, 4), (96, 32, 16, 3)])
@pytest.mark.parametrize("seconds", [1e9, 1e-9])
def test_blocks_give_the_nearest_by_each_part_too(monkeypatch, exclude_self, plan, seconds):
    use_plan(monkeypatch, *plan)
    q, d = rows_with_ties(200, 0), rows_with_ties(330, 1)
    query, database = Matrix(q, 4), Matrix(q if exclude_self else d, 4)
    job = blocks.plan_job(query, database, 30, exclude_self=exclude_self, parts=3, machine=CPU)
    job = blocks.SearchJob.from_json(json.loads(json.dumps(job.to_json())))
    cut = blocks.cut(job, seconds)
    assert (len(cut) > 4) == (seconds == 1e-9)
    found = whole_of([part for block in cut for part in blocks.do(job, block, query, database)], job)
    whole = topk.top_k_by_class(query, database, 30, exclude_self=exclude_self, machine=CPU)
    assert len(found) == len(whole) == 4
    for ours, expected in zip(found, whole, strict=True):
        np.testing.assert_array_equal(ours.indices, expected.indices)
        np.testing.assert_array_equal(ours.values, expected.values)


def test_each_pair_is_in_one_block_whatever_the_cut():
    job = blocks.SearchJob(1_000, 1_000, 20, 10, 5, True, products.PLAIN.name, 384, 64, 32, 20)
    for seconds, exclude_self in itertools.product((1e9, 1e-3, 1e-5), (False, True)):
        met = np.zeros((1_000, 1_000), int)
        for block in blocks.cut(replace(job, exclude_self=exclude_self), seconds):
            met[slice(*block.query), slice(*block.database)] += 1
        if exclude_self:
            assert (np.triu(met) == np.triu(np.ones_like(met))).all()
        else:
            assert (met == 1).all()


def test_blocks_are_of_about_the_seconds_asked_for():
    job = blocks.SearchJob(
        50_000, 1_000_000, 20, 10, 50, False, products.PLAIN.name, 50_000, 2_048, 1_024, 20
    )
    assert 5 <= len(blocks.cut(job, 60)) <= 12
    mirrored = replace(job, n_query=200_000, n_database=200_000, chunk_rows=200_000, exclude_self=True)
    cut = blocks.cut(mirrored, 20)
    pairs = [(b.database[1] - b.database[0]) * (b.database[0] + b.database[1]) / 2 - b.query[0] for b in cut]
    assert len(cut) >= 4
    assert max(pairs[:-1]) <= 1.1 * min(pairs[:-1])
