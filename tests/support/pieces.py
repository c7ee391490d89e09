"""Pieces of work that a worker process can import."""

import os

from kernel_core.errors import DataError


def squared(base, number):
    return base + number**2


def failing(number):
    if number == 3:
        raise DataError("item 3 is damaged")
    return number


def dying(_number):
    os._exit(1)
