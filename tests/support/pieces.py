"""Pieces of work that a worker process can import."""

import os
import signal

from kernel_core.engines.search import find_block
from kernel_core.errors import DataError


def squared(base, number):
    return base + number**2


def failing(number):
    if number == 3:
        raise DataError("item 3 is damaged")
    return number


def niceness(_number):
    return os.nice(0)


def dying(_number):
    os._exit(1)


def find_block_once_killed(flag, rows_from, job, block):
    """Do a block as `find_block` does; the first time, the worker that has block 3 is killed instead."""
    if block.number == 3 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return find_block(rows_from, job, block)
