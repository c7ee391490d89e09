"""Open questions about the kernel, and what was seen when they were put to this source."""

import streamlit as st

from kernel_core.results.answers import QUESTIONS, Answer, read_answer
from kernel_core.results.keys import plan_keys
from kernel_core.results.store import Store
from kernel_core.sources.catalog import open_source
from pages.ui import controls, drawn, jobs, load, read_only, shell
from pages.ui.wording import escape

shell.guard()
results = load.results()
shell.heading(
    results,
    "Open questions",
    "What the dataset card asks about the kernel, answered for your data.",
)
titles = {name: question.title for name, question in QUESTIONS.items()}
name = controls.choose_one("Question", "question", titles)
question, request = QUESTIONS[name], load.request().whole
shell.say(f"{question.asked} {question.how}")
verb = f"lab {name}"


def show(answer: Answer) -> None:
    """Show what was seen, then every number behind it."""
    st.markdown("\n".join(f"- {escape(sentence)}" for sentence in answer.seen))
    for n in range(0, len(answer.panels), 2):  # row by row, which is their order where the page is narrow
        for column, panel in zip(st.columns(2, gap="large"), answer.panels[n : n + 2], strict=False):
            with column:
                st.header(panel.title)
                st.vega_lite_chart(drawn.panel_chart(panel), alt=f"{panel.title} by {panel.x_title}")
    for table in answer.tables:
        st.header(table.title)
        st.dataframe(drawn.answer_table(table), hide_index=True, height="content")
    took = f"It took {answer.seconds:,.0f} seconds of processor time." if answer.seconds >= 1 else ""
    st.caption(f"{answer.bands} Query examples: {answer.drawn}. {took}")
    st.caption("The same on the command line, with figures for print (`--out DIR`):")
    st.code(answer.command, language="bash")


answer = read_answer(plan_keys(open_source(request, offline=True), request, Store()), name, Store())
if answer is None:
    jobs.offer(request, "Nobody has asked this of your data yet.", verb=verb, label="Ask it", key="ask")
else:
    show(answer)
    if answer.has_options and not read_only.is_read_only():
        jobs.offer_line(request, "It was asked with options.", "again", verb=verb, label="Ask without them")
