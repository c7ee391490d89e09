"""Ways to train without the seconds that a worker process takes to start."""

import pytest

from kernel_core.networks import training, workers
from kernel_core.networks.workers import train_here
from tests.support import forked


@pytest.fixture
def in_process(monkeypatch):
    """Train in this process: workers take seconds to start, and most tests are not about them."""

    def here(work, groups, *, device, workers, progress):
        return train_here(work, groups, device, progress)

    monkeypatch.setattr(training, "train_groups", here)


@pytest.fixture
def forked_workers(monkeypatch):
    """Fork the worker processes instead of starting each from scratch."""
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda _: forked.CONTEXT)
