// The grid of tiles (gallery.py): one stop for Tab, the arrow keys walk, a click or Enter opens.

function link(href, className) {
  const made = element("a", className);
  made.href = href;
  made.tabIndex = -1;
  return made;
}

function tileOf(tile) {
  const opens = link(tile.href, "tile");
  opens.dataset.example = tile.example;
  const figure = element("figure", (tile.differs ? "differs" : "") + (tile.kept ? " kept" : ""));
  figure.title = tile.tip ? tile.alt + "\n" + tile.tip : tile.alt;
  const caption = element("figcaption");
  caption.append(element("b", "", (tile.differs ? "≠ " : "") + tile.label));
  if (tile.note) caption.append(element("small", "", tile.note));
  if (tile.judged) caption.append(element("span", "judged", tile.judged));
  if (tile.rank) figure.prepend(element("span", "rank", String(tile.rank)));
  figure.append(pictureOf(tile), caption);
  opens.append(figure);
  return opens;
}

/** A tile of a list with a link to the pair that it makes with the query. */
function entryOf(tile) {
  const entry = element("div", "entry");
  const compare = link(tile.pair, "compare");
  compare.append("compare");
  compare.setAttribute("aria-label", "compare with " + tile.alt);
  entry.append(tileOf(tile), compare);
  return entry;
}

function groupOf(group) {
  const box = element("div", group.large ? "large" : "");
  const tiles = element("div", "tiles");
  if (group.title) box.append(element("div", "title", group.title));
  tiles.append(...group.tiles.map((tile) => tile.pair ? entryOf(tile) : tileOf(tile)));
  box.append(tiles);
  return box;
}

function headOf(cell) {
  const head = cell.pair ? link(cell.pair, "head") : element("div", "head");
  const line = element("span", "line");
  line.append(cell.head);
  if (cell.badge) line.append(" ", element("i", "badge " + cell.tone, cell.badge));
  if (cell.pair) line.append(element("u", "", "compare"));
  head.append(line);
  if (cell.values) head.append(valuesOf(cell.values));
  if (cell.tip) head.title = cell.tip;
  return head;
}

/** Named numbers on one line; the second part of a name is shown where there is room (gallery.pairs.css). */
function valuesOf(values) {
  const line = element("span", "values");
  values.forEach(([name, more, number], k) => {
    line.append(k ? " · " : "", name, element("span", "more-words", more), " " + number);
  });
  return line;
}

/** The link after a group's tiles that leads to those that are not drawn. */
function moreOf(cell) {
  const more = link(cell.more_href, "more");
  more.append(cell.more);
  return more;
}

function fill(node, cell) {
  const groups = element("div", "groups");
  groups.append(...cell.groups.map(groupOf));
  if (cell.more) groups.append(moreOf(cell));
  node.replaceChildren(...(cell.head || cell.badge ? [headOf(cell)] : []), groups);
  if (!cell.judged) return;
  const judged = node.appendChild(element("span", "judged", cell.judged)); // below, so that images align
  judged.title = cell.tip;
}

/** The link that an arrow key leads to: the next of its kind, or the nearest one above or below. */
function linkBeside(links, from, key) {
  const sideways = { ArrowRight: 1, ArrowLeft: -1 }[key];
  const down = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (sideways) {
    const kind = links.filter((other) => other.classList[0] === from.classList[0]);
    return kind[kind.indexOf(from) + sideways];
  }
  if (!down) return;
  const box = (node) => node.getBoundingClientRect();
  const here = box(from);
  const distance = (node) => (box(node).top - here.top) * down;
  const offset = (node) => Math.abs(box(node).left - here.left);
  const beyond = links.filter((node) => distance(node) > 4);
  const nextRow = Math.min(...beyond.map(distance));
  return beyond
    .filter((node) => distance(node) < nextRow + 4)
    .sort((one, other) => offset(one) - offset(other))[0];
}

/** Draw the cells; nodes are used again, so that focus and scroll position stay. */
function draw(gallery, cells) {
  cells.forEach((cell, k) => {
    const node = gallery.children[k] || gallery.appendChild(element("div", "cell"));
    const content = JSON.stringify(cell);
    if (node._shown !== content) {
      node._shown = content;
      fill(node, cell);
    }
  });
  while (gallery.children.length > cells.length) gallery.lastChild.remove();
}

/** Make the grid one stop for Tab, at the tile that last had the focus. */
function listenForFocus(gallery, tiles) {
  const makeStop = (stop) => {
    for (const other of gallery.querySelectorAll("a")) other.tabIndex = other === stop ? 0 : -1;
  };
  if (tiles.length) makeStop(tiles[Math.min(gallery._current || 0, tiles.length - 1)]);
  gallery._focused = (event) => {
    const focused = event.target.closest("a");
    if (!focused) return;
    makeStop(focused);
    gallery._current = Math.max(0, tiles.indexOf(focused));
  };
  if (gallery._bound) return;
  gallery._bound = true;
  gallery.addEventListener("focusin", (event) => gallery._focused(event));
}

export default function ({ data, parentElement, setTriggerValue }) {
  const gallery = parentElement.querySelector(".gallery");
  gallery.className = "component gallery " + data.layout;
  applyTheme(gallery);
  gallery.setAttribute("aria-label", data.label);
  const bar = parentElement.querySelector(".look");
  showLook(bar, gallery, data.look, (look) => setTriggerValue("look", look));
  draw(gallery, data.cells);
  giveUpRoom(gallery);

  const tiles = [...gallery.querySelectorAll("a.tile")];
  listenForFocus(gallery, tiles);
  const choosing = data.choice && chooseFrom(gallery, data.choice, tiles);
  gallery.onclick = (event) => {
    if (!choosing || !choosing.click(event)) follow(event);
  };
  gallery.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || choosing && choosing.key(event)) return;
    const next = linkBeside([...gallery.querySelectorAll("a")], event.target.closest("a"), event.key);
    if (!next) return;
    next.focus();
    event.preventDefault();
  };
  // Resting on a tile marks the same example wherever else it stands in the grid.
  gallery.onmouseover = gallery.onmouseout = (event) => {
    const rested = event.target.closest("a.tile");
    const example = event.type.endsWith("out") ? "" : rested && rested.dataset.example;
    const same = tiles.filter((tile) => tile.dataset.example === example);
    for (const tile of tiles) tile.classList.toggle("same", same.length > 1 && same.includes(tile));
  };
  return choosing ? choosing.end : undefined;
}
