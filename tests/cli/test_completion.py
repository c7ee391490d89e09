"""What the shell offers after TAB, asked as bash asks: with the words in variables."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete

from kernel_core.cli.completion import VARIANTS
from kernel_core.cli.main import main
from tests.support.command import ROOT


@pytest.fixture
def offered(monkeypatch):
    """A function that returns what is offered for the last of some words."""
    shell = BashComplete(main, {}, "kernel-explorer", "_KERNEL_EXPLORER_COMPLETE")

    def offered(*words):
        return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]

    return offered


def test_verbs_sources_and_similarities_are_offered(offered, source_folder):
    assert offered("fa") == ["failures"]
    assert offered("pairs", "dig") == ["digits"]
    assert offered("pairs", "cifar10-") == ["cifar10-multirun", "cifar10-multirun-60k"]
    assert offered("pairs", "digits", "--similarity", "pen") == ["penultimate", "penultimate-euclidean"]
    assert offered("build", "digits", "--similarity", "kernel.c") == ["kernel.centred"]
    assert offered("pairs", str(source_folder), "--similarity", "p") == [
        "penultimate", "penultimate-euclidean", "pixels",
    ]  # fmt: skip
    assert offered("pairs", "no/such", "--similarity", "k") == ["kernel", *VARIANTS]
    assert offered("pairs", "digits", "--ra") == ["--ranks"]


def test_bash_offers_files_where_no_source_has_the_name(tmp_path):
    """The line of the documents defines a function in bash, which fills COMPREPLY, without torch."""
    (tmp_path / "kernel-explorer").write_text(f'#!/bin/sh\nexec {sys.executable} -m kernel_core "$@"\n')
    (tmp_path / "kernel-explorer").chmod(0o755)
    script = """
    eval "$(_KERNEL_EXPLORER_COMPLETE=bash_source kernel-explorer)"
    compopt() { local IFS=" "; echo "compopt $*"; }
    ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _kernel_explorer_completion kernel-explorer; echo "${COMPREPLY[*]}"; }
    ask kernel-explorer pairs dig
    ask kernel-explorer pairs my/ima
    """
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = dict(os.environ, PATH=path, PYTHONPATH=str(ROOT))
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == ["digits", "compopt -o default", ""]
    assert done.stderr == ""
