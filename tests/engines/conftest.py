"""A cluster for all tests of this folder that a process runs: starting one takes seconds."""

import importlib.util

import pytest

from kernel_core.engines.ray_cluster import connected


@pytest.fixture(scope="package")
def ray():
    """The module `ray`, connected to a cluster of two workers."""
    if importlib.util.find_spec("ray") is None:  # looked for, not imported: Ray reads its settings when it is
        pytest.skip('needs Ray: pip install "kernel-explorer[ray]"')
    with connected(workers=2) as module:
        yield module
