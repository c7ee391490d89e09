// The keys of every page (keys.py); one history entry per action; Back to where a page was scrolled.

// Streamlit makes the browser add a history entry for each single parameter that a run changes. So a step
// to the next window of ranks added two entries, the first a window that nobody had asked for; and the menu
// added one of the page being left, without its parameters, where Back then stopped. Here only the first
// entry after an action of the user is added; the others replace it. A choice in a row of buttons adds none:
// Streamlit itself puts such a choice into the address without one, and controls.py puts that of a
// similarity there.
if (!globalThis.__kernelExplorerHistory) {
  const push = history.pushState.bind(history);
  history.pushState = (...entry) => {
    if (globalThis.__kernelExplorerHistory === "acted") push(...entry);
    else history.replaceState(...entry);
    globalThis.__kernelExplorerHistory = "entered";
  };
  const note = (event) => {
    const choice = event.target.closest && event.target.closest("[data-testid=stButtonGroup]");
    globalThis.__kernelExplorerHistory = choice ? "entered" : "acted";
  };
  for (const action of ["pointerdown", "pointerup", "click", "keydown"]) addEventListener(action, note, true);
  globalThis.__kernelExplorerHistory = "entered";
}

// What a key clicks: the first element that is there and can be used.
const CLICKED = {
  n: [".st-key-next button", "[data-hotkey=n]"],
  p: [".st-key-previous button", "[data-hotkey=p]"],
  f: ["[data-hotkey=f]"],
  o: ['.gallery a.tile[tabindex="0"]'],
};
const SAME_AS = { ArrowRight: "n", ArrowLeft: "p" };

const TEXT_FIELDS = "input, textarea, select, [contenteditable]:not([contenteditable=false])";
const KEY_DRIVEN_ROLES = "[role=slider], [role=combobox], [role=listbox], [role=option], [role=radio], " +
  "[role=menuitem], [role=tab]";

const SCROLL_PATIENCE = 20000; // milliseconds until a page that is left half drawn is given up
const SCROLL_SETTLED = 500; // milliseconds in which a page may still move what was scrolled to

/** The first usable element of these selectors, in the document or inside a component. */
function findUsable(selectors) {
  const shadows = [...document.querySelectorAll("*")].map((node) => node.shadowRoot).filter(Boolean);
  const usable = (node) => !node.disabled && node.getClientRects().length > 0;
  for (const selector of selectors) {
    for (const root of [document, ...shadows]) {
      const found = [...root.querySelectorAll(selector)].find(usable);
      if (found) return found;
    }
  }
}

function isTyping(node) {
  return node.matches && (node.matches(TEXT_FIELDS) || node.matches(KEY_DRIVEN_ROLES));
}

function press(event, dialog) {
  const focused = event.composedPath()[0];
  const modified = event.ctrlKey || event.metaKey || event.altKey || event.isComposing;
  if (event.defaultPrevented || modified || isTyping(focused)) return;
  if (event.key === "?") {
    if (dialog.open) dialog.close();
    else dialog.showModal();
    event.preventDefault();
    return;
  }
  if (dialog.open || document.querySelector("[role=dialog]")) return;
  if (event.key === "b") {
    history.back();
    return;
  }
  // In a grid, a menu or on a button the arrows mean other things.
  const arrow = SAME_AS[event.key];
  if (arrow && focused !== document.body && !focused.matches("[data-testid=stMain]")) return;
  const clicked = CLICKED[arrow || event.key];
  const target = clicked && findUsable(clicked);
  if (!target) return;
  event.preventDefault();
  target.click();
}

/** After Back, scroll to where the page was left, once it is long enough again. */
function scrollBack(event) {
  const main = document.querySelector("[data-testid=stMain]");
  const wanted = event.state && event.state.scrolled;
  const start = Date.now();
  const page = location.href;
  const interrupted = new AbortController();
  const step = () => {
    if (location.href !== page || interrupted.signal.aborted || Date.now() > start + SCROLL_PATIENCE) return;
    if (main.scrollHeight - main.clientHeight >= wanted) main.scrollTop = wanted;
    if (Math.abs(main.scrollTop - wanted) > 1 || Date.now() < start + SCROLL_SETTLED) {
      requestAnimationFrame(step);
    }
  };
  // Whoever scrolls meanwhile is not pulled back.
  for (const action of ["wheel", "pointerdown", "keydown"]) {
    addEventListener(action, () => interrupted.abort(), {
      capture: true,
      passive: true,
      signal: interrupted.signal,
    });
  }
  if (wanted > 0) step();
}

export default function ({ data, parentElement }) {
  const dialog = parentElement.querySelector("dialog");
  dialog.querySelector("dl").replaceChildren(
    ...data.keys.flatMap(([key, does]) => [element("dt", "", key), element("dd", "", does)]),
  );
  const onKey = (event) => press(event, dialog);
  parentElement.querySelector(".help").onclick = () => dialog.showModal();
  document.addEventListener("keydown", onKey);
  addEventListener("popstate", scrollBack);
  return () => {
    document.removeEventListener("keydown", onKey);
    removeEventListener("popstate", scrollBack);
  };
}
