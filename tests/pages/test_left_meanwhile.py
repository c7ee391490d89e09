"""A control's change that is told after its page was left: the session holds its value no more."""

from streamlit.testing.v1 import AppTest


def late_changes():
    """Call what controls call when they are changed, as Streamlit does on a busy server."""
    import streamlit as st

    from pages.ui import controls, review
    from pages.ui.panels import parts, ranks, walk

    ranks._keep_window(None)
    parts._keep_order(lambda: None)
    walk._jump(None, "test:1", [])
    controls._keep_in_address("by", ["kernel", "pixels"])
    review._take_known_name()
    st.write(dict(st.query_params))


def test_change_that_comes_after_its_page_was_left_changes_nothing():
    app = AppTest.from_function(late_changes, default_timeout=60)
    app.query_params["threshold"] = "0.5"
    app.run()
    assert not app.exception
    assert app.query_params == {"threshold": "0.5"}
