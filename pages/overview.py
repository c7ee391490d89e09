"""What is loaded, and how good the kernel is."""

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from kernel_core import duplicates, pipeline
from pages.ui import load, shell

shell.guard()
results = load.results()
pairs = load.ranking(results.id, "kernel")
accuracy = pipeline.evaluation(results)

st.title(f"{results.name}: which training examples does training find similar?")
train, test = results.examples["train"], results.examples["test"]
height, width = test.images.shape[1:3]
for column, (name, value) in zip(
    st.columns(5),
    {
        "Training examples": f"{len(train):,}",
        "Test examples": f"{len(test):,}",
        "Classes": str(len(results.class_names)),
        "Image size": f"{width} × {height}",
        "Runs in the ensemble": f"{len(results.predictions.single):,}",
    }.items(),
    strict=True,
):
    column.metric(name, value)
if results.features_layer:
    st.caption(f"Penultimate features: run {results.features_run}, {results.features_layer}.")

left, right = st.columns(2, gap="large")
with left:
    st.subheader("Accuracy on the test set")
    rows = [
        ("One run, mean", accuracy["single"], "networks"),
        ("Ensemble, averaged logits", accuracy["ensemble"], "networks"),
        ("Kernel, 3 nearest", accuracy["kernel_knn3"], "kernel"),
        ("Kernel, 20 nearest weighted", accuracy["kernel_weighted20"], "kernel"),
        ("Penultimate features, 3 nearest", accuracy["penultimate_knn3"], "baseline"),
        ("Pixels, 3 nearest", accuracy["pixels_knn3"], "baseline"),
    ]
    table = pd.DataFrame([row for row in rows if row[1] is not None], columns=["how", "accuracy", "kind"])
    table["shown"] = [f"{value:.2%}" for value in table["accuracy"]]
    base = alt.Chart(table, height=40 * len(table)).encode(
        y=alt.Y("how:N", sort=None, title=None, axis=alt.Axis(labelLimit=230, ticks=False, domain=False)),
        x=alt.X(
            "accuracy:Q", title=None, scale=alt.Scale(zero=False, padding=34), axis=alt.Axis(format=".0%")
        ),
    )
    dots = base.mark_point(filled=True, size=130, opacity=1).encode(
        shape=alt.Shape("kind:N", legend=None, scale=alt.Scale(range=["circle", "diamond", "square"])),
        color=alt.Color("kind:N", legend=None),
        tooltip=["how", alt.Tooltip("accuracy:Q", format=".2%")],
    )
    st.altair_chart(
        dots + base.mark_text(dy=-14).encode(text="shown"), alt="Accuracies, also in the table below"
    )
    with st.expander("As a table"):
        st.dataframe(
            table[["how", "shown"]].rename(columns={"how": "Prediction by", "shown": "Accuracy"}),
            hide_index=True,
        )
    st.caption(
        "k-NN: the majority label of the nearest training examples, ties to the smallest label; "
        "weighted: by value⁴, a negative value weighing nothing."
    )
with right:
    st.subheader("How near is the nearest training example?")
    first, last = duplicates.default_ranks(len(pairs))
    counts, edges = np.histogram(pairs["similarity"], bins=50)
    bars = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "test examples": counts})
    window = pd.DataFrame(
        {"from": [pairs["similarity"].iloc[last - 1]], "to": [pairs["similarity"].iloc[first - 1]]}
    )
    x = alt.X("from:Q", title="kernel value of the nearest training example", scale=alt.Scale(zero=False))
    shape = alt.Chart(bars, height=240).mark_bar(binSpacing=1).encode(
        x=x, x2="to", y=alt.Y("test examples:Q"), tooltip=[alt.Tooltip("from", format=".3f"), alt.Tooltip("to", format=".3f"), "test examples"],
    )  # fmt: skip
    band = alt.Chart(window).mark_rect(opacity=0.3, color="#e8710a").encode(x="from:Q", x2="to:Q")
    st.altair_chart(shape + band, alt="Histogram of the similarity to the nearest training example")
    st.caption(
        f"The orange band is the window of ranks {first}–{last} that the near-duplicates page opens with: "
        f"kernel values {window['from'][0]:.3f} to {window['to'][0]:.3f}."
    )

st.subheader("What the kernel is")
st.markdown(
    "Train the same network many times. For two examples, see how their predictions move **together** from run to "
    "run: standardise each class's log-probability over the runs, correlate, and average over the classes."
)
st.latex(
    r"K(x, y) \;=\; \frac{1}{C}\sum_{c=1}^{C}\; \frac{1}{M}\sum_{r=1}^{M} Z_{r,c}(x)\,Z_{r,c}(y),"
    r"\qquad Z = \frac{\log p - \operatorname{mean}_r \log p}{\operatorname{std}_r \log p}"
)
st.markdown(
    "with $M$ runs and $C$ classes. It is at most $(M-1)/M$, its value between an example and itself; 0 means that "
    "the two examples' predictions vary independently. Source: the dataset card of `kjj0/cifar10-multirun-logits`."
)
