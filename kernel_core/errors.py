"""Kinds of errors. A message says what was found, what was expected, and what to do."""

import reprlib
from typing import Any


class KernelExplorerError(Exception):
    """Base of every error that a user can cause or meet.

    The command line and the app show its message alone, without a traceback.
    """


class SourceError(KernelExplorerError):
    """A source does not exist, or its description makes no sense."""


class UnknownSource(SourceError):
    """No source has this name, and no such file exists."""


class DataError(KernelExplorerError):
    """A file of a source is missing, unreadable, damaged, or does not fit the others."""


class DownloadError(KernelExplorerError):
    """A file could not be downloaded completely."""


class StoreError(KernelExplorerError):
    """A cache or an ensemble cannot be written."""


class RequestError(KernelExplorerError):
    """A request does not fit the data or the machine: an index, a rank, k, a number of runs, a device."""


class Unavailable(RequestError):
    """A request makes sense, but cannot be met here now: a taken port, a full disk, a missing library."""


class OutOfMemory(Unavailable):
    """There is not enough memory here now."""


class NotBuilt(KernelExplorerError):
    """Results were opened that have not been computed yet."""


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200  # characters
_short.maxlist = _short.maxtuple = _short.maxdict = 12  # items


def shown(value: Any) -> str:
    """Return a value from a file as a message shows it: its `repr`, cut where it is long or deep.

    >>> shown("a" * 10**6)[-3:], shown([[[[[[[[1]]]]]]]])
    ("aa'", '[[[[[[[...]]]]]]]')
    """
    return _short.repr(value)
