"""One example: what is near it by each measure."""

import streamlit as st

from kernel_core import comparison
from kernel_core.errors import RequestError
from kernel_core.records import SIMILARITIES
from pages.ui import load, shell
from pages.ui.gallery import Cell, gallery, nearest_tiles

shell.guard()
results = load.results()

named = st.query_params.get("example", "test:0")
st.header(f"Example {named}")
try:
    index = comparison.query_index(named, results.neighbors_by("kernel"))
except RequestError as error:
    st.warning(str(error), icon=":material/warning:")
    st.stop()
lists: list[Cell] = [
    {
        "id": number,
        "head": SIMILARITIES[name],
        "groups": [{"title": "", "tiles": nearest_tiles(results, neighbors, index, 10)}],
    }
    for number, (name, neighbors) in enumerate(results.neighbors.items())
]
gallery(results, lists, layout="lists", key="lists", label="nearest examples", px=64)
