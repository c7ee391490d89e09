"""What can go wrong, by kind. Every message says what was found, what was expected, and what to do."""


class KernelExplorerError(Exception):
    """The base of every error a user can cause or meet; the edges (command line, app) show its message alone."""


class SourceError(KernelExplorerError):
    """Raised when a source cannot be found or its description cannot be understood."""


class DataError(KernelExplorerError):
    """Raised when a file of a source is missing, unreadable, damaged, or disagrees with its neighbors."""


class DownloadError(KernelExplorerError):
    """Raised when the Hub or a dataset's host did not deliver a file whole."""


class StoreError(KernelExplorerError):
    """Raised when the cache folder cannot be written."""


class RequestError(KernelExplorerError):
    """Raised when what was asked for lies outside the data: an index, a rank, a k, a number of runs, a device."""


class NotBuilt(KernelExplorerError):
    """Raised when results are opened that have not been computed yet."""
