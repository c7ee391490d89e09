"""What is surprising in the data, how good the kernel is, and what is built."""

import streamlit as st

from kernel_core.findings.pairs import default_rank_window
from kernel_core.spec import ADJECTIVES
from pages.ui import drawn, load, shell, unseen
from pages.ui.panels import built, strips
from pages.ui.panels.copies import show_copies
from pages.ui.wording import about_source

shell.guard()
results = load.results()
pairs = load.ranking(results.id, "kernel")
neighbor = results.spec.database_example

counts = " and ".join(f"{len(of):,} {ADJECTIVES[split]}" for split, of in results.examples.items())
about = f"{counts} examples of {len(results.class_names)} classes"
if results.has_images:
    height, width = results.examples[results.query].images.shape[1:3]
    about += f", {width} × {height} pixels"
about += f". Similar means: over {results.run_count:,} training runs, predictions move together."
shell.heading(results, results.name, about, "Overview")
if images := about_source(results):
    st.caption(images)
if results.about:
    st.info(results.about, icon=":material/model_training:")
strips.show_strips(results)
show_copies(results)

left, right = st.columns(2, gap="large")
with left:
    st.header("Accuracy on the test set")
    table, chart = drawn.accuracies(results.id)
    st.vega_lite_chart(
        chart, height=44 * len(table) + 20, alt="Accuracies; the table below has the same numbers"
    )
    with st.expander("As a table"):
        columns = {"title": "Prediction by", "text": "Accuracy", "interval": "95% interval"}
        st.dataframe(table[list(columns)].rename(columns=columns), hide_index=True)
    st.caption(
        f"3 nearest: the most frequent label of the nearest {neighbor}s; ties go to the smallest label. "
        "Weighted: by value⁴; a negative value has no weight. Lines: 95% intervals (Wilson), over the choice "
        "of test examples. An arrow at the left edge: off the scale."
    )
    if of_unseen := unseen.accuracy_sentence(results):
        st.markdown(of_unseen)
with right:
    st.header(f"How near is the nearest {neighbor}?")
    first, last = default_rank_window(len(pairs))
    high, low = (float(pairs["similarity"].iloc[rank - 1]) for rank in (first, last))
    chart = drawn.histogram(results.id, low, high, f"kernel value of the nearest {neighbor}")
    st.vega_lite_chart(chart, height=320, alt=f"Histogram of the similarity to the nearest {neighbor}")
    st.caption(f"Orange: the pairs of ranks {first}–{last}, with kernel values from {low:.3f} to {high:.3f}.")
    st.page_link("pages/near_duplicates.py", label="Open them →")
    st.header("What is built")
    built.show_built(results)

with st.expander("What the kernel is"):
    st.markdown(
        "Train the same network many times. For two examples, see how their predictions move **together** "
        "from run to run: standardize each class's log-probability over the runs, correlate, and average "
        "over the classes."
    )
    st.latex(r"K(x, y) \;=\; \frac{1}{C}\sum_{c=1}^{C}\; \frac{1}{M}\sum_{r=1}^{M} Z_{r,c}(x)\,Z_{r,c}(y)")
    st.latex(r"Z = \frac{\log p - \operatorname{mean}_r \log p}{\operatorname{std}_r \log p}")
    st.markdown(
        "with $M$ runs and $C$ classes. It is at most $(M-1)/M$, the kernel of an example and itself; 0 "
        "means that the predictions for the two examples vary independently. Source: the dataset card of "
        "`kjj0/cifar10-multirun-logits`."
    )
    if results.features_layer:
        st.markdown(f"Features: penultimate, of run {results.features_run}, {results.features_layer}.")
