"""Where the command `kernel-explorer` starts, also as `python -m kernel_core`."""

from __future__ import annotations

import os
import sys

from kernel_core import crash
from kernel_core.errors import OutOfMemory
from kernel_core.shortage import START, is_panic, look_before_torch, refuse_too_little


def main() -> None:
    """Run the command line; an error that nobody foresaw, or Ctrl-C, ends with one line and no traceback."""
    _use_utf8_for_names()
    try:
        os.getcwd()
    except FileNotFoundError:  # torch's libraries would end the process in words of their own
        sys.exit("Error: the working directory was removed; change to one that exists, as with cd ~.")
    try:
        refuse_too_little(START)
        look_before_torch()
        from kernel_core.cli.main import (
            main as command_line,  # takes a second, and may fail for want of memory
        )

        command_line(prog_name="kernel-explorer")
    except KeyboardInterrupt:
        sys.exit(130)
    except OutOfMemory as error:
        sys.exit(f"Error: {error}")
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        sys.exit(f"Error: {crash.last_words(error)}")


def _use_utf8_for_names() -> None:
    """Start over in Python's UTF-8 mode where names of files would be read as ASCII or Latin-1.

    Torch and Arrow take names as UTF-8 whatever the locale says, and would not find the files. What is
    printed keeps the locale's encoding.
    """
    is_utf8 = sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1"
    if os.name == "posix" and not is_utf8:
        output = os.environ.get("PYTHONIOENCODING") or str(getattr(sys.stdout, "encoding", "ascii"))
        output += "" if ":" in output else ":replace"
        environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": output}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


if __name__ == "__main__":
    main()
