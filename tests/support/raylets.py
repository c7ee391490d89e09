"""Three nodes of Ray on this machine, and harm done while builds use them; a process of its own.

    python -m tests.support.raylets SOURCE SECONDS CACHES

One build per kind of harm, each with a cache of its own in the folder CACHES: `kill`, a worker is killed in
the middle of a block; `driver`, the process of the build is killed, and the build run again; `lose`, a node
is lost. Prints JSON: by kind, how many blocks there were, how many were known at the beginning, and the
longest time in seconds in which none was finished, from the harm on.
"""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kernel_core.engines import search
from kernel_core.engines.engine import Engine
from kernel_core.engines.ray_cluster import NOTICE_LOSS, PATIENT, QUIET
from kernel_core.pipeline import build
from kernel_core.results.store import Store
from kernel_core.sources.source import SourceRequest
from tests.support.pieces import find_block_once_killed

STORE = 100_000_000  # bytes
AFTER = 3  # blocks that are finished when harm is done


class Saboteur:
    """A `Progress` that does harm once, when some blocks of neighbors are finished."""

    def __init__(self, harm=lambda: None):
        self.harm, self.known, self.last, self.longest, self.total = harm, None, None, None, 0

    def __call__(self, step, done, total):
        if "nearest neighbors" not in step:
            return
        if self.known is None:
            self.known, self.total = done, total
        if self.last is not None:
            now = time.monotonic()
            self.longest, self.last = max(self.longest or 0.0, now - self.last), now
        elif done == AFTER:
            self.harm()
            self.last = time.monotonic()

    @property
    def said(self):
        longest = None if self.longest is None else round(self.longest, 1)
        return {"blocks": self.total, "known": self.known, "longest": longest}


def drive(source, seconds, cache, address, harm=lambda: None):
    """Build in this process; return what was noticed."""
    saboteur = Saboteur(harm)
    request = SourceRequest(source, similarities=("kernel",))
    engine = Engine("ray", address, block_seconds=float(seconds))
    build(request, engine=engine, progress=saboteur, store=Store(Path(cache)))
    return saboteur.said


def kill_a_worker(source, seconds, cache, address):
    """Build; the worker that does block 3 kills itself, the first time."""
    cache.mkdir()
    find_block = search.find_block
    search.find_block = functools.partial(find_block_once_killed, cache / "killed")
    try:
        return {**drive(source, seconds, cache, address), "killed": (cache / "killed").exists()}
    finally:
        search.find_block = find_block


def kill_the_driver(source, seconds, cache, address):
    """Build in a process that is killed, then in this one."""
    command = [sys.executable, "-m", "tests.support.raylets", source, seconds, str(cache), address]
    died = subprocess.run(command, check=False).returncode
    return {**drive(source, seconds, cache, address), "killed": died == -signal.SIGKILL}


def main(source, seconds, caches):
    # A busy machine answers late. Of a node that is lost, nobody answers, which is noticed at once.
    os.environ |= {**NOTICE_LOSS, **PATIENT, **QUIET, "RAY_health_check_timeout_ms": "30000"}
    from ray.cluster_utils import Cluster  # once the settings are there, as Ray reads them then

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
    caches, address = Path(caches), cluster.address
    said = {
        "kill": kill_a_worker(source, seconds, caches / "kill", address),
        "driver": kill_the_driver(source, seconds, caches / "driver", address),
        "lose": drive(
            source,
            seconds,
            caches / "lose",
            address,
            lambda: cluster.remove_node(nodes[0], allow_graceful=False),
        ),
    }
    print(json.dumps(said))
    cluster.shutdown()


if __name__ == "__main__":
    if len(sys.argv) == 5:
        drive(*sys.argv[1:], harm=lambda: os.kill(os.getpid(), signal.SIGKILL))
    else:
        main(*sys.argv[1:])
