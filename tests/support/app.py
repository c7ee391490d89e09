"""The app's pages run by Streamlit's test driver, and what is read from them."""

import json

from streamlit.testing.v1 import AppTest

from kernel_core.findings import disagreement
from tests.support.command import ROOT


def open_page(name, **query):
    """Run a page once through app.py, as its address opens it; return the driver.

    query: the address's parameters.
    """
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = str(value)
    if name != "overview":
        app.switch_page(f"pages/{name}.py")
    app.run()
    assert not app.exception, app.exception
    return app


def data_of(app, key):
    """Return what the page sent to the component with this key."""
    return json.loads(app.get_by_key(key).proto.json)


def cells(app, key):
    """Return the cells of the gallery with this key."""
    return data_of(app, key)["cells"]


def tiles(cell):
    """Return the tiles of a cell, over all its groups."""
    return [tile for group in cell["groups"] for tile in group["tiles"]]


def text_of(app):
    """Return the page's text: Markdown, captions and boxes."""
    elements = [*app.markdown, *app.caption, *app.error, *app.info, *app.success]
    return " ".join(element.value for element in elements)


def heading_of(app):
    """Return the page's heading as it reads."""
    (title,) = app.title
    return title.value.replace("\\", "")


def digits_table(results, *, first="kernel", second="penultimate", vote="majority of 3", k=5):
    """Return the table that the page "disagreement" shows for these choices."""
    neighbors = results.neighbors_by(first), results.neighbors_by(second)
    return disagreement.compare_votes(*neighbors, results.labels, rule=disagreement.RULES[vote], k=k)
