"""Hostile log.pt files: code, odd tensors, claims, odd contents, damaged or swollen archives."""

import builtins
import io
import os
import pickle
import struct
import zipfile

import torch

from tests.support.planted import Bomb
from tests.trials.hostile.case import ANY, FOLDER, INSTEAD, LOOP, Case, instead_of, several

LOG = "runs/a/log.pt"
M, N1, N2, C = 14, 40, 130, 5  # runs in the file, test examples, training examples, classes


class Calls:
    """An object whose unpickling calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def half(*shape):
    return torch.randn(*shape, generator=torch.manual_seed(0)).half()


def save(place, content, **options):
    torch.save(content, place.source / LOG, **options)


def both(place, change):
    save(place, {"logits": change(half(M, N1, C)), "logits_train": change(half(M, N2, C))})


def with_code(place, make):
    content = make(Bomb(place.marker), place.marker)
    if isinstance(content, bytes):
        (place.source / LOG).write_bytes(content)
    else:
        save(place, content)


def _legacy(bomb, _):
    buffer = io.BytesIO()
    torch.save({"logits": bomb}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def _script(*_):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


CODE = {
    "as logits": lambda bomb, _: {"logits": bomb, "logits_train": half(M, N2, C)},
    "as the whole log": lambda bomb, _: bomb,
    "deep in a list": lambda bomb, _: {"logits": half(M, N1, C), "x": [[{"y": (bomb,)}]]},
    "as a key": lambda bomb, _: {bomb: 1},
    "as the text of the training script": lambda bomb, _: {
        "logits": half(M, N1, C), "logits_train": half(M, N2, C), "code": bomb
    },
    "by eval": lambda _, marker: {"logits": Calls(builtins.eval, f"open({str(marker)!r}, 'w')")},
    "by exec": lambda _, marker: {"logits": Calls(builtins.exec, f"import os; os.mkdir({str(marker)!r})")},
    "by a shell": lambda _, marker: {"logits": Calls(os.system, f"mkdir '{marker}'")},
    "by open": lambda _, marker: {"logits": Calls(open, str(marker), "w")},
    "by getattr": lambda _, marker: {"logits": Calls(getattr, "logits", "upper"), "m": Bomb(marker)},
    "in a plain pickle": lambda bomb, _: pickle.dumps(bomb),
    "in protocol 0": lambda bomb, _: pickle.dumps(bomb, protocol=0),
    "in the legacy format": _legacy,
    "in a module": lambda *_: torch.nn.Linear(2, 2),
    "in TorchScript": _script,
}  # fmt: skip
TENSORS = {
    "float8": lambda t: t.to(torch.float8_e4m3fn),
    "bfloat16": lambda t: t.bfloat16(),
    "float64 of 1e300": lambda t: torch.full_like(t.double(), 1e300),
    "integers": lambda t: t.int(),
    "booleans": lambda t: t > 0,
    "bytes": lambda t: t.to(torch.uint8),
    "complex": lambda t: t.to(torch.complex64),
    "conjugate": lambda t: t.to(torch.complex64).conj(),
    "sparse": lambda t: t.float().to_sparse(),
    "sparse rows": lambda t: t.float().flatten(1).to_sparse_csr(),
    "meta": lambda t: t.to("meta"),
    "quantized": lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
    "quantized by channel": lambda t: torch.quantize_per_channel(
        t.float(), torch.ones(len(t)), torch.zeros(len(t)), 0, torch.qint8
    ),
    "negative view": lambda t: torch._neg_view(t.float()),
    "nested": lambda t: torch.nested.nested_tensor(list(t.float())),
    "parameter": lambda t: torch.nn.Parameter(t.float()),
    "with gradient": lambda t: t.float().requires_grad_(),
    "permuted": lambda t: t.permute(2, 1, 0).contiguous().permute(2, 1, 0),
    "every second": lambda t: t.repeat(1, 1, 2)[..., ::2],
    "one dimension": lambda t: t.flatten(),
    "four dimensions": lambda t: t[None],
    "sixty dimensions": lambda t: t[(None,) * 57],
    "scalar": lambda t: t[0, 0, 0],
    "no runs": lambda t: t[:0],
    "no examples": lambda t: t[:, :0],
    "no classes": lambda t: t[..., :0],
    "one run": lambda t: t[:1],
    "NaN": lambda t: t * float("nan"),
    "infinite": lambda t: t / 0,
    "constant": lambda t: t * 0,
    "subnormal": lambda t: t * 0 + 6e-8,
    "lists": lambda t: t.tolist(),
    "NumPy's": lambda t: t.numpy(),
}
CLAIMS = {
    "a million runs": (torch.float16, 10**6, 0, 0),
    "a billion runs": (torch.float16, 10**9, 0, 0),
    "a billion runs of float64": (torch.float64, 10**9, 0, 0),
    "a hundred million runs of bfloat16": (torch.bfloat16, 10**8, 0, 0),
    "a billion classes": (torch.float16, 14, 0, 10**9),
    "a billion examples": (torch.float16, 14, 10**9, 0),
    "a trillion runs": (torch.float16, 10**12, 0, 0),
}
"""What a tensor of one number claims to hold: type, runs, examples or 0, classes or 0."""


def claim(place, value):
    dtype, runs, examples, classes = value
    one = torch.zeros(1, 1, 1, dtype=dtype)
    save(place, {
        "logits": one.expand(runs, examples or N1, classes or C),
        "logits_train": one.expand(runs, examples or N2, classes or C),
    })  # fmt: skip


class Rebuilt:
    """A tensor whose pickle says an offset, a size and strides of its own."""

    def __init__(self, offset, size, stride):
        self.arguments = offset, size, stride

    def __reduce__(self):
        storage = torch.storage.TypedStorage(
            wrap_storage=torch.zeros(64).untyped_storage(), dtype=torch.float32, _internal=True
        )
        return torch._utils._rebuild_tensor_v2, (storage, *self.arguments, False, {})


LYING = {
    "an offset beyond the storage": (10**6, (2, 40, 5), (0, 0, 0)),
    "a negative offset": (-8, (2, 40, 5), (0, 0, 0)),
    "a negative size": (0, (-2, 40, 5), (1, 1, 1)),
    "a negative stride": (0, (2, 40, 5), (1, -1, 1)),
    "strides beyond the storage": (0, (2, 40, 5), (200, 5, 1)),
    "sizes that overflow": (0, (2**40, 2**40, 5), (0, 0, 0)),
    "fewer strides than sizes": (0, (2, 40, 5), (1,)),
}


def deep(make, depth):
    content = {}
    for _ in range(depth):
        content = make(content)
    return content


CONTENTS = {
    "a number": 3,
    "nothing": None,
    "a list": [1, 2],
    "a text": "logits",
    "an empty dict": {},
    "keys of mixed types": {1: 2, "a": 3, None: 4, (1, 2): 5, 2.5: 6, b"x": 7},
    "a key of a million characters": {"k" * 10**6: 1},
    "keys that a terminal obeys": {"\x1b[31mred\x1b]0;title\x07\n\0": 1},
    "a key that is half a character": {"\ud800": 1},
    "a number of ten thousand digits": {"logits": 10**9_999},
    "a list of 300 levels": {"logits": deep(lambda x: [x], 300)},
    "only test logits": {"logits": half(M, N1, C)},
    "nothing as training logits": {"logits": half(M, N1, C), "logits_train": None},
    "a hundred thousand keys": {f"key {n}": n for n in range(100_000)},
}


def with_pickle(place, raw):
    """Replace the pickle in the archive."""
    rewrite(place, lambda name, content: [(name, raw if name.endswith("data.pkl") else content)])


def rewrite(place, change, compression=zipfile.ZIP_STORED):
    """Write the archive anew. change: function of a member's name and content, to the new members."""
    path = place.source / LOG
    with zipfile.ZipFile(path) as old:
        members = [(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, content in members:
            for member in change(name, content):
                new.writestr(*member)


PICKLES = {
    "a million levels": b"\x80\x02" + b"(" * 10**6 + b"l" * 10**6 + b".",
    "lists that double sixty times": b"\x80\x02]q\x00" + b"".join(
        b"]" + b"h" + bytes([n]) + b"a" + b"h" + bytes([n]) + b"a" + b"q" + bytes([n + 1]) for n in range(60)
    ) + b".",
    "a text that claims 2 GB": b"\x80\x02X" + struct.pack("<I", 2**31 - 1) + b"short.",
    "a number that claims 2 GB": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
    "a memo of four billion": b"\x80\x02K\x01r\xff\xff\xff\xff.",
    "an empty stack": b"\x80\x02.",
    "no end": b"\x80\x02K\x01",
    "an unknown protocol": b"\x80\xff.",
    "a persistent id that is a text": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "zeros": bytes(1000),
}  # fmt: skip


def _swollen(name, megabytes):
    def change(place, compression=zipfile.ZIP_DEFLATED):
        content = bytes(megabytes << 20)
        rewrite(place, lambda n, c: [(n, content if n.endswith(name) else c)], compression)

    return change


def _patched(place, old, new):
    """Replace bytes of the archive's directory."""
    path = place.source / LOG
    content = path.read_bytes()
    at = content.rindex(old)
    path.write_bytes(content[:at] + new(content[at : at + 64]) + content[at + 64 :])


ARCHIVES = {
    "1 GB of zeros as numbers": _swollen("data/0", 1024),
    "2 GB of zeros as pickle": _swollen("data.pkl", 2047),
    "a member that claims 4 GB": lambda p: _patched(
        p, b"PK\x01\x02", lambda b: b[:20] + b"\xfe\xff\xff\xff" * 2 + b[28:]
    ),
    "two hundred thousand members": lambda p: rewrite(
        p,
        lambda n, c: (
            [(n, c)] + [(f"archive/extra/{i}", b"") for i in range(200_000 * n.endswith("data.pkl"))]
        ),
    ),
    "only a text": lambda p: (p.source / LOG).write_text("version https://git-lfs.github.com/spec/v1\n" * 3),
    "a page of HTML": lambda p: (p.source / LOG).write_text("<html><script>alert(1)</script></html>"),
}
ALLOWED_ARCHIVES = {
    "a directory beyond the end": lambda p: _patched(
        p, b"PK\x05\x06", lambda b: b[:16] + b"\xfe\xff\xff\x7f" + b[20:]
    ),
    "a member with .. in its name": lambda p: rewrite(p, lambda n, c: [(n, c), ("../../../slipped", b"x")]),
    "a member twice": lambda p: rewrite(p, lambda n, c: [(n, c)] * (2 if n.endswith("data/0") else 1)),
    "a member with a colored name": lambda p: rewrite(p, lambda n, c: [(n, c), (f"{n}\x1b[31m", b"x")]),
}


IN_ITS_PLACE = {
    **INSTEAD,
    **FOLDER,
    **LOOP,
    "a link to /dev/null": lambda path, _: path.symlink_to("/dev/null"),
}

CASES = {
    **several("code in a log", with_code, CODE, expected=ANY),
    **several("tensor", both, TENSORS, expected=ANY),
    **several("log claims", claim, CLAIMS),
    **several(
        "tensor with", lambda p, v: save(p, {"logits": Rebuilt(*v), "logits_train": Rebuilt(*v)}), LYING
    ),
    **several("log holds", save, CONTENTS),
    **several("pickle with", with_pickle, PICKLES),
    **several("archive with", lambda place, make: make(place), ARCHIVES),
    **several("archive with", lambda place, make: make(place), ALLOWED_ARCHIVES, expected=ANY),
    **several("log is", instead_of(lambda place: place.source / LOG), IN_ITS_PLACE),
    "log larger than the disk": Case(lambda place: os.truncate(place.source / LOG, 1 << 40)),
}
