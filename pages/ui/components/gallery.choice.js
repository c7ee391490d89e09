// deno-lint-ignore-file no-unused-vars -- gallery.js, which follows, uses what stands here
// Choosing several tiles of a grid (gallery.py, `Choice`): check marks, a mode in which clicks and drags
// choose, and a bar that says how many are chosen and what to do with them. All of it is in the browser; the
// links of the bar name the chosen examples (pages/ui/names.py).

/** What is chosen: the list that it is of, and name → place in that list. Kept from one page to the next. */
const choice = globalThis.__kernelExplorerChoice = globalThis.__kernelExplorerChoice ||
  { list: "", places: new Map(), choosing: false };
const DRAG = 5; // pixels from which a press is a drag

/** The text that names examples, as names.py writes it. */
function namesText(names) {
  const runs = [];
  for (const name of names) {
    const [split, index] = [name.split(":")[0], Number(name.split(":")[1])];
    const last = runs[runs.length - 1];
    if (last && last.split === split && last.to === index - 1) last.to = index;
    else runs.push({ split, from: index, to: index });
  }
  return runs.map(({ split, from, to }, k) => {
    const same = k > 0 && runs[k - 1].split === split;
    return (same ? "," : (k ? ";" : "") + split + ":") + (from === to ? from : from + "-" + to);
  }).join("");
}

/** The address of a page with one parameter. */
function addressOf(page, parameter, text) {
  const value = encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%2C", ",");
  return page + "?" + parameter + "=" + value;
}

/** The chosen names in the order of the list. */
function chosenNames() {
  return [...choice.places].sort((one, other) => one[1] - other[1]).map(([name]) => name);
}

/** Keep what is chosen in this entry of the history too, so that Back and a reload find it again. */
function remember() {
  const kept = choice.places.size ? { list: choice.list, places: [...choice.places] } : undefined;
  history.replaceState({ ...history.state, chosen: kept }, "");
}

/** Take up what was chosen in this list before; another list begins with nothing chosen. */
function recall(list) {
  const kept = history.state && history.state.chosen;
  if (choice.list === list) return;
  choice.list = list;
  choice.places = new Map(kept && kept.list === list ? kept.places : []);
}

function button(className, text, act) {
  const made = element("button", className, text);
  made.type = "button";
  made.onclick = act;
  return made;
}

/** The links and buttons of the bar above the grid, by name; made once. */
function barOf(gallery) {
  if (gallery._parts) return gallery._parts;
  const parts = gallery._parts = {
    mode: button("mode", "Select"),
    said: element("span", "said"),
    hint: element("span", "hint"),
    open: element("a", "", "Open as list"),
    pair: element("a", "", "Compare"),
    copy: button("", "Copy names"),
    map: element("a", "", "Show on map"),
    clear: button("", "Clear"),
  };
  const bar = element("div", "component bar");
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "choose several examples");
  bar.append(...Object.values(parts));
  parts.said.setAttribute("role", "status");
  parts.copy.onclick = async () => {
    const done = await copied(chosenNames().join("\n"));
    parts.said.textContent = done ? "Names copied" : "The browser refused to copy.";
  };
  bar.onclick = (event) => {
    if (event.target.closest("a[href]")) choice.choosing = false; // in what opens, a click opens
    follow(event);
  };
  gallery.before(bar);
  return parts;
}

/** Make a link of the bar usable, or say why it is not. */
function enable(link, href, why) {
  if (href) link.href = href;
  else link.removeAttribute("href");
  link.setAttribute("aria-disabled", String(!href));
  link.title = href ? "" : why;
}

function showBar(parts, most) {
  const names = chosenNames();
  const few = names.length > 0 && names.length <= most;
  const why = "At most " + withCommas(most) + " examples fit into an address.";
  const text = few ? namesText(names) : "";
  parts.mode.setAttribute("aria-pressed", String(choice.choosing));
  parts.said.textContent = names.length ? withCommas(names.length) + " selected" : "";
  parts.hint.textContent = choice.choosing && !names.length
    ? "Click, Shift-click, or drag a rectangle; Escape ends."
    : "";
  for (const name of ["open", "pair", "copy", "map", "clear"]) parts[name].hidden = !names.length;
  enable(parts.open, few && addressOf("examples", "names", text), why);
  enable(parts.map, few && addressOf("map", "list", "examples:" + text), why);
  enable(parts.pair, names.length === 2 && "pair?a=" + names[0] + "&b=" + names[1], "Select two to compare.");
}

/** The tiles whose pictures a rectangle of the window touches. */
function tilesIn(tiles, { left, right, top, bottom }) {
  return tiles.filter((tile) => {
    const box = tile.getBoundingClientRect();
    return box.left < right && box.right > left && box.top < bottom && box.bottom > top;
  });
}

/** Have a drag over the grid choose what its rectangle touches. add(tiles, before): choose these. */
function listenForDrags(gallery, tiles, add) {
  const main = document.querySelector("[data-testid=stMain]");
  gallery.ondragstart = (event) => {
    if (choice.choosing) event.preventDefault();
  };
  gallery.onpointerdown = (event) => {
    if (!choice.choosing || event.button || event.pointerType === "touch") return;
    const start = { x: event.clientX, y: event.clientY + main.scrollTop };
    const before = new Map(choice.places);
    let band = null;
    let at = event;
    const draw = () => {
      const y = start.y - main.scrollTop; // the start moves with the page
      if (!band && Math.hypot(at.clientX - start.x, at.clientY - y) < DRAG) return;
      band = band || gallery.appendChild(element("div", "band"));
      const [left, right] = [Math.min(start.x, at.clientX), Math.max(start.x, at.clientX)];
      const [top, bottom] = [Math.min(y, at.clientY), Math.max(y, at.clientY)];
      setProperties(band, {
        left: left + "px",
        top: top + "px",
        width: right - left + "px",
        height: bottom - top + "px",
      });
      add(tilesIn(tiles, { left, right, top, bottom }), before);
    };
    const ended = new AbortController();
    const listen = (target, name, act) => target.addEventListener(name, act, { signal: ended.signal });
    listen(globalThis, "pointermove", (moved) => {
      at = moved;
      draw();
    });
    listen(main, "scroll", draw);
    for (const name of ["pointerup", "pointercancel"]) {
      listen(globalThis, name, () => {
        ended.abort();
        gallery._dragged = Boolean(band); // the click that follows ends the drag and chooses nothing
        if (band) band.remove();
        remember();
      });
    }
  };
}

/** The check mark of a tile, made once. act: what a click on it does. */
function checkOf(tile, act) {
  const check = tile.parentElement.querySelector(".check") ||
    tile.parentElement.appendChild(button("check", "✓"));
  check.setAttribute("role", "checkbox");
  check.setAttribute("aria-label", "select " + tile.dataset.example);
  check.tabIndex = -1;
  check.onclick = act;
  return check;
}

/** Have Escape clear what is chosen, then end the mode. Returns what ends this. */
function listenForEscape(clear, leave) {
  const fields = "input, textarea, [role=combobox], [role=dialog], dialog";
  const act = (event) => {
    const node = event.composedPath()[0];
    if (event.key !== "Escape" || event.defaultPrevented || node.closest && node.closest(fields)) return;
    if (choice.places.size) clear();
    else if (choice.choosing) leave();
  };
  document.addEventListener("keydown", act);
  return () => document.removeEventListener("keydown", act);
}

/** Give the grid check marks and its bar. settings: list, first (place of the first tile) and most. */
function chooseFrom(gallery, settings, tiles) {
  recall(settings.list);
  const nameOf = (tile) => tile.dataset.example;
  const parts = barOf(gallery);
  applyTheme(parts.mode.parentElement);
  const show = () => {
    gallery.classList.toggle("choosing", choice.choosing);
    for (const tile of tiles) {
      const isChosen = choice.places.has(nameOf(tile));
      tile.classList.toggle("chosen", isChosen);
      tile._check.setAttribute("aria-checked", String(isChosen));
    }
    showBar(parts, settings.most);
  };
  const add = (some, before) => {
    choice.places = new Map(before);
    for (const tile of some) choice.places.set(nameOf(tile), settings.first + tiles.indexOf(tile));
    show();
  };
  const clear = () => {
    add([], []);
    gallery._anchor = "";
    remember();
  };
  /** Choose a tile, or no longer; with Shift, all from the last one to this. */
  const pick = (tile, event) => {
    const from = tiles.findIndex((other) => nameOf(other) === gallery._anchor);
    const to = tiles.indexOf(tile);
    const range = event.shiftKey && from >= 0;
    if (range) add(tiles.slice(Math.min(from, to), Math.max(from, to) + 1), choice.places);
    else if (choice.places.delete(nameOf(tile))) show();
    else add([tile], choice.places);
    gallery._anchor = nameOf(tile);
    remember();
  };
  for (const tile of tiles) tile._check = checkOf(tile, (event) => pick(tile, event));
  parts.mode.onclick = () => {
    choice.choosing = !choice.choosing;
    show();
  };
  parts.clear.onclick = () => {
    clear();
    parts.mode.focus();
  };
  listenForDrags(gallery, tiles, add);
  if (gallery._end) gallery._end();
  gallery._end = listenForEscape(clear, parts.mode.onclick);
  show();
  return {
    end: gallery._end,
    /** Whether a click chose something, so that it opens nothing. */
    click: (event) => {
      const tile = event.target.closest("a.tile");
      const dragged = gallery._dragged;
      gallery._dragged = false;
      // Enter and the key `o` click with no button (detail 0): they open.
      if (!choice.choosing || event.target.closest(".check") || !event.detail) return false;
      event.preventDefault();
      if (tile && !dragged) pick(tile, event);
      return true;
    },
    /** Whether a key chose something. */
    key: (event) => {
      const tile = event.target.closest("a.tile");
      if (event.key !== " " || !tile) return false;
      event.preventDefault();
      pick(tile, event);
      return true;
    },
  };
}
