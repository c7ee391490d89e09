"""A lack of memory, however it shows, as one line: what was needed, what there is, what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from kernel_core.errors import OutOfMemory
from kernel_core.memory import free_bytes

NO_MEMORY = (  # in messages of torch, of Rust, of Python's threads and of Arrow
    "can't allocate memory", "not enough memory", "bad_alloc", "annot allocate memory", "memory allocation",
    "can't start new thread", "malloc of size", "realloc of size", "failed to create thread",
    "failed to allocate",
)  # fmt: skip
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
LIBRARIES = 300_000_000  # bytes; with less, loading torch ends the process without a word
LEAST = 50_000_000  # bytes that a search needs in any case


def is_shortage(error: BaseException) -> bool:
    """Return whether memory ran out, as Python, NumPy, torch, Arrow, Rust and the system say it."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which may not be loaded here
        or (
            type(error).__name__ in ("RuntimeError", "PanicException", "ArrowMemoryError")
            and any(words in str(error) for words in NO_MEMORY)
        )
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, ImportError) and "failed to map segment" in str(error))
    )


def is_panic(error: BaseException) -> bool:
    """Return whether code in Rust gave up, which no `except Exception` catches."""
    return type(error).__name__ == "PanicException"


def words_of_shortage(error: BaseException) -> str:
    """Return the line that a user sees of a lack of memory: what was needed, what there is, what to do."""
    needed, free = needed_bytes(error), free_bytes()
    more_room = "Close other programs or raise the limit (ulimit, container, batch job)"
    if isinstance(error, ImportError):
        return (
            "The libraries did not fit into the memory that this process may have; "
            f"{_size(free)} are free here now. {more_room}."
        )
    found = (
        "Memory ran out" if needed is None else f"Memory ran out: {_size(needed)} more were needed at once"
    )
    budget = max(LEAST, 1 << max(0, (free // 8).bit_length() - 1))
    return (
        f"{found}; {_size(free)} are free here now. {more_room}; or ask for less: "
        f"--memory {budget // 1_000_000}MB for the search, fewer --runs. What was finished is kept."
    )


def refuse_too_little() -> None:
    """Raise `OutOfMemory` where torch would not fit; to be called before it is loaded."""
    if (free := free_bytes()) < LIBRARIES:
        raise OutOfMemory(
            f"{_size(free)} of memory are free here now; the libraries alone take {_size(LIBRARIES)}. Close "
            "other programs or raise the limit (ulimit, container, batch job)."
        )


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
    return f"{number / 1e9:,.1f} GB" if number >= 1e8 else f"{number / 1e6:,.1f} MB"


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
