"""Cut the link between two nodes of Ray while a build uses both. Linux, as root; not among `make trials`.

    python -m tests.trials.cut_link SOURCE SECONDS

Two network namespaces are two machines with a cable between them. The first has the head and the command,
both have one worker. After some blocks the cable is cut. It prints the longest time after that in which
no block was finished, and the SHA-256 of the neighbors, which is to be that of `build SOURCE` alone.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kernel_core.engines.ray_cluster import NOTICE_LOSS, PATIENT, QUIET
from tests.support.command import ROOT
from tests.support.raylets import STORE, Saboteur

SPACES = ("kernel-explorer-a", "kernel-explorer-b")
ADDRESSES = ("10.231.77.1", "10.231.77.2")
PORT = 6391


def run(*command):
    subprocess.run(command, check=True, env=environment())


def environment():
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "ab" * 32}
    return {**os.environ, **NOTICE_LOSS, **PATIENT, **QUIET, **token, "PYTHONPATH": str(ROOT)}


def inside(space, *command):
    return ("ip", "netns", "exec", SPACES[space], *command)


@contextlib.contextmanager
def two_machines():
    """Make two namespaces with a cable between them; remove them at the end."""
    try:
        for space in SPACES:
            run("ip", "netns", "add", space)
        run(
            "ip",
            "link",
            "add",
            "ke-a",
            "netns",
            SPACES[0],
            "type",
            "veth",
            "peer",
            "ke-b",
            "netns",
            SPACES[1],
        )
        for number, name in enumerate(("ke-a", "ke-b")):
            run(*inside(number, "ip", "address", "add", f"{ADDRESSES[number]}/24", "dev", name))
            run(*inside(number, "ip", "link", "set", name, "up"))
            run(*inside(number, "ip", "link", "set", "lo", "up"))
        yield
    finally:
        for space in SPACES:
            pids = subprocess.run(("ip", "netns", "pids", space), check=False, capture_output=True, text=True)
            for pid in map(int, pids.stdout.split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            subprocess.run(("ip", "netns", "del", space), check=False)


def start_nodes(folder):
    ray = (
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--num-cpus=1",
        f"--object-store-memory={STORE}",
    )
    head = ("--head", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={folder}")
    run(*inside(0, *ray, *head, f"--node-ip-address={ADDRESSES[0]}"))
    run(*inside(1, *ray, f"--address={ADDRESSES[0]}:{PORT}", f"--node-ip-address={ADDRESSES[1]}"))


def drive(source, seconds):
    """Build in this process, which is in the first namespace, and cut the cable."""
    from kernel_core.engines.engine import Engine
    from kernel_core.pipeline import build
    from kernel_core.results.store import Store
    from kernel_core.sources.source import SourceRequest

    saboteur = Saboteur(lambda: subprocess.run(("ip", "link", "set", "ke-a", "down"), check=True))
    engine = Engine("ray", f"{ADDRESSES[0]}:{PORT}", block_seconds=float(seconds))
    request, started = SourceRequest(source, similarities=("kernel",)), time.monotonic()
    with tempfile.TemporaryDirectory() as cache:
        results = build(request, engine=engine, progress=saboteur, store=Store(Path(cache)))
    if saboteur.longest is None:
        raise SystemExit(
            f"{saboteur.total} blocks in all, none after the cut: use fewer SECONDS than {seconds}"
        )
    of = results.neighbors["kernel"]
    sha256 = hashlib.sha256(of.indices.tobytes() + of.values.tobytes()).hexdigest()
    whole = round(time.monotonic() - started, 1)
    print(json.dumps({**saboteur.said, "whole": whole, "sha256": sha256}), flush=True)


def main(source, seconds):
    with two_machines(), tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        start_nodes(folder)
        run(*inside(0, sys.executable, "-m", "tests.trials.cut_link", source, seconds, "drive"))


if __name__ == "__main__":
    drive(*sys.argv[1:3]) if sys.argv[3:] == ["drive"] else main(*sys.argv[1:])
