"""Addresses of examples and pairs, and how a click on one is followed without reloading the document.

A link is a real link: it can be copied, and a middle click opens a tab. A plain click stays in the same
session: the component changes the address and fires the browser's own event for a changed history; Streamlit
then runs the page of the new address, as after Back. That is one run of the script and one entry in the
history. With `st.switch_page` a click would also run the page that is left, and make two entries where its
controls are in the address. The scripts do this (`components/shared.js`); what Streamlit itself does to the
address after a click is one entry too (`components/keys.js`).
"""

from __future__ import annotations

from urllib.parse import urlencode

from kernel_core.spec import Split

Example = tuple[Split, int]
"""Split and index: an example's identity."""


def query(**parameters: str | int | None) -> str:
    """Return the query part of an address; empty parameters are left out.

    >>> query(example="test:3", trail="", list="failures:kernel")
    'example=test:3&list=failures:kernel'
    """
    return urlencode({name: value for name, value in parameters.items() if value}, safe=":,@")


def example_href(example: str, carried: str = "") -> str:
    """Return the address of an example's page. carried: more parameters, from `query`."""
    return "example?" + query(example=example) + (f"&{carried}" if carried else "")


def pair_href(a: str, b: str, carried: str = "") -> str:
    """Return the address of a pair's page. carried: more parameters, from `query`."""
    return "pair?" + query(a=a, b=b) + (f"&{carried}" if carried else "")
