"""How many images are there more than once, and links to some that both splits have."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from kernel_core.findings.exact_copies import count_copies, shared_pairs
from kernel_core.results.results import Results
from kernel_core.spec import example_name
from pages.ui import load

LINKS = 4  # pairs; those whose labels differ come first


def show_copies(results: Results) -> None:
    """Say what `findings.exact_copies` found; nothing where there are no images."""
    if not results.has_images:
        return
    copies = load.copies(results.id)
    st.markdown(f"**Copies:** {count_copies(copies, results.examples).sentence}")
    pairs = shared_pairs(copies).sort_values("test_index", kind="stable")
    differs = pairs["test_label"] != pairs["train_label"]
    shown = pd.concat([pairs[differs], pairs[~differs]]).drop_duplicates("test_index").head(LINKS)
    if not len(shown):
        return
    with st.container(horizontal=True, gap="small"):
        for pair in shown.itertuples():
            a, b = example_name("test", pair.test_index), example_name("train", pair.train_index)
            mark = "" if pair.test_label == pair.train_label else ", another label"
            st.page_link("pages/pair.py", label=f"{a} = {b}{mark} →", query_params={"a": a, "b": b})
