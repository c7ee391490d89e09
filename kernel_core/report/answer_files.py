"""Write an answer to an open question: Markdown, JSON and a figure."""

from __future__ import annotations

import json
from pathlib import Path

from kernel_core.errors import Unavailable
from kernel_core.files import replacing
from kernel_core.library_caches import prepare_matplotlib
from kernel_core.report.answer_markdown import answer_markdown
from kernel_core.results.answers import Answer


def write_answer(answer: Answer, out: Path) -> list[Path]:
    """Write an answer as Markdown, JSON and a figure, each whole or not at all; return their paths.

    Raises `Unavailable` if one cannot be written.
    """
    prepare_matplotlib()
    from kernel_core.report.answer_figures import draw_answer  # matplotlib takes a second to load

    texts = {"answer.md": answer_markdown(answer), "answer.json": json.dumps(answer.to_json(), indent=1)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with replacing(out / name) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")
        paths = [out / name for name in texts]
        if answer.panels:
            draw_answer(answer, out / "answer.png")
            paths.append(out / "answer.png")
    except OSError as error:
        raise Unavailable(
            f"Cannot write the answer to {out} ({error.strerror or error}). Choose another --out."
        ) from None
    return paths
