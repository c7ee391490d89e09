"""Every file of a source and of its cache, harmed in every way.

Afterwards the program gives the same answer, or fails with one line. A harmed cache always heals. A harmed
source gives another answer only where its data can be other data: a changed bit of a logit is another logit.
"""

import os
import shutil
from pathlib import Path

from tests.support.planted import plant, write_source
from tests.trials.processes import environment, faults_of, forked_work

ASKED = (
    ("evaluate", "--json"),
    ("neighbors", "--query", "test:4", "--json"),
    ("neighbors", "--query", "train:7", "--database", "train", "--json"),
    ("failures", "--top", "3"),
)
"""The verbs whose output is the answer; together they read every kind of entry."""


def _flipped(content, byte, bit):
    content = bytearray(content)
    content[byte] ^= 1 << bit
    return bytes(content)


CONTENT = {
    "cut": lambda c, _: c[: len(c) // 2],
    "cut by a byte": lambda c, _: c[:-1],
    "grown": lambda c, _: c + bytes(100),
    "bit flipped": lambda c, rng: _flipped(c, rng.randrange(len(c)), rng.randrange(8)),
    "bit flipped at the start": lambda c, _: _flipped(c, min(9, len(c) - 1), 4),
    "bit flipped at the end": lambda c, _: _flipped(c, -min(40, len(c)), 6),
    "zeroed": lambda c, _: bytes(len(c)),
    "emptied": lambda c, _: b"",
}
"""A harm → what becomes of a file's content; a function of it and of random numbers."""
PLACE = {
    "removed": lambda path: None,
    "a folder": Path.mkdir,
    "a folder with a file": lambda path: (path.mkdir(), (path / "x").write_text("x")),
    "a link to itself": lambda path: path.symlink_to(path),
    "a dangling link": lambda path: path.symlink_to(path.parent / "nothing" / "there"),
    "a FIFO": os.mkfifo,
}
"""A harm → what takes a file's place; a function of its path, which is free."""
AS_BEFORE, OTHER = "bit flipped, time and size kept", "another file's content"
HARMS = (*CONTENT, *PLACE, AS_BEFORE, OTHER)


def harm(path, how, rng):
    """Harm a file."""
    if how in PLACE:
        path.unlink()
        PLACE[how](path)
    elif how == OTHER:
        near = [other for other in path.parent.iterdir() if other.is_file() and other != path]
        far = [other for other in path.parent.parent.rglob("*") if other.is_file() and other != path]
        path.write_bytes(rng.choice(sorted(near or far)).read_bytes())
    else:
        status = path.stat()
        path.write_bytes(CONTENT.get(how, CONTENT["bit flipped"])(path.read_bytes(), rng))
        if how == AS_BEFORE:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def answer(source):
    """Run the verbs one after the other, each as the command does, until one fails. Work for a process."""
    from kernel_core.cli.main import main

    for verb, *rest in ASKED:
        try:
            main([verb, source, *rest], prog_name="kernel-explorer")
        except SystemExit as end:
            if end.code:
                raise


def ask(folder):
    """Return the outcome of the verbs on the source and the cache in `folder`."""
    return forked_work(answer, str(folder / "source"), env=environment(folder / "cache"))


def is_other_data(where, path, how):
    """Whether a source harmed in this way can be whole, with another answer."""
    if where == "cache":
        return False
    if how in PLACE and where == "cold source":
        return path.name == "log.pt"  # one file fewer of a pattern; nobody knows how many there were
    return how == OTHER or how.startswith("bit flipped")


def judge(where, path, how, outcome, right):
    """Return what is wrong with the outcome after a harm. right: what the unharmed source gives."""
    faults = faults_of(outcome, (0,) if where == "cache" else (0, 1))
    if outcome.status == 0 and outcome.stdout != right and not is_other_data(where, path, how):
        told = f", and says: {outcome.last}" if outcome.said else ", silently"
        if not (where == "source" and how in PLACE and outcome.said):
            faults.append(f"gives another answer{told}")
    return faults


def _cases(good):
    source = [path.relative_to(good) for path in sorted((good / "source").rglob("*")) if path.is_file()]
    cache = [path.relative_to(good) for path in sorted((good / "cache").glob("*/*.safetensors"))]
    places = [("source", p) for p in source] + [("cold source", p) for p in source]
    places += [("cache", p) for p in cache]
    return [(where, path, how) for how in HARMS for where, path in places]


def run(trial):
    """Harm one file, ask, and restore everything."""
    good, folder = trial.folder / "good", trial.folder / "harmed"
    write_source(good / "source", plant())
    shutil.copytree(good, folder)  # an answer from other folders would name other paths
    first = ask(folder)
    assert first.status == 0, first.stderr
    shutil.rmtree(good)
    shutil.copytree(folder, good)  # with times, which the cache knows files by
    cases = _cases(good)
    trial.rng.shuffle(cases)
    healed = told = 0
    for where, path, how in trial.each(cases):
        shutil.rmtree(folder)
        shutil.copytree(good, folder)
        if where == "cold source":
            shutil.rmtree(folder / "cache")
        harm(folder / path, how, trial.rng)
        outcome = ask(folder)
        trial.fail(f"{where}, {path}, {how}", judge(where, path, how, outcome, first.stdout))
        healed += outcome.status == 0
        told += outcome.status == 1
    trial.measured.append(f"of {len(cases)}: {healed} answered, {told} refused with one line")
