// deno-lint-ignore-file no-unused-vars -- map.js, which follows, uses what stands here
// Which part of the map is shown (map.js), and the card of the point that is hovered over.

const MOST_ZOOM = 60; // times the whole map
const LEAST_ZOOM = 0.5;
const MARGIN = 36; // pixels around the whole map
const DWELL = 125; // milliseconds until Python is asked about the hovered point

/** Take in which spot shows the whole map, and its scale, for the size of the page. */
function measureWhole(map) {
  const most = (values) => values.reduce((largest, value) => Math.max(largest, value), 0);
  const width = most(map.x);
  const height = most(map.y);
  map.wholeScale = Math.min(
    (map.width - MARGIN) / Math.max(width, 0.05),
    (map.height - MARGIN) / Math.max(height, 0.05),
  );
  map.whole = [width / 2, height / 2, 1];
}

/** Show a view, and keep it in the address. */
function setView(map, view) {
  showView(map, view);
  writeSpotSoon(map);
}

function showView(map, view) {
  map.view = view;
  redraw(map);
}

function showWhole(map) {
  setView(map, viewAt(map, map.whole));
}

function moveBy(map, dx, dy) {
  stir(map);
  setView(map, { ...map.view, x: map.view.x + dx, y: map.view.y + dy });
}

/** Zoom by a factor; what lies at (x, y) stays there. */
function zoom(map, factor, x = map.width / 2, y = map.height / 2) {
  const least = map.wholeScale * LEAST_ZOOM;
  const scale = Math.min(map.wholeScale * MOST_ZOOM, Math.max(least, map.view.scale * factor));
  const times = scale / map.view.scale;
  stir(map);
  setView(map, { scale, x: x - (x - map.view.x) * times, y: y - (y - map.view.y) * times });
}

/** Take the size of the page; the middle and the zoom stay. */
function measure(map) {
  const width = map.box.clientWidth;
  const height = map.box.clientHeight;
  // More pixels than these take longer than 50 ms to paint.
  const ratio = Math.min(2, devicePixelRatio || 1, Math.max(1, Math.sqrt(2e6 / (width * height))));
  if (!width || (width === map.width && height === map.height && ratio === map.ratio)) return;
  const spot = map.view && map.width ? spotOf(map) : spotOfAddress(map);
  Object.assign(map, { width, height, ratio });
  for (const canvas of [map.points, map.overlay]) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  map.image = map.points.getContext("2d").createImageData(map.points.width, map.points.height);
  map.pixels = new Uint32Array(map.image.data.buffer);
  measureWhole(map);
  showView(map, viewAt(map, spot || map.whole));
}

/** Mark a point at once; its card comes after a moment, when Python has answered. */
function hover(map, i) {
  if (i === map.hovered) return;
  map.hovered = i;
  clearTimeout(map.dwell);
  map.card.hidden = true;
  drawOverlay(map);
  map.box.classList.toggle("hovered", i >= 0);
  if (i < 0) return;
  if (map.answers.has(i)) showCard(map, map.answers.get(i));
  else map.dwell = setTimeout(() => map.ask(i), DWELL);
}

/** The card: the example, and its nearest. */
function showCard(map, answer) {
  const nearest = element("div", "nearest");
  for (const tile of answer.tiles) {
    const figure = element("figure", tile.differs ? "differs" : "");
    const caption = element("figcaption", "", (tile.differs ? "≠ " : "") + tile.label);
    caption.hidden = !tile.src; // the label stands in the image's place
    figure.append(pictureOf(tile, "small"), caption);
    nearest.append(figure);
  }
  const words = element("div");
  words.append(
    element("b", "", answer.name),
    element("div", "", answer.label),
    ...answer.words.map((line) => element("div", "soft", line)),
  );
  const head = element("div", "head");
  head.append(pictureOf({ ...answer, example: answer.name }, "large"), words);
  const title = `nearest by ${map.by}` + (map.tests < map.count ? ", of both splits" : "");
  map.card.replaceChildren(head, element("div", "soft", title), nearest);
  map.card.hidden = false;
  placeCard(map);
}

/** Put the card beside its point, within the map, and off the lines to the neighbors. */
function placeCard(map) {
  if (map.card.hidden || map.hovered < 0) return;
  const x = screenX(map, map.hovered);
  const y = screenY(map, map.hovered);
  const width = map.card.offsetWidth;
  const height = map.card.offsetHeight;
  const { near } = map.answers.get(map.hovered) || { near: [] };
  const toTheRight = near.filter((neighbor) => screenX(map, neighbor) > x).length;
  const keepLeft = toTheRight > near.length / 2 && x > width + 24;
  const left = !keepLeft && x + 20 + width < map.width ? x + 20 : x - 20 - width;
  const narrow = y > map.height / 2 ? y - height - 20 : y + 20;
  const top = map.width < 500 ? narrow : y - height / 2;
  map.card.style.left = Math.max(4, Math.min(map.width - width - 4, left)) + "px";
  map.card.style.top = Math.max(4, Math.min(map.height - height - 4, top)) + "px";
}

function openExample(map, i) {
  if (i < 0) return;
  writeSpot(map);
  go("example?example=" + nameOf(map, i));
}
