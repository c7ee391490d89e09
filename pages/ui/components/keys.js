// The keys of every page (keys.py); one history entry per action; Back to where a page was scrolled.

// Streamlit makes the browser add a history entry for each single parameter that a run changes. So a step
// to the next window of ranks added two entries, the first a window that nobody had asked for; and the menu
// added one of the page being left, without its parameters, where Back then stopped. Here only the first
// entry after an action of the user is added; the others replace it. A choice in a row of buttons adds none:
// Streamlit itself puts such a choice into the address without one, and controls.py puts that of a
// similarity there. What is kept in an entry stays: after Back twice in a row, the run of the first page can
// end late, and its address replaces that of the second for a moment.
if (!globalThis.__kernelExplorerHistory) {
  const push = history.pushState.bind(history);
  history.pushState = (...entry) => {
    if (globalThis.__kernelExplorerHistory === "acted") push(...entry);
    else history.replaceState({ ...history.state, ...entry[0] }, ...entry.slice(1));
    globalThis.__kernelExplorerHistory = "entered";
  };
  const note = (event) => {
    const isChoice = (node) => node.matches && node.matches("[data-testid=stButtonGroup], .look");
    const choice = event.composedPath().some(isChoice);
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
  u: ["[data-hotkey=u]"],
  ...Object.fromEntries([1, 2, 3, 4, 5].map((digit) => [digit, [`[data-hotkey="${digit}"]`]])),
};
const ONCE = /^[1-5u]$/; // a key that is held down judges one item
const SAME_AS = { ArrowRight: "n", ArrowLeft: "p" };

// Where letters are text, or choose an entry that begins with them.
const TAKES_LETTERS = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select, " +
  "[contenteditable]:not([contenteditable=false]), [role=combobox], [role=listbox], [role=option], " +
  "[role=menuitem]";
// Inside these the arrows walk, or change a value.
const TAKES_ARROWS = "input, textarea, select, header, nav, .gallery, .map, .threshold, " +
  "[contenteditable]:not([contenteditable=false]), [data-testid=stButtonGroup], [data-testid=stDataFrame], " +
  "[role=slider], [role=combobox], [role=listbox], [role=option], [role=radio], [role=radiogroup], " +
  "[role=menu], [role=menuitem], [role=tab], [role=grid], [role=toolbar], [role=application]";

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

function isIn(event, selector) {
  return event.composedPath().some((node) => node.matches && node.matches(selector));
}

/** Whether an element is on the page, in the document or inside a component. */
function isHere(selector) {
  if (document.querySelector(selector)) return true;
  return [...document.querySelectorAll("*")].some((node) =>
    node.shadowRoot && node.shadowRoot.querySelector(selector)
  );
}

/** Show the keys: those of every page, and those of what is on this one. */
function showKeys(dialog) {
  for (const node of dialog.querySelectorAll("[data-where]")) node.hidden = !isHere(node.dataset.where);
  dialog.showModal();
}

function press(event, dialog) {
  const modified = event.ctrlKey || event.metaKey || event.altKey || event.isComposing;
  if (event.defaultPrevented || modified || isIn(event, TAKES_LETTERS)) return;
  if (event.key === "?") {
    if (dialog.open) dialog.close();
    else showKeys(dialog);
    event.preventDefault();
    return;
  }
  if (dialog.open || document.querySelector("[role=dialog]")) return;
  if (event.key === "b") {
    history.back();
    return;
  }
  const arrow = SAME_AS[event.key];
  if (arrow && isIn(event, TAKES_ARROWS)) return;
  const clicked = CLICKED[arrow || event.key];
  const target = clicked && findUsable(clicked);
  if (!target || (event.repeat && ONCE.test(event.key))) return;
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

/** A key and what it does; `where`: what must be on the page for the key to do it. */
function listed([key, does, where]) {
  const line = [element("dt", "", key), element("dd", "", does)];
  if (where) { for (const node of line) node.dataset.where = where; }
  return line;
}

/** Follow the source's name in the bar, within the session. */
function followName(event) {
  if (event.target.closest && event.target.closest("a.source-name")) follow(event);
}

export default function ({ data, parentElement }) {
  const dialog = parentElement.querySelector("dialog");
  dialog.querySelector("dl").replaceChildren(...data.keys.flatMap(listed));
  const onKey = (event) => press(event, dialog);
  parentElement.querySelector(".help").onclick = () => showKeys(dialog);
  announceChanges();
  document.addEventListener("click", followName);
  document.addEventListener("keydown", onKey);
  addEventListener("popstate", scrollBack);
  return () => {
    document.removeEventListener("keydown", onKey);
    document.removeEventListener("click", followName);
    removeEventListener("popstate", scrollBack);
  };
}
