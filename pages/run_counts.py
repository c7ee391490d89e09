"""How many runs are enough? What the first 10, 20, 50, … runs find, beside what all of them find."""

import pandas as pd
import streamlit as st

from kernel_core.report.run_counts import sentences
from kernel_core.results.run_counts import built_run_counts
from kernel_core.results.store import Store
from kernel_core.spec import run_count_steps
from pages.ui import drawn, jobs, load, shell
from pages.ui.wording import ENSEMBLE, plural

shell.guard()
results = load.results()

ACCURACIES = {
    "kernel_weighted20": "Kernel, 20 nearest, weighted",
    "kernel_knn3": "Kernel, 3 nearest",
    "ensemble": ENSEMBLE,
    "single": "One run, mean",
}
STEPS = run_count_steps(results.run_count)

shell.heading(
    results,
    "How many runs?",
    "What the first 10, 20, 50, … runs find, compared with all.",
)
built = built_run_counts(results, load.request(), Store(), STEPS)
missing = [count for count in STEPS if count not in built]
if missing:
    counts = ", ".join(f"{count:,}" for count in missing)
    why = f"Not built yet: the kernel and the predictions of the first {counts} runs."
    jobs.offer(load.request(), why, verb="runs", label="Build all", key="build_all")
if len(STEPS) == 1:
    shell.say(f"There are only {plural(results.run_count, 'run')}: too few to leave some out.")
if len(built) < 2:
    st.stop()

table = drawn.by_runs(results.id, built)
top = int(table["pairs"].iloc[-1])
shares = {"agreement": "Same nearest", "pairs_kept": f"First {top:,} pairs that stay"}
shell.say(sentences(table, results.spec.database_example))
left, right = st.columns(2, gap="large")
for place, title, titles in (
    (left, "Accuracy by number of runs", ACCURACIES),
    (right, "What stays the same as with all runs", shares),
):
    with place:
        st.header(title)
        chart = drawn.run_curves(results.id, built, tuple(titles.items()))
        st.vega_lite_chart(chart, alt=f"{title}; the table below has the same numbers")

shown = pd.DataFrame({"Runs": [f"{count:,}" for count in table["runs"]]})
for name, title in {**ACCURACIES, **shares}.items():
    ends = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    shown[title] = [f"{share:.2%}  ({low:.1%}–{high:.1%})" for share, low, high in ends]
    if name in shares and built[-1] == results.run_count:
        shown.loc[len(shown) - 1, title] = "100%"  # by definition
st.dataframe(shown, hide_index=True)
st.caption(
    f"Accuracies are on the {results.query} set. Same nearest: {results.query} examples whose nearest "
    f"{results.spec.database_example} by the first runs is the nearest by all. Bands and brackets: 95% "
    f"intervals (Wilson) over the choice of {results.query} examples, or of the {top:,} pairs. They do not "
    "cover which runs come first: other runs give other curves."
)
