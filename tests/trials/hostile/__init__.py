"""Sources that want to run code, eat the memory, hang, or read and write what is not theirs.

Each is refused with one line within the bounds, or answered where that is right.
"""

import json
import shutil
from pathlib import Path

from tests.support.hub_server import CLOSED
from tests.support.planted import CLASS_NAMES, plant, write_source
from tests.trials.hostile import descriptions, features, images, labels, logs, tables
from tests.trials.hostile.case import SECRET, Place
from tests.trials.processes import environment, faults_of, forked_cli, forked_work

CASES = {
    **logs.CASES,
    **features.CASES,
    **tables.CASES,
    **images.CASES,
    **labels.CASES,
    **descriptions.CASES,
}


def make(name, source, marker, secret):
    """Spoil the source; print the arguments to run: those that the maker returns, or the source."""
    made = CASES[name].make(Place(Path(source), Path(marker), Path(secret)))
    print(json.dumps(made if isinstance(made, list) else [source]))


def with_folder_of_images(source):
    """Move the images of a planted source to a folder, which its description then names."""
    import pyarrow.parquet as pq

    for split in ("train", "test"):
        columns = pq.read_table(source / f"{split}.parquet").to_pydict()
        for number, (cell, label) in enumerate(zip(columns["img"], columns["label"], strict=True)):
            folder = source / "images" / split / CLASS_NAMES[label]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:03}.png").write_bytes(cell["bytes"])
        (source / f"{split}.parquet").unlink()
    description = source / "source.toml"
    parquet = 'train = "train.parquet"\ntest = "test.parquet"'
    description.write_text(description.read_text().replace(parquet, 'folder = "images"'))
    return source


def judge(case, outcome, folder):
    """Return what is wrong with an outcome. folder: should hold source, cache and secret, and no more."""
    faults = faults_of(outcome, case.expected)
    if SECRET in outcome.stdout + outcome.stderr:
        faults.append("tells the secret of another file")
    if more := {path.name for path in folder.iterdir()} - {"source", "cache", "secret"}:
        faults.append(f"code was run, or something written outside: {sorted(more)}")
    return faults


def try_one(name, good, folder):
    """Make a case and run it; return its faults. Raises `RuntimeError` if it cannot be made."""
    case = CASES[name]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good[case.images], folder / "source")
    source, marker, secret = folder / "source", folder / "marker", folder / "secret"
    secret.write_text(SECRET)
    surroundings = environment(folder / "cache", HF_ENDPOINT=CLOSED, HF_HUB_OFFLINE="1")
    made = forked_work(
        make, name, *map(str, (source, marker, secret)), env=surroundings, seconds=120, megabytes=8_000
    )
    if made.status or marker.exists():
        raise RuntimeError(f"it cannot be made: {made.broken or made.last}")
    arguments = json.loads(made.stdout.splitlines()[-1])
    outcome = forked_cli("evaluate", *arguments, env=surroundings)
    return judge(case, outcome, folder)


def run(trial):
    """Try the cases in random order."""
    good = {"parquet": write_source(trial.folder / "good", plant())}
    shutil.copytree(good["parquet"], trial.folder / "good with a folder")
    good["folder"] = with_folder_of_images(trial.folder / "good with a folder")
    names = sorted(CASES)
    trial.rng.shuffle(names)
    for name in trial.each(names):
        try:
            trial.fail(name, try_one(name, good, trial.folder / "case"))
        except RuntimeError as error:
            trial.fail(name, str(error))
    trial.measured.append(f"of {len(CASES)}")
