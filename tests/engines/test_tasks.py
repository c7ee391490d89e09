"""Pieces of work: the same results from threads and from Ray, and one line for what goes wrong."""

import functools
import os

import pytest

from kernel_core.engines.engine import Engine
from kernel_core.engines.tasks import run_tasks
from kernel_core.errors import DataError, RequestError, Unavailable
from tests.support.pieces import dying, failing, niceness, squared

RAY = Engine("ray", workers=2)


def test_nobody_at_the_address_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr("kernel_core.engines.ray_cluster._is_connected", lambda: False)
    with pytest.raises(Unavailable, match=r"no Ray cluster at 127\.0\.0\.1:1 .*correct --address\.$"):
        list(run_tasks(squared, [1], Engine("ray", address="127.0.0.1:1"), step="squares"))


@pytest.mark.parametrize("engine", [Engine(workers=1), Engine(workers=3)], ids=["one", "three"])
def test_threads_do_every_item_and_report_each(engine):
    seen = []
    task = functools.partial(squared, 10)
    done = dict(run_tasks(task, range(20), engine, lambda *said: seen.append(said), step="squares"))
    assert done == {n: 10 + n * n for n in range(20)}
    assert seen == [("squares", n, 20) for n in range(21)]


def test_nothing_to_do_takes_no_cluster():
    assert list(run_tasks(squared, [], Engine("ray"), step="squares")) == []


def test_ray_does_every_item(ray):
    task = functools.partial(squared, 10)
    assert dict(run_tasks(task, range(20), RAY, step="squares")) == {n: 10 + n * n for n in range(20)}


def test_workers_that_are_started_here_have_the_priority_of_the_command(ray):
    assert dict(run_tasks(niceness, range(1), RAY, step="niceness")) == {0: os.nice(0)}


def test_an_error_on_ray_names_the_node(ray):
    with pytest.raises(DataError, match=r"^On the node .*\(127\.0\.0\.1\): item 3 is damaged$"):
        list(run_tasks(failing, range(9), RAY, step="failing"))


def test_an_item_that_kills_every_worker_is_given_up(ray, monkeypatch):
    monkeypatch.setattr("kernel_core.engines.tasks.RETRIES", 1)
    with pytest.raises(Unavailable, match="failed on the Ray cluster"):
        list(run_tasks(dying, range(1), RAY, step="dying"))


def test_gpus_that_no_node_has_are_refused_instead_of_waited_for(ray):
    with pytest.raises(Unavailable, match=r"0\.5 GPUs .* no node of the Ray cluster has more than 0"):
        list(run_tasks(squared, range(1), RAY, step="squares", gpus=0.5))


def test_a_cluster_of_our_own_listens_on_this_machine_alone(ray):
    (node,) = ray.nodes()
    assert node["NodeManagerAddress"] == "127.0.0.1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "dask"},
        {"address": "auto"},
        {"name": "ray", "address": "over there"},
        {"workers": 0},
        {"block_seconds": float("nan")},
    ],
    ids=str,
)
def test_an_engine_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(RequestError):
        Engine(**wrong)
