"""The web server, as `streamlit run server.py` finds it. For each page it runs app.py."""

from pathlib import Path

import streamlit as st

from pages.ui import edge

app = st.App(Path(__file__).with_name("app.py"), middleware=edge.middleware())
