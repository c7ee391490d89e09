"""The command as a user types it: results on stdout, progress on stderr, exit status 0, 1 or 2."""

import io
import itertools
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kernel_core import held
from kernel_core.cli import serving
from kernel_core.cli.main import main
from tests.support import forked
from tests.support.command import (
    ROOT,
    assert_no_torch,
    invoke,
    process_of,
    reserved_port,
    run_cli,
    wait_until_healthy,
)

COLUMNS = [
    "rank", "query_split", "query_index", "database_split", "database_index", "similarity", "query_label",
    "database_label",
]  # fmt: skip
CLASS_COLUMNS = ["query_class", "database_class"]  # after all others, as they came later
PIXEL_COLUMNS = ["aligned", "others", "background", "twin", "band"]


def commands():
    """Yield the words that call each verb."""
    for name, command in main.commands.items():
        yield from ([[name, sub] for sub in command.commands] if hasattr(command, "commands") else [[name]])


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_verb_has_help_with_an_example_and_stands_in_the_documents(words):
    done = invoke(*words, "--help")
    assert done.exit_code == 0
    assert f"kernel-explorer {' '.join(words)}" in done.stdout.split("Example:")[1]
    assert f"`{' '.join(words)}" in (ROOT / "docs/command_line.md").read_text()


@pytest.mark.parametrize("group", [[], ["cache"]], ids=str)
def test_summaries_of_verbs_are_whole_in_80_columns(group):
    """The table of verbs says what the help of each says, so that --help need not load them."""
    shown = invoke(*group, "--help", env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    known = main.commands["cache"].commands if group else main.commands
    for name, command in known.items():
        assert re.search(rf"^  {name} +{re.escape(command.get_short_help_str(200))}$", shown, re.MULTILINE)


def test_verbs_are_grouped_in_the_help():
    shown = invoke("--help").stdout
    sections = dict(re.findall(r"^(\w[\w ]+):\n((?:  .+\n)+)", shown, re.MULTILINE))
    verbs = {title: [line.split()[0] for line in body.splitlines()] for title, body in sections.items()}
    assert list(verbs) == ["Options", "Start", "Findings", "Review", "Your ensemble", "Upkeep"]
    assert verbs["Start"][0] == "serve"
    assert sorted(itertools.chain(*list(verbs.values())[1:])) == sorted(main.commands)


def test_help_and_completion_load_no_data_library():
    heavy = ("torch", "pandas", "numpy", "pyarrow", "streamlit")
    code = f"import sys, kernel_core.cli.main; print([name for name in {heavy} if name in sys.modules])"
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert done.stdout == "[]\n"


def test_evaluate_json_has_the_promised_keys(digits_cache):
    done = invoke("evaluate", "digits", "--json", env=digits_cache)
    accuracy = json.loads(done.stdout)
    assert list(accuracy) == [
        "query", "database", "transform", "classes", "whitened",
        "runs", "single", "ensemble", "kernel_knn3", "kernel_weighted20", "penultimate_knn3",
        "penultimate_euclidean_knn3", "pixels_knn3", "train_unseen_single", "train_unseen_ensemble",
        "kernel_class_knn3",
    ]  # fmt: skip
    asked = {name: accuracy.pop(name) for name in ("query", "database", "transform", "classes", "whitened")}
    assert list(asked.values()) == ["test", "train", "log_softmax", None, False]
    for name in ("train_unseen_single", "train_unseen_ensemble", "kernel_class_knn3"):
        assert accuracy.pop(name) is None
    assert accuracy.pop("runs") == 256
    assert all(0.9 < value < 1 for value in accuracy.values())


def test_evaluate_for_people_says_the_same(digits_cache):
    exact = json.loads(invoke("evaluate", "digits", "--json", env=digits_cache).stdout)
    done = invoke("evaluate", "digits", env=digits_cache)
    assert re.search(rf"Kernel, 3 nearest +{exact['kernel_knn3']:.2%}", done.stdout)


def test_pairs_csv_has_the_promised_columns(digits_cache, tmp_path):
    done = invoke("pairs", "digits", "--ranks", "11-30", "--csv", tmp_path / "pairs.csv", env=digits_cache)
    assert done.exit_code == 0, done.stderr
    table = pd.read_csv(tmp_path / "pairs.csv")
    assert list(table) == [*COLUMNS, *CLASS_COLUMNS, *PIXEL_COLUMNS]
    assert table["query_class"].tolist() == table["query_label"].tolist()  # a digit's name is its number
    assert table["rank"].tolist() == list(range(11, 31))
    assert table["similarity"].is_monotonic_decreasing
    assert set(table["query_split"]) == {"test"}
    assert set(table["database_split"]) == {"train"}


def test_pairs_without_ranks_gives_the_cards_window_scaled(digits_cache):
    done = invoke("pairs", "digits", "--similarity", "pixels", env=digits_cache)
    rows = done.stdout.splitlines()[1:]
    assert [int(row.split()[0]) for row in rows] == list(range(31, 79))


def test_pairs_filter_first_and_count_ranks_among_the_matches(digits_cache):
    def listed(*options):
        done = invoke("pairs", "digits", "--csv", "-", *options, env=digits_cache)
        assert done.exit_code == 0, done.stderr
        return pd.read_csv(io.StringIO(done.stdout))

    every = listed("--ranks", "1-500")
    has_three = every[(every["query_label"] == 3) | (every["database_label"] == 3)]
    assert listed("--class", "3")["rank"].tolist() == has_three["rank"].tolist()[:48]
    assert listed("--class", "3", "--ranks", "49-50")["rank"].tolist() == has_three["rank"].tolist()[48:50]
    differ = every[every["query_label"] != every["database_label"]]
    assert listed("--labels", "different")["rank"].tolist() == differ["rank"].tolist()
    value = float(every["similarity"].iloc[99])
    assert len(listed("--threshold", value)) == 100
    none = invoke("pairs", "digits", "--threshold", "2", "--csv", "-", env=digits_cache)
    assert (none.exit_code, none.stdout.count("\n")) == (0, 1)
    wrong = invoke("pairs", "digits", "--class", "cat", env=digits_cache)
    assert (wrong.exit_code, "No class is called 'cat'; expected one of 0, 1" in wrong.stderr) == (2, True)


def test_failures_list_nine_neighbors_each(digits_cache, tmp_path):
    done = invoke("failures", "digits", "--top", 2, "--csv", tmp_path / "f.csv", env=digits_cache)
    assert done.exit_code == 0, done.stderr
    table = pd.read_csv(tmp_path / "f.csv")
    assert list(table) == [*COLUMNS, "position", *CLASS_COLUMNS]
    assert table["position"].tolist() == [*range(1, 10)] * 2
    first = table[table["position"] == 1]
    assert (first["query_label"] != first["database_label"]).all()


def test_failures_in_the_order_of_labels_to_check(digits_cache):
    done = invoke(
        "failures", "digits", "--order", "label to check", "--top", 500, "--neighbors", 1, "--csv", "-",
        env=digits_cache,
    )  # fmt: skip
    table = pd.read_csv(io.StringIO(done.stdout))
    assert table["rank"].tolist() == list(range(1, 501))
    assert table["support"].is_monotonic_increasing
    assert sorted(table["query_index"]) == list(range(500))
    some = invoke("failures", "digits", "--label", "8", "--against", "1", "--csv", "-", env=digits_cache)
    of_pair = pd.read_csv(io.StringIO(some.stdout))
    nearest = of_pair[of_pair["position"] == 1]
    assert set(nearest["query_label"]) == {8}
    assert set(nearest["database_label"]) == {1}


def test_neighbors_agree_with_pairs(digits_cache, tmp_path):
    invoke("pairs", "digits", "--ranks", "1-1", "--csv", tmp_path / "p.csv", env=digits_cache)
    pair = pd.read_csv(tmp_path / "p.csv").iloc[0]
    done = invoke(
        "neighbors", "digits", "--query", f"test:{pair.query_index}", "--k", 4, "--json", env=digits_cache
    )
    found = json.loads(done.stdout)
    assert [n["position"] for n in found["neighbors"]] == [1, 2, 3, 4]
    assert found["neighbors"][0]["database_index"] == pair.database_index
    assert found["neighbors"][0]["similarity"] == pytest.approx(pair.similarity, abs=1e-5)
    people = invoke("neighbors", "digits", "--query", f"test:{pair.query_index}", env=digits_cache)
    assert str(pair.database_index) in people.stdout.splitlines()[2]


def test_figures_are_drawn_with_whole_number_magnification(digits_cache, tmp_path):
    done = invoke("figures", "digits", "--out", tmp_path / "out", env=digits_cache)
    assert done.exit_code == 0, done.stderr
    names = {"kernel_pairs_600_650.png", "failure_mode.png", "random_pairs.png"}
    assert (
        {line.split("/")[-1] for line in done.stdout.split()}
        == names
        == {p.name for p in (tmp_path / "out").iterdir()}
    )
    image = np.asarray(Image.open(tmp_path / "out" / "failure_mode.png").convert("L"))
    tile = image[64 : 64 + 128, 12 : 12 + 128]  # the first test example: 8 × 8, magnified 16 times
    cells = tile.reshape(8, 16, 8, 16)
    assert (cells == cells[:, :1, :, :1]).all(), "a pixel of the digit must be a flat square"
    assert len(np.unique(tile)) > 3


def test_cache_is_listed_and_cleared(source_folder, cache):
    assert invoke("build", source_folder).exit_code == 0
    listing = invoke("cache", "list").stdout
    assert "planted: test→train neighbors by kernel" in listing
    entries = json.loads(invoke("cache", "list", "--json").stdout)["entries"]
    products = {(entry["kind"], entry["product"]) for entry in entries}
    of_neighbors = {product for kind, product in products if kind == "neighbors"}
    assert of_neighbors <= {"float32 by oneDNN, packed", "float32 by oneDNN", "float32", "float64"}
    assert {product for kind, product in products if kind != "neighbors"} == {None}
    assert invoke("cache", "prune", "--days", 1).stdout.startswith("0 removed")
    assert re.match(r"\d\d removed", invoke("cache", "clear").stdout)
    assert "0 entries" in invoke("cache", "list").stdout


def test_the_next_build_removes_what_a_killed_one_left_and_nothing_else(source_folder, cache):
    assert invoke("build", source_folder).exit_code == 0
    with held.temporary_beside(cache / "rows" / "key.safetensors") as living:
        left = living.with_name(living.name.replace("key", "other"))
        for again in ([], ["--runs", "5"]):  # all of it in the cache, then not
            left.write_bytes(b"half")
            assert invoke("build", source_folder, *again).exit_code == 0
            assert not left.exists()
            assert living.exists()


def test_progress_goes_to_stderr_and_names_the_step(source_folder, cache):
    done = forked.cli("build", source_folder)
    assert done.stdout == (
        "planted: 24 runs, 130 train and 40 test examples, neighbors by kernel, penultimate, "
        "penultimate-euclidean, pixels\n"
    )
    for step in ("reading train images", "reading each run's predictions", "nearest neighbors by kernel"):
        assert step in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "cifra10"], "Known: digits"),
        (["build", "cifra10"], "Did you mean cifar10?"),
        (["build", "digit"], "Did you mean digits?"),
        (["check", "digits", "--jsn"], "Did you mean '--json'?"),
        (["pair", "digits"], "Did you mean 'pairs'?"),
        (["build", "no/such/source.toml"], "no such file exists"),
        (["pairs", "digits", "--similarity", "pixel"], "Did you mean pixels?"),
        (["pairs", "digits", "--similarity", "a b"], "is not the name of a similarity"),
        (["neighbors", "digits", "--query", "test:500"], "expected test:0 … test:499"),
        (["neighbors", "digits", "--query", "valid:3"], "as in test:123 or train:123"),
        (["neighbors", "digits", "--query", "test"], "as in test:123 or train:123"),
        (["neighbors", "digits", "--query", "test:1", "--k", "51"], "ask for 1 to 50"),
        (["pairs", "digits", "--ranks", "601-648"], "there are 500 pairs"),
        (["pairs", "digits", "--ranks", "9-8"], "there are 500 pairs"),
        (["pairs", "digits", "--csv", "/no/such/folder/x.csv"], "Cannot write /no/such/folder/x.csv"),
        (["failures", "digits", "--neighbors", "60"], "ask for 1 to 50"),
        (["build", "digits", "--runs", "1"], "ask for 2 or more"),
        (["build", "digits", "--runs", "999"], "hold 256: ask for 2 to 256"),
        (["build", "digits", "--files", "2"], "digits has no files"),
        (["build", "digits", "--runs", "9", "--memory", "1MB"], "The memory budget of 1 MB is too small"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_exit_2_with_one_message(words, message, digits_cache):
    done = invoke(*words, env=digits_cache)
    assert done.exit_code == 2
    assert_is_one_message(done, message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figures", "digits", "--out", "/proc/no"], "Cannot write figures"),
        (["build", "PLANTED"], "expected a text in quotes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_failure_is_exit_1_with_one_message(words, message, digits_cache, source_folder):
    (source_folder / "source.toml").write_text(
        '[images]\ntest = "gone.parquet"\n[ensemble]\nfiles = "gone.pt"\n'
    )
    words = [str(source_folder) if word == "PLANTED" else word for word in words]
    done = invoke(*words, env=digits_cache)
    assert done.exit_code == 1
    assert_is_one_message(done, message)


def assert_is_one_message(done, message):
    """Check that a verb ended with one line of error, without a traceback or results."""
    assert isinstance(done.exception, SystemExit), done.exception  # anything else would be a traceback
    assert message in done.stderr
    assert done.stderr.count("Error:") == 1
    assert done.stdout == ""


def test_path_that_nearly_exists_is_named(tmp_path, monkeypatch, cache):
    (tmp_path / "my-images" / "cat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for typed, meant in (
        ("./my-imags", "my-images"),
        ("my-imags", "my-images"),
        (tmp_path / "My-image/cat", tmp_path / "my-images/cat"),
    ):
        done = invoke("build", typed)
        assert done.exit_code == 2
        assert f"Did you mean {meant}?" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["build", "--device", "tpu"],
        ["pairs", "digits", "--ranks", "abc"],
        ["neighbors", "digits"],
        ["build", "digits", "--memory", "lots"],
        ["serve", "digits", "--port", "99999"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(words):
    done = invoke(*words)
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit), done.exception
    assert "Usage:" in done.stderr


def on_a_full_disk(*arguments):
    """Run the command with a limit on the size of files, which stands for a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))
    forked.command(*arguments)


def test_full_disk_is_one_message_and_leaves_what_was_there(source_folder, cache):
    assert invoke("build", source_folder).exit_code == 0
    before = {path: path.read_bytes() for path in cache.rglob("*.safetensors")}
    done = forked.run(on_a_full_disk, "build", str(source_folder), "--runs", "5")
    assert done.returncode == 1
    assert "Cannot write to the cache" in done.stderr
    assert "Traceback" not in done.stderr
    after = {path: path.read_bytes() for path in cache.rglob("*.safetensors")}
    assert before.items() <= after.items()
    assert not list(cache.rglob("*.tmp"))


def test_failure_in_a_process_of_its_own_shows_no_traceback(digits_cache):
    done = run_cli("pairs", "digits", "--ranks", "601-648", env=digits_cache)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: Ranks 601–648 were asked for, but there are 500 pairs")
    assert len(done.stderr.splitlines()) == 1


def test_serve_refuses_a_port_in_use_before_it_builds(cache):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = invoke("serve", "digits", "--port", taken.getsockname()[1])
    assert done.exit_code == 1
    assert "Address already in use" in done.stderr
    assert not cache.exists()


def test_serve_refuses_a_port_that_another_serve_is_about_to_use(cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if sys.platform != "linux":
        pytest.skip("only Linux has sockets with names that are no files")
    with serving.claim_port(port) as claim:
        done = invoke("serve", "digits", "--port", port)
        assert os.get_inheritable(claim.fileno()), "the server that replaces the process holds it"
    assert done.exit_code == 1
    assert f"Cannot use port {port} on 127.0.0.1 (Address already in use)" in done.stderr
    assert not cache.exists()
    serving.claim_port(port).close()


def test_serve_prints_its_address_answers_and_stops(digits_cache, tmp_path):
    """Started in another folder, as an installed command is; the serving process has not loaded torch."""
    command = [sys.executable, "-m", "kernel_core", "serve", "digits", "--port"]
    environment = dict(digits_cache, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
    options = {"stdout": subprocess.PIPE, "text": True, "cwd": tmp_path, "env": environment}
    with (
        reserved_port() as port,
        (tmp_path / "stderr").open("w") as log,
        process_of([*command, str(port)], stderr=log, **options) as server,
    ):
        assert f"http://127.0.0.1:{port}" in server.stdout.readline()
        wait_until_healthy(server, port)
        assert_no_torch(server)
        server.send_signal(signal.SIGINT)
        server.wait()
