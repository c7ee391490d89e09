"""Three nodes of Ray on this machine, one of which is lost while a build uses them; a process of its own.

    python -m tests.support.raylets SOURCE SECONDS SCENARIO

SCENARIO: calm, kill (a worker is killed) or lose (a node is killed). Prints JSON: how many blocks there were,
and the longest time in seconds after the loss in which none was finished.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from kernel_core.engines.engine import Engine
from kernel_core.engines.ray_cluster import NOTICE_LOSS, PATIENT, QUIET

STORE = 100_000_000  # bytes


class Saboteur:
    """A `Progress` that does harm once, when the second block of neighbors is finished."""

    def __init__(self, harm):
        self.harm, self.last, self.longest, self.total = harm, None, None, 0

    def __call__(self, step, done, total):
        if "nearest neighbors" not in step:
            return
        now, self.total = time.monotonic(), total
        if self.last is not None:
            self.longest = max(self.longest or 0.0, now - self.last)
            self.last = now
        elif done == 2:
            self.harm()
            self.last = time.monotonic()

    @property
    def said(self):
        return {"blocks": self.total, "longest": None if self.longest is None else round(self.longest, 1)}


def workers_of(raylet):
    """The processes that a node's raylet has started and that are doing a task."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if int(parent) == raylet and command.startswith(b"ray::") and not command.startswith(b"ray::IDLE"):
            found.append(int(folder.name))
    return found


def kill_a_worker(nodes):
    raylets = [process.process.pid for node in nodes for process in node.all_processes["raylet"]]
    os.kill(next(pid for raylet in raylets for pid in workers_of(raylet)), signal.SIGKILL)


def main(source, seconds, scenario):
    os.environ |= {**NOTICE_LOSS, **PATIENT, **QUIET}
    from ray.cluster_utils import Cluster  # once the settings are there, as Ray reads them then

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
    harm = {
        "calm": lambda: None,
        "kill": lambda: kill_a_worker(nodes),
        "lose": lambda: cluster.remove_node(nodes[0], allow_graceful=False),
    }[scenario]

    from kernel_core.pipeline import build
    from kernel_core.sources.source import SourceRequest

    saboteur = Saboteur(harm)
    engine = Engine("ray", cluster.address, block_seconds=float(seconds))
    build(SourceRequest(source, similarities=("kernel",)), engine=engine, progress=saboteur)
    print(json.dumps(saboteur.said))
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
