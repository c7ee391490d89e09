"""Addresses of examples and pairs, and how a click on one is followed without reloading the document.

A link is a real link: it can be copied, and a middle click opens a tab. A plain click stays in the same
session: the component changes the address and fires the browser's own event for a changed history; Streamlit
then runs the page of the new address, as after Back. That is one run of the script and one entry in the
history. With `st.switch_page` a click would also run the page that is left, and make two entries where its
controls are in the address. What Streamlit itself does to the address after a click is one entry too, thanks
to `ONE_ENTRY_JS`.
"""

from __future__ import annotations

from urllib.parse import urlencode

from kernel_core.spec import Split

Example = tuple[Split, int]
"""Split and index: an example's identity."""

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
"""Makes one entry in the history out of all that follows one click or key.

For each parameter that a run changes, Streamlit sends the browser a message, and the browser makes an entry.
A step to the next window of ranks made two entries, the first a reversed window that nobody had asked for.
The menu made one of the page that was left, without its parameters, where Back then led.
"""


def query(**parameters: str | int | None) -> str:
    """Return the query part of an address; empty parameters are left out.

    >>> query(example="test:3", trail="", list="failures:kernel")
    'example=test:3&list=failures:kernel'
    """
    return urlencode({name: value for name, value in parameters.items() if value}, safe=":,")


def example_href(example: str, carried: str = "") -> str:
    """Return the address of an example's page. carried: more parameters, from `query`."""
    return "example?" + query(example=example) + (f"&{carried}" if carried else "")


def pair_href(a: str, b: str, carried: str = "") -> str:
    """Return the address of a pair's page. carried: more parameters, from `query`."""
    return "pair?" + query(a=a, b=b) + (f"&{carried}" if carried else "")
