"""What people write to go somewhere: an example or a class."""

from __future__ import annotations

import difflib
import re
from typing import Literal

from kernel_core.errors import RequestError
from kernel_core.results.results import Results
from kernel_core.spec import example_name, parse_example

HELP = (
    "An example, such as test:123 or train 456; a number alone is an index in the test split. Or a class, by "
    "its name: all its examples."
)


def destination(results: Results, text: str) -> tuple[Literal["example", "class"], str]:
    """Return what a text names: an example, or a class, and its name.

    A number alone is an example; `class 3` is the class of that name. Raises `RequestError` if it is neither.
    """
    words = re.fullmatch(r"(?:class|label)[\s:]+(.+)", text.strip(), re.IGNORECASE)
    if re.fullmatch(r"(?:test|train|training)?[\s:]*[0-9]+", text.strip(), re.IGNORECASE):
        return "example", example_name(*parse_example(text, results.example_counts))
    asked = (words[1] if words else text).strip().casefold()
    by_name = {name.casefold(): name for name in reversed(results.class_names)}
    if asked in by_name:
        return "class", by_name[asked]
    near = difflib.get_close_matches(asked, by_name, 1)
    meant = f" Did you mean {by_name[near[0]]}?" if near else ""
    splits = " or ".join(
        f"{split}:0 … {split}:{n - 1}" for split, n in sorted(results.example_counts.items())
    )
    raise RequestError(f"{text.strip()[:40]!r} is no example ({splits}), and no class.{meant}")
