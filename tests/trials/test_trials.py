"""The trials still try what they say: a few cases of each, and broken answers, which must count as failed."""

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.trials import __main__ as trials
from tests.trials import damage, hostile, kills, load, sessions, surroundings
from tests.trials.processes import Outcome, faults_of
from tests.trials.trial import Trial

FINE = Outcome(0, "the answer\n", "", 1.0, 100.0)
REFUSED = Outcome(1, "", "reading …\nError: no such file. Correct it.\n", 1.0, 100.0)


def few(name, tmp_path, cases, only=""):
    """Run a few cases of a trial; return the trial."""
    return trials.run_one(Trial(name, tmp_path, seconds=200, seed=1, most=cases, only=only))


@pytest.mark.slow
def test_damage_tries_a_few(tmp_path):
    trial = few("damage", tmp_path, 2)
    assert (trial.tried, trial.failures) == (2, [])


@pytest.mark.slow
def test_hostile_tries_a_few(tmp_path):
    trial = few("hostile", tmp_path, 3, only="code in a log: (by eval|as logits|in protocol 0)")
    assert (trial.tried, trial.failures) == (3, [])


def test_kills_tries_a_few(tmp_path):
    trial = few("kills", tmp_path, 2, only="writer")
    assert (trial.tried, trial.failures) == (2, [])


@pytest.mark.slow
def test_races_tries_a_few(tmp_path):
    trial = few("races", tmp_path, 2, only="two builds|two writers")
    assert (trial.tried, trial.failures) == (2, [])


@pytest.mark.slow
def test_load_answers_a_few_clicks(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "CROWDS", {2: 60.0})
    monkeypatch.setattr(load, "GROWTH", 10.0)
    monkeypatch.setattr(sessions, "THINK", (0.0, 0.1))
    trial = trials.run_one(Trial("load", tmp_path, seconds=1, seed=1))
    assert trial.failures == []
    assert trial.tried >= 2


@pytest.mark.slow
def test_surroundings_tries_a_few(tmp_path):
    trial = few("surroundings", tmp_path, 2, only="umask|files of 16 kB")
    assert (trial.tried, trial.failures) == (2, [])


@pytest.mark.slow
@pytest.mark.browser
def test_walks_tries_a_few(tmp_path, chromium):
    trial = few("walks", tmp_path, 3)
    assert (trial.tried, trial.failures) == (3, [])


def test_hostile_cases_are_many():
    assert len(hostile.CASES) >= 120


BROKEN = {
    "another exit status": replace(FINE, status=3),
    "killed": replace(FINE, status=-9),
    "traceback": replace(REFUSED, stderr="Traceback (most recent call last):\nError: x\n"),
    "two lines of error": replace(REFUSED, stderr="Error: a\nError: b\n"),
    "error without a word": replace(REFUSED, stderr=""),
    "more after the error": replace(REFUSED, stderr="Error: a\nand so on\n"),
    "nobody foresaw it": replace(REFUSED, stderr="Error: Unexpected error: KeyError\n"),
    "control character": replace(FINE, stdout="\x1b[31m"),
    "endless line": replace(REFUSED, stderr="Error: " + "x" * 10_000),
    "bound": replace(FINE, broken="does not end in 45 s"),
}


@pytest.mark.parametrize("outcome", BROKEN.values(), ids=list(BROKEN))
def test_broken_outcome_is_a_fault(outcome):
    assert faults_of(FINE) == faults_of(REFUSED) == []
    assert faults_of(outcome)


def test_another_answer_after_damage_is_a_fault():
    other, log = replace(FINE, stdout="another answer\n"), damage.Path("source/runs/a/log.pt")
    assert not damage.judge("cache", log, "cut", FINE, FINE.stdout)
    assert damage.judge("cache", log, "bit flipped", other, FINE.stdout)
    assert damage.judge("cache", log, "cut", REFUSED, FINE.stdout), "a cache heals"
    assert damage.judge("cold source", log, "cut", other, FINE.stdout)
    assert damage.judge("source", log, "removed", other, FINE.stdout), "silently"
    assert not damage.judge("source", log, "removed", replace(other, stderr="1 fewer\n"), FINE.stdout)
    assert not damage.judge("source", log, "bit flipped", other, FINE.stdout), "other data"


def test_code_that_ran_is_a_fault(tmp_path):
    case = next(iter(hostile.CASES.values()))
    for name in ("source", "cache", "secret"):
        (tmp_path / name).mkdir()
    assert not hostile.judge(case, REFUSED, tmp_path)
    assert hostile.judge(case, replace(REFUSED, stderr=f"Error: {hostile.SECRET}\n"), tmp_path)
    (tmp_path / "marker").mkdir()
    assert hostile.judge(case, REFUSED, tmp_path)


def test_other_results_after_a_kill_are_a_fault(tmp_path):
    kind, expected = kills.KINDS["writer"], {}
    (tmp_path / "ensemble").mkdir()
    assert not kills.judge(kind, FINE, tmp_path, expected)
    (tmp_path / "ensemble/more").touch()
    assert kills.judge(kind, FINE, tmp_path, expected)
    (tmp_path / "ensemble/more").rename(tmp_path / "x.tmp")
    assert kills.judge(kind, FINE, tmp_path, expected)
    assert kills.differences({"a": np.zeros(2)}, {"a": np.ones(2)}) == ["a differs"]


def test_slow_or_growing_server_is_a_fault():
    fast, slow = sessions.Seen([0.1] * 100), sessions.Seen([0.1] * 90 + [0.9] * 10)
    assert not load.judge(20, fast)
    assert load.judge(20, slow)
    assert load.judge(20, sessions.Seen([0.1], ["KeyError on a page"]))
    assert load.judge(20, sessions.Seen())
    assert not load.judge_memory(100, 105)
    assert load.judge_memory(100, 120)


def test_another_answer_in_odd_surroundings_is_a_fault(tmp_path):
    case = surroundings.Case()
    assert not surroundings.judge("umask 077", case, FINE, tmp_path, FINE.stdout)
    assert surroundings.judge("umask 077", case, FINE, tmp_path, "another answer\n")
    assert surroundings.judge("umask 077", case, REFUSED, tmp_path, FINE.stdout)
    (tmp_path / "x.tmp").touch()
    assert surroundings.judge("umask 077", case, FINE, tmp_path, FINE.stdout)


def _table(monkeypatch, run):
    """Run a trial made of a function; return exit status and output."""
    monkeypatch.setattr(trials, "TRIALS", {"made up": 10})
    monkeypatch.setitem(sys.modules, "tests.trials.made up", types.SimpleNamespace(run=run))
    done = CliRunner().invoke(trials.main)
    return done.exit_code, done.stdout


def test_table_has_what_was_tried_and_failed(monkeypatch):
    def run(trial):
        for case in trial.each(range(3)):
            trial.fail(case, ["wrong", "very"] if case == 1 else [])

    status, text = _table(monkeypatch, run)
    assert status == 1
    assert "| made up | 3 | 1 | 0 |  |" in text


def test_trial_that_breaks_or_tries_nothing_fails(monkeypatch):
    assert _table(monkeypatch, lambda trial: 1 / 0)[0] == 1
    assert _table(monkeypatch, lambda trial: None)[0] == 1
    assert _table(monkeypatch, lambda trial: list(trial.each(range(2))))[0] == 0
