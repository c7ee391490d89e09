"""Files saved by torch.save, opened so that no code in them runs and none takes more memory than its size."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from kernel_core.errors import DataError
from kernel_core.files import regular_file
from kernel_core.looks_like import foreign, looks_like

PICKLE_LIMIT = 16_000_000  # bytes; a log's pickle has a few hundred, a large network's some 100,000
FORMS = ("torch", "old torch", "pickle", "damaged zip")  # what a file that torch wrote may look like
LEGACY_PICKLES = 5  # that begin a file of torch before 1.6: magic, version, machine, content, names
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_torch_file(path: Path, expected: str, *, mmap: bool) -> Any:
    """Return the content of a torch file; only tensors and plain values are unpickled.

    expected: what the file should be, as in "a log.pt". mmap: map the tensors instead of reading them.
    Raises `DataError` if the file is missing, damaged, holds anything else, or unpacks to more than its size.
    """
    _refuse_packed(regular_file(path), expected)
    try:
        legacy = looks_like(path).form in ("old torch", "pickle")
        if legacy:
            _refuse_vast_pickle(path, expected)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and not legacy)
    except DataError:
        raise
    except pickle.UnpicklingError as error:
        if "numpy" in _reason(error):
            raise DataError(
                f"{path} holds NumPy arrays, which torch.save pickles; to read them, code in the file would "
                f"have to run. Expected {expected}. Save torch.from_numpy(array) instead of each array, or "
                "save the arrays with numpy.savez."
            ) from None
        raise DataError(
            foreign(path, str(path), expected, *FORMS)
            or f"{path} is refused: it is not a torch file of tensors and plain values ({_reason(error)}). "
            f"Nothing in it was run. Expected {expected}, saved by torch.save. Save it again."
        ) from None
    except Exception as error:  # noqa: BLE001 (a malformed pickle can raise anything)
        raise _damaged(path, _reason(error), expected) from None


def _refuse_packed(path: Path, expected: str) -> None:
    """Raise `DataError` if the members of a torch file, which is a zip archive, unpack to more than it holds.

    torch.save never compresses: the members of its files are as large as the file, at most.
    """
    try:
        if not zipfile.is_zipfile(path):
            return  # torch's older format, or another file: torch.load finds out
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # noqa: BLE001 (so can a malformed archive)
        raise _damaged(path, _reason(error), expected) from None
    unpacked, size = sum(member.file_size for member in members), path.stat().st_size
    packed = next((m.filename for m in members if m.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None or unpacked > size:
        found = f"{packed} in it is compressed" if packed else f"its {size:,} bytes unpack to {unpacked:,}"
        raise DataError(
            f"{path} is refused: {found}, which torch.save never does. Expected {expected}. Save it again."
        )
    pickled = max((m.file_size for m in members if m.filename.endswith("data.pkl")), default=0)
    if pickled > PICKLE_LIMIT:
        raise _vast(path, f"{pickled / 1e6:,.0f} MB", expected)


def _vast(path: Path, size: str, expected: str) -> DataError:
    return DataError(
        f"{path} is refused: it holds {size} of plain values; expected {expected}, with at most "
        f"{PICKLE_LIMIT / 1e6:.0f} MB of them beside its tensors. Save the tensors alone; if these are NumPy "
        "arrays, save torch.from_numpy(array)."
    )


def _refuse_vast_pickle(path: Path, expected: str) -> None:
    """Raise `DataError` if the plain values that begin a file of the old format take more than the limit.

    They are only looked at here. Any other fault is left to torch.load.
    """
    with open(path, "rb") as file, contextlib.suppress(ValueError, EOFError, UnicodeError):
        for _ in range(LEGACY_PICKLES):
            for _ in pickletools.genops(file):
                if file.tell() > PICKLE_LIMIT:
                    raise _vast(path, f"more than {PICKLE_LIMIT / 1e6:.0f} MB", expected)


def _reason(error: Exception) -> str:
    """Return what a pickle asks for that it must not, or the first sentence of the error, or its type."""
    asked_for = re.search(r"GLOBAL ([\w.]+)", str(error))
    if asked_for:
        return f"it asks for {asked_for[1]}"
    return (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]


def _damaged(path: Path, reason: str, expected: str) -> DataError:
    return DataError(
        foreign(path, str(path), expected, *FORMS)
        or f"{path} is damaged or not a torch file ({reason}); expected {expected}. Download or save it "
        "again."
    )


def to_array(tensor: torch.Tensor, name: str) -> npt.NDArray[Any]:
    """Return a floating tensor of a file as an array, mapped if the tensor is.

    name: what to call it in an error. Of bfloat16, which NumPy lacks, the bits are returned, as uint16.
    Raises `DataError` if its numbers are of another kind, or are not all in the file.
    """
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        kind = "a sparse" if tensor.device.type == "cpu" else f"a {tensor.device.type}"
        raise DataError(f"{name} is {kind} tensor; expected a dense one. Save it with .to_dense().")
    if tensor.dtype not in FLOATING:
        raise DataError(f"{name} holds {tensor.dtype}; expected float16 or float32. Save it with .float().")
    claimed, held = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if claimed > held:  # an expanded view: 1.5 kB can claim a million runs
        raise DataError(
            f"{name} is {tuple(tensor.shape)}, {claimed:,} bytes, but the file holds {held:,} bytes of it; "
            "expected a tensor of which every number is stored. Save it with .contiguous()."
        )
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    array: npt.NDArray[Any] = tensor.numpy()
    return array
