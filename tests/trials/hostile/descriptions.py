"""Hostile descriptions and addresses: source.toml of all kinds, and names of sources that no one has."""

import os

from tests.trials.hostile.case import ANY, FOLDER, INSTEAD, LOOP, Case, instead_of, several

IMAGES = '[images]\ntrain = "train.parquet"\ntest = "test.parquet"\n'
LOGS = '[ensemble]\nfiles = ["runs/*/log.pt"]\n'
GOOD = IMAGES + LOGS


def text_of(place, content):
    path = place.source / "source.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


TEXTS = {
    "empty": "",
    "NUL": b"\0" * 1000,
    "no text": b"\xff\xfe\x00\x01",
    "UTF-16": GOOD.encode("utf-16"),
    "JSON": '{"images": {}}',
    "a hundred thousand brackets": "a = " + "[" * 100_000,
    "arrays of ten thousand levels": "a = " + "[" * 10_000 + "]" * 10_000,
    "tables of ten thousand levels": "a = " + "{a = " * 10_000 + "1" + "}" * 10_000,
    "a key of a hundred thousand parts": ".".join(["a"] * 100_000) + " = 1",
    "a header of ten thousand parts": "[" + ".".join(["a"] * 10_000) + "]",
    "a number of a hundred thousand digits": "name = " + "9" * 100_000,
    "a hundred thousand keys": GOOD + "".join(f"k{n} = {n}\n" for n in range(100_000)),
    "64 MB of spaces and a fault": " " * (64 << 20) + "=",
    "an unknown key of a megabyte": "[images]\n" + "k" * 10**6 + ' = "x"\n' + LOGS,
    "an unknown key that a terminal obeys": '[images]\n"\\u001b[31m\\u0000" = 1\n' + LOGS,
    "a name that is a date": "name = 2020-01-01\n" + GOOD,
    "a name that is a table": GOOD + "[name]\na = 1\n",
    "images that are a number": "images = 3\n" + LOGS,
    "images that are a list": "[[images]]\n" + LOGS,
    "a train that is a number": "[images]\ntrain = 3\n" + LOGS,
    "paths of 5,000 characters": f'[images]\ntrain = "{"a/" * 2500}x"\ntest = "{"b" * 5000}"\n' + LOGS,
    "a path with NUL": '[images]\ntrain = "a\\u0000b"\ntest = "test.parquet"\n' + LOGS,
    "images from a device": '[images]\ntrain = "/dev/zero"\ntest = "/dev/urandom"\n' + LOGS,
    "images from its own folder": '[images]\ntrain = "."\ntest = "."\n' + LOGS,
    "images of all ways": IMAGES + 'folder = "images"\ntorchvision = "CIFAR10"\n' + LOGS,
    "a folder of everything": '[images]\nfolder = "/"\n' + LOGS,
    "an unknown data set": '[images]\ntorchvision = "../../os"\n' + LOGS,
    "size nought": IMAGES + "size = 0\n" + LOGS,
    "size of a billion": IMAGES + "size = 1000000000\n" + LOGS,
    "size that is true": IMAGES + "size = true\n" + LOGS,
    "size that is NaN": IMAGES + "size = nan\n" + LOGS,
    "no files": IMAGES + "[ensemble]\nfiles = []\n",
    "files that are a number": IMAGES + "[ensemble]\nfiles = 3\n",
    "files that are numbers": IMAGES + "[ensemble]\nfiles = [3]\n",
    "an empty pattern": IMAGES + '[ensemble]\nfiles = [""]\n',
    "a pattern of stars": IMAGES + f'[ensemble]\nfiles = ["{"**/" * 400}*"]\n',
    "a pattern that is not closed": IMAGES + '[ensemble]\nfiles = ["runs/[/log.pt"]\n',
    "a pattern with NUL": IMAGES + '[ensemble]\nfiles = ["runs/\\u0000*"]\n',
    "a pattern of 5,000 characters": IMAGES + f'[ensemble]\nfiles = ["{"a" * 5000}"]\n',
    "a pattern that a terminal obeys": IMAGES + '[ensemble]\nfiles = ["\\u001b[31m*"]\n',
    "a hundred thousand patterns": IMAGES + "[ensemble]\nfiles = [" + '"x", ' * 100_000 + "]\n",
    "devices as logs": IMAGES + '[ensemble]\nfiles = ["/dev/zero", "/dev/tty"]\n',
    "every device as a log": IMAGES + '[ensemble]\nfiles = ["/dev/*"]\n',
    "another's file as a log": IMAGES + '[ensemble]\nfiles = ["../secret"]\n',
    "the images as logs": IMAGES + '[ensemble]\nfiles = ["*.parquet"]\n',
    "unknown splits": GOOD + 'splits = ["test", "../x"]\n',
    "splits of mixed types": GOOD + 'splits = ["test", 1, [], {}]\n',
    "another's file as features": GOOD + '[features]\nfile = "../secret"\n',
    "a device as features": GOOD + '[features]\nfile = "/dev/zero"\n',
    "no features' file": GOOD + "[features]\n",
    "features that are a list": GOOD + "features = [1]\n",
}
ALLOWED = {
    "a byte order mark": "\ufeff" + GOOD,
    "a name of a megabyte": f'name = "{"x" * 10**6}"\n' + GOOD,
    "a name that a terminal obeys": 'name = "\\u001b[31mred\\u0007\\u0000\\r"\n' + GOOD,
    "a name of markup": "name = '<script>alert(1)</script> $$x$$ [y](z)'\n" + GOOD,
    "a name of a reversed direction": 'name = "\\u202eabc"\n' + GOOD,
    "a name of paths": 'name = "../../../tmp/x"\n' + GOOD,
    "a name of a new line": 'name = "a\\nError: b"\n' + GOOD,
    "test logits alone": GOOD + 'splits = ["test"]\n',
}


IN_ITS_PLACE = {
    **INSTEAD,
    **FOLDER,
    **LOOP,
    "missing": lambda *_: None,
}
SOURCES = {
    "no words": "",
    "5,000 characters": "a" * 5000,
    "a path of 5,000 characters": "/a" * 2500,
    "a terminal's orders": "\x1b[31mred\x07",
    "a new line": "a\nError: b",
    "bytes that are no text": os.fsdecode(b"\xff\xfe.toml"),
    "a home of nobody": "~nobody-at-all/source.toml",
    "a device": "/dev/zero",
    "the root": "/",
    "a configuration that leaves the Hub's folder": "cifar10-multirun/../../x",
    "a configuration of 5,000 characters": "cifar10-multirun/" + "x" * 5000,
    "a page's address": "http://127.0.0.1:9/source.toml",
}

CASES = {
    **several("source.toml with", text_of, TEXTS),
    **several("source.toml with", text_of, ALLOWED, ANY),
    **several("source.toml is", instead_of(lambda place: place.source / "source.toml"), IN_ITS_PLACE),
    **several("source named by", lambda _, name: [name], SOURCES),
    "source beside a file that has its name": Case(
        lambda place: [str(place.source / "test.parquet" / "source.toml")]
    ),
}
