"""Two examples: where do their images differ, and how near is each to the other by each similarity?"""

import pandas as pd
import streamlit as st

from kernel_core.spec import example_name
from pages.ui import load, paired, shell
from pages.ui.badges import Badges
from pages.ui.components import compare
from pages.ui.panels import counterfactual, neighbor_lists, pair_ranks, twin_parts, verdict, walk, why
from pages.ui.wording import minus_distance

shell.guard()
results = load.results()

a = walk.example_of_address(results, "a")
b = walk.example_of_address(results, "b", walk.partner(results, a))

names = f"{example_name(*a)} ↔ {example_name(*b)}"
shell.heading(results, names, "Where the two differ, and how near each is to the other.")
if a != b:
    pair_ranks.begin(results.id, a, b)
by = walk.show_pair_steps(results, a, b)
badges = Badges(results)
if a != b and (judged := badges.said(a, b)):
    st.markdown(f"The pair: {judged}.")
if results.has_images:
    reach = min(4, min(results.examples[results.query].images.shape[1:3]) // 4)
    plain, best = load.alignments(results.id, a, b, reach)
    compare.show_pair(results, a, b, plain, best)
else:
    compare.show_labels(results, a, b)

columns = st.columns([3, 2], gap="large") if results.has_images else [st.container()]
with columns[0]:
    st.header("How near is each to the other?", anchor=False)
    if a == b:
        st.info(
            "A and B are the same example, and an example is never its own neighbor.", icon=":material/info:"
        )
    else:
        table = pair_ranks.show(results, a, b)
        st.caption(
            f"Larger is nearer. {minus_distance(results, *results.neighbors)} An example is "
            "never its own neighbor." + neighbor_lists.fewer_runs_note(results)
        )
    offers = st.container()
if results.has_images:
    with columns[1]:
        st.header("How alike are the pixels?", anchor=False)
        st.table(
            pd.DataFrame(
                {
                    "pixels": [
                        "correlation of the values",
                        "mean absolute difference (of 255)",
                        "equal pixels",
                    ],
                    "as they are": [
                        f"{plain.correlation:.3f}",
                        f"{plain.difference:.1f}",
                        f"{plain.equal:.1%}",
                    ],
                    "B aligned": [f"{best.correlation:.3f}", f"{best.difference:.1f}", f"{best.equal:.1%}"],
                }
            ),
            hide_index=True,
        )
        st.caption(
            f"Aligned: the best of all shifts by up to {reach} pixels each way, with and without mirroring "
            f"({compare.describe(best)}). The correlation is of the pixels where the two overlap; it counts "
            "colors and light that change slowly over the image, which pixels aligned, below, do not."
        )
if results.has_images and a != b and not paired.why_no_twins(results, by):
    twin_parts.show(results, a, b, by)
for side, example in (("A", a), ("B", b)):
    judged = badges.said(example)
    judged = f" Label: {judged}." if judged else ""
    st.markdown(f"**{side}, {example_name(*example)}.** {verdict.sentence(results, example)}{judged}")

counterfactual.show_counterfactual(results, a, b)
if a != b:
    st.header("Why does the kernel have this value?", anchor=False)
    why.show_why(results, a, b)
    missing = pair_ranks.finish(table, results, a, b)
    with offers:
        neighbor_lists.offer(results, missing, (a[0], b[0]))
