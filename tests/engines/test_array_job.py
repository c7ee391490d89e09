"""The blocks of a build as tasks that share a cache, in any order: what a build alone finds."""

import subprocess
import sys

import numpy as np
import pytest

from kernel_core.engines.engine import Engine
from kernel_core.errors import RequestError
from kernel_core.pipeline import build
from kernel_core.pipeline.array_job import do_share, plan
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from tests.support.command import ROOT

SMALL = Engine(workers=1, block_seconds=1e-5)  # several blocks of the planted source


@pytest.mark.parametrize("query", ["test", "train"])
def test_shares_of_tasks_are_merged_by_a_build(source_folder, tmp_path, monkeypatch, query):
    monkeypatch.setattr("kernel_core.search.memory_plan.BLOCK", {"cpu": 16})
    request = SourceRequest(str(source_folder), similarities=("kernel", "pixels", "nngp"), query=query)
    whole = build(request, store=Store(tmp_path / "whole"))
    store = Store(tmp_path / "shared")
    blocks = plan(request, SMALL, store=store)
    assert blocks >= 6
    done = [do_share(request, SMALL, 3, task, store=store) for task in (2, 0)]
    assert all(done)
    assert do_share(request, SMALL, 3, 2, store=store) == 0, "what is done is not done again"
    merged = build(request, store=store, engine=SMALL)
    assert not list((store.root / "blocks").iterdir())
    for similarity, neighbors in whole.neighbors.items():
        np.testing.assert_array_equal(merged.neighbors[similarity].indices, neighbors.indices)
        np.testing.assert_array_equal(merged.neighbors[similarity].values, neighbors.values)


def test_a_share_that_there_is_not_is_refused(source_folder, tmp_path):
    with pytest.raises(RequestError, match="no task 3 of 3; expected 0 to 2"):
        do_share(SourceRequest(str(source_folder)), SMALL, 3, 3, store=Store(tmp_path))


@pytest.mark.slow
def test_the_module_is_a_command_of_its_own(source_folder, cache):
    """Each task is a process of its own, as those of SLURM are."""

    def call(*arguments):
        command = [sys.executable, "-m", "kernel_core.pipeline.array_job", str(source_folder), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)

    assert "share them among tasks" in call("--plan").stdout
    assert "task 1 of 2: 0 blocks done" in call("--tasks", "2", "--task", "1").stdout  # one block is small
    refused = call("--tasks", "2", "--task", "2")
    assert (refused.returncode, refused.stderr) == (
        1,
        "error: There is no task 2 of 2; expected 0 to 1.\n",
    )
