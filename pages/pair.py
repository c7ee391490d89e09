"""Two examples: where do their images differ, and how near is each to the other by each similarity?"""

import pandas as pd
import streamlit as st

from kernel_core.spec import SIMILARITIES, example_name
from pages.ui import compare, load, shell
from pages.ui.panels import neighbor_lists, verdict, walk, why

shell.guard()
results = load.results()

a = walk.named(results, "a")
b = walk.named(results, "b", walk.partner(results, a))
a_name, b_name = example_name(*a), example_name(*b)

walk.show_pair_ways(results, a, b)
images = results.examples[a[0]].images[a[1]], results.examples[b[0]].images[b[1]]
reach = min(4, min(images[0].shape[:2]) // 4)
plain, best = load.alignments(results.id, a, b, reach)
compare.show_pair(results, a, b, best)

left, right = st.columns([3, 2], gap="large")
with left:
    st.subheader("How near is each to the other?", anchor=False)
    rows, missing = [], neighbor_lists.Missing()
    if a == b:
        st.info(
            "A and B are the same example, and an example is never its own neighbor.", icon=":material/info:"
        )
    for name in results.neighbors if a != b else ():
        there, back = (
            neighbor_lists.rank(results, a, b, name, missing),
            neighbor_lists.rank(results, b, a, name, missing),
        )
        value = there or back
        rows.append(
            {
                "similarity": SIMILARITIES[name],
                "value": f"{value[1]:.4f}" if value else "not built",
                f"B among A's nearest in {b[0]}": f"#{there[0]:,}" if there else "–",
                f"A among B's nearest in {a[0]}": f"#{back[0]:,}" if back else "–",
            }
        )
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True)
        st.caption(
            "Larger is nearer; Euclidean is minus the distance. An example is never its own neighbor."
            + neighbor_lists.of_fewer_runs(results)
        )
    neighbor_lists.offer(missing)
with right:
    st.subheader("How alike are the pixels?", anchor=False)
    st.dataframe(
        pd.DataFrame(
            {
                "": [
                    "correlation of the values",
                    "mean absolute difference (of 255)",
                    "pixels that are equal",
                ],
                "as they are": [f"{plain.correlation:.3f}", f"{plain.difference:.1f}", f"{plain.equal:.1%}"],
                "B aligned": [f"{best.correlation:.3f}", f"{best.difference:.1f}", f"{best.equal:.1%}"],
            }
        ),
        hide_index=True,
    )
    st.caption(
        f"Aligned: {compare.describe(best)}, of all shifts by up to {reach} pixels each way, with and without mirroring. "
        "The correlation is of the pixels where the two overlap."
    )
for side, example in (("A", a), ("B", b)):
    st.markdown(f"**{side}, {example_name(*example)}.** {verdict.sentence(results, *example)}")

if a != b:
    st.subheader("Why this value of the kernel?", anchor=False)
    why.show_why(results, a, b)
