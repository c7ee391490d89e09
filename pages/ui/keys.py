"""The keys, the same on every page: one component listens, the pages only name what a key does.

A key clicks the first element that is there of those it stands for: a Streamlit button by its `key`, or, inside a
component, whatever has the attribute `data-hotkey`. So a page has next and previous by having buttons of these keys.
"""

from __future__ import annotations

import streamlit as st

from pages.ui.links import ONE_ENTRY_JS

# Keys → what they do, as `?` lists it.
KEYS = {
    "n or →": "next: example, pair, or window of ranks",
    "p or ←": "previous",
    "arrows in a grid": "walk from tile to tile; ↑ from a pair's tile leads to its comparison",
    "Enter or o": "open the tile walked to, or the first one",
    "f": "flip between the two images of a pair",
    "b": "back to where you were",
    "?": "show and hide these keys",
}

HTML = """<dialog aria-label="Keys"><form method="dialog"><strong>Keys</strong><button aria-label="close">✕</button></form>
<dl></dl></dialog><button class="help" type="button" title="Keys (?)" aria-label="keys">?</button>"""

CSS = """
dialog { font: 14px/1.5 var(--st-font); color: var(--st-text-color); background: var(--st-background-color);
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 8px; padding: 16px 20px;
  max-width: min(440px, 90vw); } dialog::backdrop { background: #0006; }
form { display: flex; justify-content: space-between; font-size: 16px; } button { all: unset; cursor: pointer; padding: 0 6px; }
button:focus-visible { outline: 2px solid var(--st-primary-color); }
.help { position: fixed; right: 14px; bottom: 12px; z-index: 9; width: 26px; height: 26px; padding: 0; text-align: center;
  border-radius: 50%; font: 14px/26px var(--st-font); color: var(--st-text-color); background: var(--st-secondary-background-color); }
@media (hover: none), (max-width: 640px) { .help { display: none; } }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 16px; margin: 12px 0 0; } dd { margin: 0; }
dt { font-weight: 600; }
"""

JS = (
    ONE_ENTRY_JS
    + """
const roots = () => [document, ...[...document.querySelectorAll('*')].map(e => e.shadowRoot).filter(Boolean)];
const usable = e => e && !e.disabled && e.getClientRects().length > 0;
const find = selectors => { for (const s of selectors) for (const r of roots()) {
  const e = [...r.querySelectorAll(s)].find(usable); if (e) return e; } };
const ON = { n: ['.st-key-next button', '[data-hotkey=n]'], p: ['.st-key-previous button', '[data-hotkey=p]'],
  f: ['[data-hotkey=f]'], o: ['.g a.x[tabindex="0"]'] };
const SAME = { ArrowRight: 'n', ArrowLeft: 'p' };
const typing = e => e.matches && (e.matches('input, textarea, select, [contenteditable]:not([contenteditable=false])')
  || e.matches('[role=slider], [role=combobox], [role=listbox], [role=option], [role=radio], [role=menuitem], [role=tab]'));

export default function ({ data, parentElement }) {
  const dialog = parentElement.querySelector('dialog'), list = dialog.querySelector('dl');
  list.replaceChildren(...data.keys.flatMap(([key, does]) => [['dt', key], ['dd', does]].map(([tag, text]) =>
    Object.assign(document.createElement(tag), { textContent: text }))));
  const press = e => {
    const path = e.composedPath(), at = path[0];
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || e.isComposing || typing(at)) return;
    if (e.key === '?') { dialog.open ? dialog.close() : dialog.showModal(); e.preventDefault(); return; }
    if (dialog.open || document.querySelector('[role=dialog]')) return;
    if (e.key === 'b') { history.back(); return; }
    const arrow = SAME[e.key];                        // in a grid, a menu or on a button the arrows mean other things
    if (arrow && at !== document.body && !at.matches('[data-testid=stMain]')) return;
    const target = ON[arrow || e.key] && find(ON[arrow || e.key]);
    if (target) { e.preventDefault(); target.click(); } };
  const back = e => {                                 // scroll to where it was left, once the page is long enough
    const main = document.querySelector('[data-testid=stMain]'), to = e.state && e.state.scrolled, start = Date.now();
    const path = location.href, over = new AbortController();
    const step = () => { if (location.href !== path || over.signal.aborted || Date.now() > start + 20000) return;
      if (main.scrollHeight - main.clientHeight >= to) main.scrollTop = to;
      if (Math.abs(main.scrollTop - to) > 1 || Date.now() < start + 500) requestAnimationFrame(step); };
    for (const name of ['wheel', 'pointerdown', 'keydown']) // whoever scrolls meanwhile is not pulled back
      addEventListener(name, () => over.abort(), { capture: true, passive: true, signal: over.signal });
    if (to > 0) step(); };
  parentElement.querySelector('.help').onclick = () => dialog.showModal();
  document.addEventListener('keydown', press); addEventListener('popstate', back);
  return () => { document.removeEventListener('keydown', press); removeEventListener('popstate', back); };
}
"""
)

_component = st.components.v2.component("kernel_explorer_keys", html=HTML, css=CSS, js=JS)


def listen() -> None:
    """Listen to the keys on this page; called once, by the shell."""
    _component(key="keys", data={"keys": list(KEYS.items())})
