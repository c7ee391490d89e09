"""Progress on a stderr that is no terminal, by a clock that the test sets."""

import pytest

from kernel_core.cli import progress
from kernel_core.cli.progress import ProgressBars


@pytest.fixture
def clock(monkeypatch):
    """The time that progress is measured by, in seconds: a list of one number."""
    now = [1_000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def report(clock, step, seconds, total=1_000):
    """Report a step that takes some seconds, as often as `total` says."""
    with ProgressBars() as bars:
        for done in range(total + 1):
            bars(step, done, total)
            clock[0] += seconds / total


def test_long_step_says_every_ten_seconds_how_far_it_is(clock, capsys):
    report(clock, "searching", 42)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["searching …", *(f"searching … {percent}%" for percent in (23, 47, 71, 95))]


def test_short_steps_are_one_line_each(clock, capsys):
    report(clock, "reading", 9)
    report(clock, "searching", 9)
    assert capsys.readouterr().err.splitlines() == ["reading …", "searching …"]


def test_step_of_days_is_no_flood(clock, capsys):
    report(clock, "training", 300_000, total=30_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == [f"training … {percent}%" for percent in range(1, 100)]
