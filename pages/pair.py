"""Two examples beside each other."""

import streamlit as st

from pages.ui import load, shell

shell.guard()
results = load.results()

st.header("Pair {} {}".format(st.query_params.get("a", ""), st.query_params.get("b", "")))
