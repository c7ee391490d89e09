"""What is loaded, and how good the kernel is."""

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from kernel_core.findings.pairs import default_ranks
from kernel_core.results.results import ACCURACY_TITLES, evaluation
from kernel_core.spec import ADJECTIVES
from pages.ui import load, shell

shell.guard()
results = load.results()
pairs = load.ranking(results.id, "kernel")
accuracy = evaluation(results)

st.header(f"{results.name}: which examples does the training process find similar?")
neighbor = results.spec.database_example
height, width = results.examples[results.query].images.shape[1:3]
with st.container(horizontal=True, gap="large"):
    for split, examples in results.examples.items():
        st.metric(f"{ADJECTIVES[split].capitalize()} examples", f"{len(examples):,}", width=160)
    st.metric("Classes", len(results.class_names), width=160)
    st.metric("Image size", f"{width} × {height}", width=160)
    st.metric("Runs in the ensemble", f"{len(results.predictions.single):,}", width=160)
if results.features_layer:
    st.caption(f"Penultimate features: run {results.features_run}, {results.features_layer}.")

left, right = st.columns(2, gap="large")
with left:
    st.subheader("Accuracy on the test set")
    rows = [(title, accuracy[name]) for name, title in ACCURACY_TITLES.items()]
    table = pd.DataFrame([row for row in rows if row[1] is not None], columns=["how", "accuracy"])
    table["shown"] = [f"{value:.2%}" for value in table["accuracy"]]
    table["kernel"] = table["how"].str.startswith("Kernel")
    base = alt.Chart(table, height=44 * len(table)).encode(
        y=alt.Y("how:N", sort=None, title=None, axis=alt.Axis(labelLimit=240, ticks=False, domain=False)),
        x=alt.X(
            "accuracy:Q",
            title=None,
            scale=alt.Scale(zero=False, padding=40),
            axis=alt.Axis(format=".1%", tickCount=5),
        ),
    )
    dots = base.mark_point(filled=True, size=140, opacity=1).encode(
        shape=alt.Shape(
            "kernel:N", legend=None, scale=alt.Scale(domain=[True, False], range=["diamond", "circle"])
        ),
        color=alt.Color(
            "kernel:N", legend=None, scale=alt.Scale(domain=[True, False], range=["#e8710a", "#7f8c9b"])
        ),
        tooltip=[alt.Tooltip("how", title="by"), alt.Tooltip("accuracy:Q", format=".2%")],
    )
    # the text's color is a mean grey that both themes show well
    st.altair_chart(
        dots + base.mark_text(dy=-15, color="#808890").encode(text="shown"),
        alt="Accuracies, also as a table below",
    )
    with st.expander("As a table"):
        st.dataframe(
            table[["how", "shown"]].rename(columns={"how": "Prediction by", "shown": "Accuracy"}),
            hide_index=True,
        )
    st.caption(
        f"k-NN: the majority label of the nearest {neighbor}s, ties to the smallest label; "
        "weighted: by value⁴, a negative value weighing nothing."
    )
with right:
    st.subheader(f"How near is the nearest {neighbor}?")
    first, last = default_ranks(len(pairs))
    counts, edges = np.histogram(pairs["similarity"], bins=50)
    bars = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "test examples": counts})
    window = pd.DataFrame(
        {"from": [pairs["similarity"].iloc[last - 1]], "to": [pairs["similarity"].iloc[first - 1]]}
    )
    shape = (
        alt.Chart(bars, height=264)
        .mark_bar(color="#7f8c9b")
        .encode(
            x=alt.X(
                "from:Q",
                bin="binned",
                title=f"kernel value of the nearest {neighbor}",
                axis=alt.Axis(labelOverlap=True, labelSeparation=12),
            ),
            x2="to",
            y=alt.Y("test examples:Q"),
            tooltip=[alt.Tooltip("from", format=".3f"), alt.Tooltip("to", format=".3f"), "test examples"],
        )
    )
    band = alt.Chart(window).mark_rect(opacity=0.35, color="#e8710a").encode(x="from:Q", x2="to:Q")
    st.altair_chart(shape + band, alt=f"Histogram of the similarity to the nearest {neighbor}")
    st.caption(
        f"The orange band is the window of ranks {first}–{last} that the near-duplicates page opens with: "
        f"kernel values {window['from'][0]:.3f} to {window['to'][0]:.3f}."
    )

st.subheader("What the kernel is")
st.markdown(
    "Train the same network many times. For two examples, see how their predictions move **together** from run to "
    "run: standardise each class's log-probability over the runs, correlate, and average over the classes."
)
st.latex(r"K(x, y) \;=\; \frac{1}{C}\sum_{c=1}^{C}\; \frac{1}{M}\sum_{r=1}^{M} Z_{r,c}(x)\,Z_{r,c}(y)")
st.latex(r"Z = \frac{\log p - \operatorname{mean}_r \log p}{\operatorname{std}_r \log p}")
st.markdown(
    "with $M$ runs and $C$ classes. It is at most $(M-1)/M$, its value between an example and itself; 0 means that "
    "the two examples' predictions vary independently. Source: the dataset card of `kjj0/cifar10-multirun-logits`."
)
