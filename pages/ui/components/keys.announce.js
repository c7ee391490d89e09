// deno-lint-ignore-file no-unused-vars -- keys.js, which follows, uses what stands here
// What changed, told to those who do not see it: a new page takes the focus to its heading, and a list that
// changed under a control has its sentence read aloud.

const ENDED = "[data-testid=stApp][data-test-script-state=notRunning]";
const STALE = "[data-testid=stApp] [data-stale=true]";
const LAST_LOOK = 300; // milliseconds
const CONTROL = "button, input, textarea, select, summary, [role=slider], [role=combobox]";

/** A region that readers of the screen listen to. */
function liveRegion() {
  const region = element("div", "live");
  region.setAttribute("role", "status");
  region.setAttribute("aria-live", "polite");
  setProperties(region, { position: "fixed", width: "1px", height: "1px", overflow: "hidden" });
  setProperties(region, { "clip-path": "inset(50%)", "white-space": "nowrap" });
  document.body.append(region);
  return region;
}

/** What the page is, and what its list holds. */
function shownNow() {
  const text = (selector) => {
    const found = document.querySelector("[data-testid=stMain] " + selector);
    return found ? found.textContent.trim() : "";
  };
  return { address: location.pathname, heading: text("h1"), said: text(".st-key-said") };
}

/** On a narrow screen the menu lies over the page: close it once it has led to another. */
function closeMenu() {
  const close = document.querySelector("[data-testid=stSidebarCollapseButton] button[aria-expanded=true]");
  if (close) close.click();
}

/** Move the focus, or say in one sentence what changed. Nothing before the page is first used. */
function tell(watch) {
  const before = watch.shown;
  const now = shownNow();
  if (!now.heading) return;
  watch.shown = now;
  if (!before || !watch.used) return;
  if (now.address !== before.address) closeMenu();
  const focused = document.activeElement;
  const inUse = focused && focused.matches(CONTROL) && focused.closest("[data-testid=stMain]");
  if (now.address === before.address && now.heading === before.heading) {
    if (now.said !== before.said) watch.region.textContent = now.said;
  } else if (inUse && now.address === before.address) { // such as Next, which may be pressed again
    watch.region.textContent = now.heading;
  } else {
    watch.region.textContent = "";
    const heading = document.querySelector("[data-testid=stMain] h1");
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}

/** Tell what changed, whenever no run goes on and all is drawn. Once per document. */
function announceChanges() {
  if (globalThis.__kernelExplorerWatch) return;
  const watch = globalThis.__kernelExplorerWatch = { shown: null, used: false, region: liveRegion() };
  let asked = 0;
  let later = 0;
  const look = () => {
    if (!document.querySelector(ENDED)) return;
    if (document.querySelector(STALE)) return wait();
    tell(watch);
    clearTimeout(later); // a sentence may be drawn a moment after its run has ended
    later = setTimeout(() => document.querySelector(ENDED) && tell(watch), LAST_LOOK);
  };
  const wait = () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(look);
  };
  const use = () => { // the first use may come before the first look
    watch.used = true;
    if (!watch.shown) tell(watch);
  };
  for (const action of ["click", "keydown", "popstate"]) addEventListener(action, use, { capture: true });
  wait();
  // The texts too: a busy browser draws a run's beginning and its end at once, and its state never changes.
  const options = { attributeFilter: ["data-test-script-state"], characterData: true, childList: true };
  new MutationObserver(wait).observe(document.body, { subtree: true, ...options });
}
