"""How much memory is free: the least that the machine, a control group or a limit leaves."""

import subprocess
import sys

import pytest

from kernel_core import memory

GB = 10**9


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Returns a function that writes files of /proc and /sys by path; no limit of this process counts."""
    monkeypatch.setattr(memory, "_left_of_limits", lambda root: iter(()))

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))
        return tmp_path

    return write


AVAILABLE = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {8 * GB // 1024} kB\n"}
SECOND = {
    "proc/self/cgroup": "0::/batch/job\n",
    "sys/fs/cgroup/batch/job/memory.max": "max\n",
    "sys/fs/cgroup/batch/memory.max": 4 * GB,
    "sys/fs/cgroup/batch/memory.current": 3 * GB,
    "sys/fs/cgroup/batch/memory.stat": f"anon 5\ninactive_file {GB // 2}\nactive_file 7\n",
}
FIRST = {
    "proc/self/cgroup": "9:cpu:/\n4:memory:/docker/of-the-host\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": 2 * GB,
    "sys/fs/cgroup/memory/memory.usage_in_bytes": GB,
    "sys/fs/cgroup/memory/memory.stat": f"inactive_file 5\ntotal_inactive_file {GB // 4}\n",
}
NONE = {**FIRST, "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        (AVAILABLE, 8 * GB // 1024 * 1024),
        (AVAILABLE | SECOND, 3 * GB // 2),
        (AVAILABLE | FIRST, 5 * GB // 4),
        (AVAILABLE | NONE, 8 * GB // 1024 * 1024),
        (AVAILABLE | SECOND | {"sys/fs/cgroup/batch/memory.current": 6 * GB}, 0),
    ],
    ids=["no group", "second version", "first version", "no limit", "beyond the limit"],
)
def test_free_bytes_are_the_least_that_is_left(files, free, machine):
    assert memory.free_bytes(machine(files)) == free


def test_free_bytes_of_other_systems_are_half_of_the_machine(machine, monkeypatch):
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert memory.free_bytes(machine({})) == 2_048_000


def test_budget_is_a_share_and_does_not_follow_small_changes(monkeypatch):
    found = set()
    for free in (5.2 * GB, 6 * GB, 7 * GB):
        monkeypatch.setattr(memory, "free_bytes", lambda free=free: int(free))
        found.add(memory.default_budget())
    assert found == {2**30, 2**31}
    monkeypatch.setattr(memory, "free_bytes", lambda: 0)
    assert memory.default_budget() == 2**25


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_free_bytes_respect_limits_of_the_process(limit):
    code = f"""
import resource
resource.setrlimit(resource.{limit}, (500_000_000, 500_000_000))
from kernel_core.memory import free_bytes
first, taken = free_bytes(), bytearray(100_000_000)
print(first, free_bytes())
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = map(int, output.stdout.split())
    assert 200_000_000 < first < 500_000_000
    assert 99_000_000 < first - second < 110_000_000
