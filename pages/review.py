"""Judge pairs and labels, one after the other, with one key each."""

import streamlit as st

from kernel_core.errors import DataError
from kernel_core.printable import printable
from pages.ui import load, read_only, review, shell, verdicts
from pages.ui.panels import review_start, review_stop
from pages.ui.review_queue import queue_of
from pages.ui.wording import escape

shell.guard()
results = load.results()

text = st.query_params.get("list", "")
with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="controls"):
    reviewer = review.choose_reviewer()
    shows_all = review.choose_items() if text else False
queue = queue_of(results, text, reviewer.name, st.query_params.get("kind", "")) if text else None
about = "Is it the same picture? Is the label right? One key each." if queue is None else queue.title
shell.heading(results, "Review", about)
if read_only.is_read_only():
    shell.say(read_only.WHY)
    st.stop()
try:
    verdicts.judged(results)
except DataError as error:
    st.error(escape(printable(error)), icon=":material/error:")
    st.stop()
if queue is None:
    if text:
        st.warning(f"There is no list {text[:80]!r} here to judge.", icon=":material/warning:")
    review_start.offer(results, reviewer.name)
    st.stop()
review.show_queue(results, queue, reviewer, shows_all=shows_all)
review_stop.show_estimate(results, queue)
review_stop.say_warnings(results)
