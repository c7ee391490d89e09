"""Addresses of examples and pairs, and how a click on one is followed without reloading the document.

A link is a real one: a middle click opens a tab, and it can be copied. A plain click is followed in the same session:
the component changes the address and tells Streamlit so by the browser's own event for a changed history, upon which
it runs the addressed page, as after Back. That is one run of the script and one entry in the history; `st.switch_page`
from a click takes a run of the page that is left as well, and two entries where its controls are in the address.
What Streamlit itself does to the address after a click is one entry as well, thanks to `ONE_ENTRY_JS`.
"""

from __future__ import annotations

from urllib.parse import urlencode

FOLLOW_JS = """
const go = href => { const to = new URL(href, location.href); if (to.href === location.href) return;
  const main = document.querySelector('[data-testid=stMain]');    // keys.py comes back to where it was scrolled
  history.replaceState({ ...history.state, scrolled: main ? main.scrollTop : 0 }, '');
  history.pushState({}, '', to); dispatchEvent(new PopStateEvent('popstate', { state: {} })); };
const follow = event => { const a = event.target.closest && event.target.closest('a[href]');
  if (!a || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault(); go(a.href); };
"""
"""`go(href)` follows an address; `follow` is the click handler for what has links inside."""

ONE_ENTRY_JS = """
if (!globalThis.__kernelExplorerHistory) {
  const push = history.pushState.bind(history), acted = () => { globalThis.__kernelExplorerHistory = 'acted'; };
  history.pushState = (...entry) => {
    if (globalThis.__kernelExplorerHistory === 'acted') push(...entry); else history.replaceState(...entry);
    globalThis.__kernelExplorerHistory = 'entered'; };
  for (const name of ['pointerdown', 'pointerup', 'click', 'keydown']) addEventListener(name, acted, true);
  globalThis.__kernelExplorerHistory = 'entered';
}
"""
"""One entry in the history for all that follows one action of the person's.

Streamlit sends the browser a message, and the browser makes an entry, for each single parameter that a run changes. So a
step to the next window of ranks made two entries, the first a window that nobody had asked for, upside down; and the menu
made one of the page that was left, without its parameters, to which Back then came.
"""


def query(**parameters: str | int | None) -> str:
    """Parameters of an address, those that are empty left out.

    >>> query(example="test:3", trail="", list="failures:kernel")
    'example=test:3&list=failures:kernel'
    """
    return urlencode({name: value for name, value in parameters.items() if value}, safe=":,")


def example_href(example: str, carried: str = "") -> str:
    """The address of an example's page; carried: further parameters, from `query`."""
    return "example?" + query(example=example) + (f"&{carried}" if carried else "")


def pair_href(a: str, b: str, carried: str = "") -> str:
    """The address of the page of a pair."""
    return "pair?" + query(a=a, b=b) + (f"&{carried}" if carried else "")
