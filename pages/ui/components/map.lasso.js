// deno-lint-ignore-file no-unused-vars -- map.js, which follows, uses what stands here
// Examples that are marked on the map (map.js): those of the address, or inside a lasso that is drawn here.

const STEPS = 65535; // along the longer axis, as `steps` in map_layout.py has them
const APART = 4; // pixels between the corners of a lasso that is being drawn
const CORNERS = 80; // of a lasso, at most
const FARTHEST = 9999999; // steps from 0
const RINGS = 60; // more marked examples are told by their color alone
const FIT_ZOOM = 12; // at most, when the map goes to the marked examples

/** Mark the points that Python named; go to them unless the address says where to look. */
function takeMarks(map, { text, bits, title }) {
  if (text === map.marksText) return;
  const bytes = bytesOf(bits);
  const marked = bits ? Uint8Array.from({ length: map.count }, (_, i) => bytes[i >> 3] >> (i & 7) & 1) : null;
  mark(map, text, marked, title);
  if (map.markedCount && !spotOfAddress(map)) showMarked(map);
}

/** Mark points. text: the parameter of the address that names them. marked: 0 or 1 by point, or null. */
function mark(map, text, marked, title) {
  map.marksText = text;
  map.marksTitle = title;
  map.markedPoints = marked ? Int32Array.from(map.order.filter((i) => marked[i])).sort() : new Int32Array();
  map.markedCount = map.markedPoints.length;
  map.marked = map.markedCount ? marked : null;
  map.outline = outlineOf(map, text);
  showSelection(map);
  redraw(map);
}

/** Mark what is shown inside a line. corners: [x, y] each, in pixels of the screen. */
function selectInside(map, corners) {
  const { scale, x, y } = map.view;
  const step = (pixels, start) => {
    const steps = Math.round((pixels - start) / scale * STEPS);
    return Math.max(-FARTHEST, Math.min(FARTHEST, steps));
  };
  const polygon = corners.map(([across, down]) => [step(across, x), step(down, y)]);
  const marked = new Uint8Array(map.count);
  for (let i = 0; i < map.count; i++) marked[i] = isShown(map, i) && isInside(polygon, map.steps, i) ? 1 : 0;
  const only = map.only < 0 ? "" : map.names[map.only];
  const lasso = [map.similarity, map.show, polygon.flat().join(","), only].join(":");
  const points = [...marked.keys()].filter((i) => marked[i]);
  const names = namesOf(map, points);
  const text = names === null ? "lasso=" + lasso : names && "names=" + names;
  mark(map, text, marked, "");
  if (!points.length) map.selection.textContent = "No example is inside.";
  else map.outline = polygon;
  tell(map);
}

/** The even-odd rule in whole numbers, the same as `inside` in map_layout.py. */
function isInside(polygon, steps, i) {
  const x = steps[2 * i];
  const y = steps[2 * i + 1];
  let result = false;
  let [x1, y1] = polygon[polygon.length - 1];
  for (const [x2, y2] of polygon) {
    if ((y1 > y) !== (y2 > y)) {
      const side = (x - x1) * (y2 - y1) - (x2 - x1) * (y - y1);
      if (y2 > y1 ? side < 0 : side > 0) result = !result;
    }
    [x1, y1] = [x2, y2];
  }
  return result;
}

/** Names of points, rising, as text for an address (names.py); null where that is too long for one. */
function namesOf(map, points) {
  if (points.length > map.most.names) return null;
  let text = "";
  for (let k = 0; k < points.length;) {
    let last = k;
    while (points[last + 1] === points[last] + 1 && points[last + 1] !== map.tests) last++;
    const [split, first] = nameOf(map, points[k]).split(":");
    const begins = !k || (points[k] >= map.tests && points[k - 1] < map.tests);
    text += begins ? `${k ? ";" : ""}${split}:` : ",";
    text += first + (last > k ? "-" + nameOf(map, points[last]).split(":")[1] : "");
    k = last + 1;
  }
  return text.length > map.most.text ? null : text;
}

/** The corners of the lasso of an address, in steps; null if it has none or it was drawn on another map. */
function outlineOf(map, text) {
  const [by, , corners] = text.startsWith("lasso=") ? text.slice(6).split(":") : [];
  if (by !== map.similarity) return null;
  const numbers = corners.split(",").map(Number);
  return Array.from({ length: numbers.length >> 1 }, (_, k) => numbers.slice(2 * k, 2 * k + 2));
}

/** Say what is marked, and what can be done with it. */
function showSelection(map) {
  if (!map.markedCount) {
    map.selection.replaceChildren();
    return;
  }
  const noun = map.markedCount === 1 ? "example" : "examples";
  const zoomTo = element("button", "", "Zoom to them");
  const clear = element("button", "", "Clear");
  zoomTo.type = clear.type = "button";
  zoomTo.onclick = () => showMarked(map);
  clear.onclick = () => {
    mark(map, "", null, "");
    tell(map);
    map.box.focus();
  };
  const href = listHref(map);
  const open = element("a", "open", "Open as list");
  open.href = href;
  open.onclick = (event) => {
    writeSpot(map);
    follow(event);
  };
  map.selection.replaceChildren(
    element("b", "", `${withCommas(map.markedCount)} ${noun}`),
    ...(map.marksTitle ? [element("span", "", "of " + map.marksTitle)] : []),
    ...(href ? [open] : []),
    zoomTo,
    clear,
  );
}

/** Where the marked examples are listed; null for a list of more examples than an address can name. */
function listHref(map) {
  const isList = map.marksText.startsWith("list=");
  const names = isList && namesOf(map, map.markedPoints);
  if (isList && !names) return null;
  const [parameter, value] = isList ? ["names", names] : partsOf(map.marksText);
  return `examples?${parameter}=${readable(encodeURIComponent(value))}`;
}

/** A parameter of an address and its value. */
function partsOf(text) {
  const at = text.indexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Show the part of the map with all marked examples. */
function showMarked(map) {
  const points = [...map.markedPoints];
  const range = (values) => [
    points.reduce((least, i) => Math.min(least, values[i]), 1),
    points.reduce((largest, i) => Math.max(largest, values[i]), 0),
  ];
  const [left, right] = range(map.x);
  const [top, bottom] = range(map.y);
  const scale = Math.min(
    (map.width - 2 * MARGIN) / Math.max(right - left, 1e-6),
    (map.height - 3 * MARGIN) / Math.max(bottom - top, 1e-6),
  );
  const zoom = Math.min(FIT_ZOOM, Math.max(1, scale / map.wholeScale));
  setView(map, viewAt(map, zoom === 1 ? map.whole : [(left + right) / 2, (top + bottom) / 2, zoom]));
}

/** Draw the lasso, and a ring around each of a few marked examples. */
function drawMarked(map, context, drawn) {
  const { scale, x, y } = map.view;
  const toScreen = ([across, down]) => [across / STEPS * scale + x, down / STEPS * scale + y];
  const corners = drawn || (map.outline || []).map(toScreen);
  if (corners.length) {
    context.beginPath();
    for (const corner of corners) context.lineTo(...corner);
    context.closePath();
    context.setLineDash([6, 4]);
    context.lineWidth = 1.5;
    context.strokeStyle = map.ink;
    context.stroke();
    context.setLineDash([]);
  }
  if (drawn || map.markedCount > RINGS) return;
  for (const i of map.markedPoints) {
    ring(map, context, i, NEIGHBOR_RING + 1, 4, map.paperColor);
    ring(map, context, i, NEIGHBOR_RING + 1, 1.8, map.ink);
  }
}

/** A lasso that is being drawn goes on to a place on the screen. */
function extendLasso(map, gesture, place) {
  const [x, y] = gesture.lasso[gesture.lasso.length - 1];
  if (Math.hypot(place[0] - x, place[1] - y) >= APART) gesture.lasso.push(place);
  drawOverlay(map, gesture.lasso);
}

/** A lasso ends where the pointer is lifted; a click draws none. */
function endLasso(map, gesture) {
  const every = Math.ceil(gesture.lasso.length / CORNERS);
  const corners = gesture.lasso.filter((_, k) => k % every === 0);
  gesture.lasso = null;
  armLasso(map, false);
  if (corners.length >= 3) selectInside(map, corners);
  else drawOverlay(map);
}

/** Have the next drag draw a lasso, or move the map as usual. */
function armLasso(map, armed) {
  map.armed = armed;
  map.box.classList.toggle("armed", armed);
  map.lassoButton.setAttribute("aria-pressed", String(armed));
}

function selectAllInView(map) {
  selectInside(map, [[0, 0], [map.width, 0], [map.width, map.height], [0, map.height]]);
}

/** Tell Python what was chosen here. */
function tell(map) {
  map.tellChoice({ only: map.only, show: map.show, marks: map.marksText });
}
