"""Types of options: sizes, windows of ranks, sets of classes, and numbers of runs."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


class Bytes(click.ParamType[int]):
    """A size such as 500MB or 2GB, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", str(value).upper())
        if not match or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a size; expected a number with KB, MB or GB, as in 2GB.", param, ctx)
        return int(float(match[1]) * UNITS[match[2]])


class Ranks(click.ParamType[tuple[int, int]]):
    """A window of ranks such as 601-648, or a single rank."""

    name = "first-last"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:[-–](\d+))?", str(value))
        if not match:
            self.fail(f"{value!r} is not a window of ranks; expected first-last, as in 601-648.", param, ctx)
        return int(match[1]), int(match[2] or match[1])


class Classes(click.ParamType["tuple[int, ...] | str"]):
    """Class numbers such as 0,3 in any order; all; or, if the verb can show them one by one, each."""

    name = "classes"

    def __init__(self, *, each: bool) -> None:
        self.words = ("all", "each") if each else ("all",)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...] | str:
        if value in self.words:
            return str(value)
        if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", str(value)):
            words = ", ".join(self.words)
            self.fail(f"{value!r} does not name classes; expected {words}, or numbers as in 0,3.", param, ctx)
        return tuple(sorted(map(int, str(value).split(","))))  # `KernelSpec` refuses a class that comes twice


class RunCounts(click.ParamType["tuple[int | None, ...]"]):
    """Numbers of runs such as 10,50, each 2 or more; if the verb takes it, all, which becomes None."""

    def __init__(self, *, takes_all: bool) -> None:
        self.words = ("all",) if takes_all else ()
        self.name = ",".join(("10", "50", *self.words))

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, ...]:
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in str(value).split(",")]
        if not all(
            word in self.words or (re.fullmatch("[0-9]{1,9}", word) and int(word) >= 2) for word in words
        ):
            self.fail(
                f"{value!r} is not a list of numbers of runs; expected one such as {self.name}, each 2 "
                "or more.",
                param,
                ctx,
            )
        return tuple(None if word in self.words else int(word) for word in words)
