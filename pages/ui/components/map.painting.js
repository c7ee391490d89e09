// deno-lint-ignore-file no-unused-vars -- map.js, which follows, uses what stands here
// How the map is drawn (map.js): points into the pixels of one canvas, marks onto a second one above it.
// Each point is a small stamp of pixels blended into an ImageData: 60,000 of them take 5 milliseconds, so
// panning and zooming redraw everything.

const NEIGHBOR_RING = 6; // radius in pixels, as of the rings below
const FRAME = 16; // milliseconds that points may take in a frame where all take too long
const SLOW = 40; // milliseconds that all points may take in one frame
const PIECE = 10000; // points between two looks at the clock
const REST = 120; // milliseconds without a move until it rests
const HOVER_RING = 9;
const SELECTED_RING = 11;
const MANY_CLASSES = 30; // more are neither named on the map nor listed without a field to find one

/** A color as it stands in a canvas's memory: one number, red in the lowest byte. */
function pixelOf([red, green, blue]) {
  return (0xff000000 | blue << 16 | green << 8 | red) >>> 0;
}

/** The pixels of a disc, or of a ring around a hole: their offsets, and how far each is covered, 0 to 256. */
function stampOf(radius, hole) {
  const reach = Math.ceil(radius);
  const stamp = { reach, dx: [], dy: [], cover: [] };
  const clamp = (share) => Math.min(1, Math.max(0, share));
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const distance = Math.hypot(x, y);
      const cover = clamp(radius + 0.5 - distance) * (hole ? clamp(distance - hole + 0.5) : 1);
      if (cover <= 0.06) continue;
      stamp.dx.push(x);
      stamp.dy.push(y);
      stamp.cover.push(Math.round(256 * cover));
    }
  }
  return stamp;
}

/**
 * Paint the points; where one class is shown alone or some are marked, the others faintly below.
 * Where all take too long for a frame, every second, third, … of the shuffled order comes first, and all of
 * them once the map rests.
 */
function paint(map) {
  cancelAnimationFrame(map.filling);
  const step = map.wholeMs > SLOW ? Math.ceil(map.wholeMs / FRAME) : 1;
  const begun = performance.now();
  map.pixels.fill(map.paper);
  for (const strong of passesOf(map)) {
    const all = strong && map.marked;
    paintPoints(map, map.pixels, strong, { from: 0, to: map.count, step: all ? 1 : step });
  }
  show(map, step);
  if (step === 1) map.wholeMs = performance.now() - begun;
  else if (!map.moving) paintAllSoon(map);
}

/** Whether points are painted strongly, one pass after the other. */
function passesOf(map) {
  return map.only < 0 && !map.marked ? [true] : [false, true];
}

function show(map, step) {
  map.points.getContext("2d").putImageData(map.image, 0, 0);
  map.points.dataset.step = step;
}

/** Paint all points out of sight, some in each frame; then show them. */
function paintAllSoon(map) {
  const pixels = new Uint32Array(map.pixels.length).fill(map.paper);
  const passes = passesOf(map);
  let [from, pass, ms] = [0, 0, 0];
  const paintSome = () => {
    const begun = performance.now();
    while (pass < passes.length && performance.now() - begun < FRAME) {
      paintPoints(map, pixels, passes[pass], { from, to: Math.min(map.count, from + PIECE), step: 1 });
      from += PIECE;
      if (from >= map.count) [from, pass] = [0, pass + 1];
    }
    ms += performance.now() - begun;
    if (pass < passes.length) {
      map.filling = requestAnimationFrame(paintSome);
      return;
    }
    map.pixels.set(pixels);
    show(map, 1);
    map.wholeMs = ms;
  };
  map.filling = requestAnimationFrame(paintSome);
}

/** Note that the map moves; once it rests, all points are painted. */
function stir(map) {
  map.moving = true;
  clearTimeout(map.resting);
  map.resting = setTimeout(() => {
    map.moving = false;
    if (map.points.dataset.step !== "1") redraw(map);
  }, REST);
}

/** The stamps of both splits in this view. */
function stampsOf(map) {
  const { ratio, view } = map;
  const base = map.count > 20000 ? 1 : map.count > 5000 ? 1.6 : 2.6;
  const size = Math.min(5.5, base * (view.scale / map.wholeScale) ** 0.4) * ratio;
  return {
    train: stampOf(size),
    test: stampOf(size + 1.4 * ratio, Math.max(0.9, size + 0.1 * ratio)),
  };
}

/** Paint points of the order from one place to another, strongly or faintly. */
function paintPoints(map, pixels, strong, { from, to, step }) {
  const { ratio, view, painted: { xy, labels } } = map;
  const { width, height } = map.points;
  const stamps = stampsOf(map);
  for (const stamp of [stamps.train, stamps.test]) lay(stamp, width, strong ? 0 : 2);
  const [scale, left, top] = [view.scale * ratio / 65535, view.x * ratio, view.y * ratio];
  const firstTest = map.count - map.tests;
  const chosen = map.only >= 0 || map.marked || map.show !== "both";
  for (let n = from; n < to; n += step) {
    if (chosen && countsAt(map, n) !== strong) continue;
    const x = xy[2 * n] * scale + left | 0;
    const y = xy[2 * n + 1] * scale + top | 0;
    const stamp = n < firstTest ? stamps.train : stamps.test;
    const { reach } = stamp;
    if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
    blend(pixels, y * width + x, stamp, strong ? map.colors[labels[n]] : map.faint);
  }
}

/** Whether the point at a place of the order is painted strongly; null if its split is not shown. */
function countsAt(map, n) {
  const i = map.order[n];
  if (map.show !== "both" && (i < map.tests) !== (map.show === "test")) return null;
  return (map.only < 0 || map.labels[i] === map.only) && (!map.marked || map.marked[i] === 1);
}

/** Find a stamp's places in a canvas of this width, and its covers, fainter by a power of two (fade). */
function lay(stamp, width, fade) {
  stamp.places = Int32Array.from(stamp.dx, (dx, k) => stamp.dy[k] * width + dx);
  stamp.over = Int32Array.from(stamp.cover, (cover) => cover >> fade);
}

/** Blend a stamp over pixels. Red and blue are blended in one number. */
function blend(pixels, center, { places, over }, color) {
  const redBlue = color & 0xff00ff;
  const green = color & 0xff00;
  for (let k = 0; k < places.length; k++) {
    const place = center + places[k];
    const under = 256 - over[k];
    const below = pixels[place];
    const mixedRedBlue = (redBlue * over[k] + (below & 0xff00ff) * under) >>> 8 & 0xff00ff;
    const mixedGreen = (green * over[k] + (below & 0xff00) * under) >>> 8 & 0xff00;
    pixels[place] = (0xff000000 | mixedRedBlue | mixedGreen) >>> 0;
  }
}

/** Draw above the points: names, marks, the example of the address, the hovered point and its neighbors. */
function drawOverlay(map, lasso) {
  const context = map.overlay.getContext("2d");
  context.setTransform(map.ratio, 0, 0, map.ratio, 0, 0);
  context.clearRect(0, 0, map.width, map.height);
  drawNames(map, context);
  drawMarked(map, context, lasso);
  if (map.selected >= 0) {
    ring(map, context, map.selected, SELECTED_RING, 5, map.paperColor);
    ring(map, context, map.selected, SELECTED_RING, 2.5, map.ink);
  }
  if (map.usesKeys) drawCross(map, context);
  if (map.hovered >= 0) drawHovered(map, context);
}

function ring(map, context, i, radius, lineWidth, color) {
  context.beginPath();
  context.arc(screenX(map, i), screenY(map, i), radius, 0, 7);
  context.lineWidth = lineWidth;
  context.strokeStyle = color;
  context.stroke();
}

function drawNames(map, context) {
  context.font = "600 13px " + map.font;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.lineJoin = "round";
  const all = map.names.length <= MANY_CLASSES ? map.names.keys() : [];
  for (const c of map.only >= 0 ? [map.only] : all) {
    const median = medianOf(map, c);
    if (!median) continue;
    // The name of one class alone stands above its points, which may be few.
    const above = map.only < 0 ? 0 : 16;
    const x = median[0] * map.view.scale + map.view.x;
    const y = median[1] * map.view.scale + map.view.y - above;
    context.strokeStyle = map.paperColor;
    context.strokeText(map.names[c], x, y);
    context.fillStyle = map.ink;
    context.fillText(map.names[c], x, y);
  }
}

/** The middle of the map, which keys point with. */
function drawCross(map, context) {
  const x = map.width / 2;
  const y = map.height / 2;
  context.strokeStyle = map.ink;
  context.lineWidth = 1;
  context.beginPath();
  for (const [from, to] of [[-9, -3], [3, 9]]) {
    context.moveTo(x + from, y);
    context.lineTo(x + to, y);
    context.moveTo(x, y + from);
    context.lineTo(x, y + to);
  }
  context.stroke();
}

function drawHovered(map, context) {
  const answer = map.answers.get(map.hovered);
  for (const neighbor of answer ? answer.near : []) {
    for (const [lineWidth, color] of [[4, map.paperColor], [1.6, map.ink]]) {
      context.beginPath();
      context.moveTo(screenX(map, map.hovered), screenY(map, map.hovered));
      context.lineTo(screenX(map, neighbor), screenY(map, neighbor));
      context.lineWidth = lineWidth;
      context.strokeStyle = color;
      context.stroke();
    }
    ring(map, context, neighbor, NEIGHBOR_RING, 4, map.paperColor);
    ring(map, context, neighbor, NEIGHBOR_RING, 1.6, map.ink);
  }
  ring(map, context, map.hovered, HOVER_RING, 4.5, map.paperColor);
  ring(map, context, map.hovered, HOVER_RING, 2.2, map.ink);
}

/** Draw the map in the next frame. A page that is being left has no size, and nothing is drawn. */
function redraw(map) {
  if (map.frame || !map.pixels) return;
  map.frame = requestAnimationFrame(() => {
    map.frame = 0;
    const start = performance.now();
    paint(map);
    drawOverlay(map);
    placeCard(map);
    map.points.dataset.ms = (performance.now() - start).toFixed(1);
  });
}
