"""The web server, as `streamlit run server.py` finds it. For each page it runs app.py."""

import logging
from pathlib import Path

import streamlit as st

from pages.ui import document, edge, shell

logging.getLogger("streamlit.error_util").disabled = True  # tracebacks go to the file that a failure names

app = st.App(
    Path(__file__).with_name("app.py"),
    routes=document.routes(name for group in shell.PAGES.values() for name in group),
    lifespan=edge.announced,
    middleware=edge.middleware(),
    on_script_error=edge.show_failure,
)
