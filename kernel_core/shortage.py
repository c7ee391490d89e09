"""A lack of memory, however it shows, as one line: what was needed, what there is, what to do."""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from kernel_core.errors import OutOfMemory
from kernel_core.memory import aside, free_bytes, is_limited, is_space_limited

NO_MEMORY = (  # in messages of torch, of Rust, of Python's threads and of Arrow
    "can't allocate memory", "not enough memory", "bad_alloc", "annot allocate memory", "memory allocation",
    "can't start new thread", "malloc of size", "realloc of size", "failed to create thread",
    "failed to allocate",
)  # fmt: skip
NO_PRIMITIVE = "could not create a primitive"  # oneDNN's; it does not say why
NOT_LOADED = ("failed to map segment", "annot allocate memory", "cannot create shared object")
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
MORE_ROOM = "Close other programs or raise the limit (ulimit, container, batch job)"
START = 100_000_000  # bytes; with less, NumPy's library ends the process in words of its own
LIBRARIES = 300_000_000  # bytes; with less, loading torch ends the process without a word
LEAST = 50_000_000  # bytes that a search needs in any case
LEFT = 2 * LEAST  # bytes that must be left once torch is loaded, beside what is set aside


def is_shortage(error: BaseException) -> bool:
    """Return whether memory ran out, as Python, NumPy, torch, Arrow, Rust and the system say it."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which may not be loaded here
        or (
            type(error).__name__ in ("RuntimeError", "PanicException", "ArrowMemoryError")
            and any(words in str(error) for words in NO_MEMORY)
        )
        or (isinstance(error, RuntimeError) and NO_PRIMITIVE in str(error) and is_limited())
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, ImportError | OSError) and any(words in str(error) for words in NOT_LOADED))
    )


def is_panic(error: BaseException) -> bool:
    """Return whether code in Rust gave up, which no `except Exception` catches."""
    return type(error).__name__ == "PanicException"


def words_of_shortage(error: BaseException, *, on_page: bool = False) -> str:
    """Return the line that a user sees of a lack of memory: what was needed, what there is, what to do.

    on_page: the server ran out of memory while it drew a page.
    """
    needed, free = needed_bytes(error), free_bytes()
    if isinstance(error, ImportError):
        return (
            "The libraries did not fit into the memory that this process may have; "
            f"{_size(free)} are free here now. {MORE_ROOM}."
        )
    found = (
        "Memory ran out" if needed is None else f"Memory ran out: {_size(needed)} more were needed at once"
    )
    found = f"{found}; {_size(free)} are free here now. {MORE_ROOM}"
    if on_page:
        return f"{found}, then load the page again."
    if isinstance(error, OSError) and is_space_limited():  # a smaller search would not help
        return f"{found}: files are mapped whole, which counts under ulimit -v. What was finished is kept."
    budget = max(LEAST, 1 << max(0, (free // 8).bit_length() - 1))
    return (
        f"{found}; or ask for less: --memory {budget // 1_000_000}MB for the search, fewer --runs. What was "
        "finished is kept."
    )


def refuse_too_little(needed: int = LIBRARIES) -> None:
    """Raise `OutOfMemory` where less than `needed` bytes are free: call it before libraries are loaded."""
    if (free := free_bytes()) < needed:
        raise _no_room(free, f"the libraries alone take {_size(needed)}")


def look_before_torch() -> None:
    """From now on, raise `OutOfMemory` where torch is to be loaded and would not fit.

    Without room, its libraries end the process without a word, or leave it too little to go on.
    """
    if "torch" not in sys.modules and not any(isinstance(finder, _Torch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Torch())


class _Torch(MetaPathFinder):
    """What Python asks for every module that it loads: for torch, whether there is room."""

    def __init__(self) -> None:
        self.was_asked = False

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None: others find modules."""
        if name == "torch" and not self.was_asked:
            self.was_asked = True
            refuse_too_little()
            if is_limited():
                _try_loading()
        return None


def _try_loading() -> None:
    """Load torch in a copy of this process first. Raises `OutOfMemory` if that ends it, or leaves too little.

    How much it takes depends on how it was built: of address space, 0.5 to 3 GB.
    """
    left = _left_in_copy()
    if left is None:
        raise _no_room(free_bytes(), "torch does not fit")
    if left < (needed := LEFT + aside()):
        raise _no_room(free_bytes(), f"torch leaves {_size(left)}, at least {_size(needed)} are needed")


def _left_in_copy() -> int | None:
    """Return the bytes that are free once a copy of this process loaded torch; None if that ended it."""
    reading, writing = os.pipe()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:  # nothing may leave this branch
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            importlib.import_module("torch")
            os.write(writing, str(free_bytes()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return int(said) if said else None


def _no_room(free: int, reason: str) -> OutOfMemory:
    return OutOfMemory(f"{_size(free)} of memory are free here now; {reason}. {MORE_ROOM}.")


def needed_bytes(error: BaseException) -> int | None:
    """Return how many bytes an error says could not be had, or None.

    >>> needed_bytes(MemoryError("Unable to allocate 9.00 GiB for an array with shape (1,)"))
    9663676416
    >>> needed_bytes(RuntimeError("can't allocate memory: you tried to allocate 1200 bytes."))
    1200
    """
    found = re.search(r"allocat\w* ([\d.]+) ?([KMGTkmgt]?)i?[Bb]", str(error))
    return None if found is None else int(float(found[1]) * UNITS[found[2].lower()])


def _size(number: int) -> str:
    return (
        f"{number / 1e9:,.2g} GB"
        if 1e8 <= number < 1e9
        else f"{number / 1e9:,.1f} GB"
        if number >= 1e9
        else f"{number / 1e6:,.1f} MB"
    )


@contextmanager
def shortage_said() -> Iterator[None]:
    """Turn a lack of memory in the `with` block into `OutOfMemory`, whose message is one line."""
    try:
        yield
    except BaseException as error:
        if not is_shortage(error):
            raise
        words = words_of_shortage(error)
    else:
        return
    raise OutOfMemory(words)  # here, where nothing holds what filled the memory any more
