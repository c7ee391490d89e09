// The map (map.py): points written into the pixels of a canvas, without GPU or WebGL.
// Each point is a small stamp of pixels blended into an ImageData: 60,000 of them take a few milliseconds, so
// panning and zooming redraw everything. Marks of the hovered point are drawn on a second canvas above.

const REACH = 14; // pixels from the pointer to the point that it means
const KEY_REACH = 60; // and from the middle of the map, when keys move it
const DWELL = 125; // milliseconds until Python is asked about the hovered point
const TAP = 4; // pixels that a pointer may move and still mean a click
const DOUBLE_CLICK = 350; // milliseconds
const NEIGHBOR_RING = 6; // pixels, as the rings below
const HOVER_RING = 9;
const SELECTED_RING = 11;
const MANY_CLASSES = 30; // more are neither named on the map nor listed without a field to find one
const GRID = 128; // cells a side, in which points are looked up
const MOST_ZOOM = 60; // times the whole map
const MARGIN = 36; // pixels around the whole map

/** A color as it stands in a canvas's memory: one number, red in the lowest byte. */
function pixelOf([red, green, blue]) {
  return (0xff000000 | blue << 16 | green << 8 | red) >>> 0;
}

// --- Points ---

/** Unpack what Python sent, once for each map. Points 0 … tests-1 are test examples. */
function unpack(map, data) {
  const steps = new Uint16Array(bytesOf(data.xy).buffer);
  const count = steps.length / 2;
  map.id = data.id;
  map.count = count;
  map.tests = data.tests;
  map.labels = new Uint16Array(bytesOf(data.labels).buffer);
  map.x = Float32Array.from({ length: count }, (_, i) => steps[2 * i] / 65535);
  map.y = Float32Array.from({ length: count }, (_, i) => steps[2 * i + 1] / 65535);
  map.order = paintingOrder(count, map.tests);
  map.medians = new Map();
  indexPoints(map);
}

/** Shuffled, so that no class lies on top of the others; test examples last, above the others. */
function paintingOrder(count, tests) {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  let seed = 1;
  const random = (below) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % below;
  for (const [from, to] of [[0, tests], [tests, count]]) {
    for (let i = to - 1; i > from; i--) {
      const j = from + random(i - from + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
  }
  return Int32Array.from([...order.subarray(tests), ...order.subarray(0, tests)]);
}

/** Sort the points into a grid: cell c holds pointsByCell[cellStart[c]] … pointsByCell[cellStart[c + 1] - 1]. */
function indexPoints(map) {
  const column = (t) => Math.min(GRID - 1, t * GRID | 0);
  const cellOf = (i) => column(map.x[i]) + GRID * column(map.y[i]);
  const start = map.cellStart = new Int32Array(GRID * GRID + 1);
  for (let i = 0; i < map.count; i++) start[cellOf(i) + 1]++;
  for (let c = 0; c < GRID * GRID; c++) start[c + 1] += start[c];
  const next = start.slice();
  map.pointsByCell = new Int32Array(map.count);
  for (let i = 0; i < map.count; i++) map.pointsByCell[next[cellOf(i)]++] = i;
}

/** Where the name of a class stands: at the median of its points; null if it has none. */
function medianOf(map, c) {
  if (!map.medians.has(c)) {
    const points = map.order.filter((i) => map.labels[i] === c);
    const median = (values) => Float32Array.from(points, (i) => values[i]).sort()[points.length >> 1];
    map.medians.set(c, points.length ? [median(map.x), median(map.y)] : null);
  }
  return map.medians.get(c);
}

function nameOf(map, i) {
  return i < map.tests ? "test:" + i : "train:" + (i - map.tests);
}

function isShown(map, i) {
  const splitIsShown = map.show === "both" || (i < map.tests) === (map.show === "test");
  return splitIsShown && (map.only < 0 || map.labels[i] === map.only);
}

function screenX(map, i) {
  return map.x[i] * map.view.scale + map.view.x;
}

function screenY(map, i) {
  return map.y[i] * map.view.scale + map.view.y;
}

/** The shown point nearest to a place on the screen, within reach; -1 if there is none. */
function nearestPoint(map, x, y, reach) {
  const u = (x - map.view.x) / map.view.scale;
  const v = (y - map.view.y) / map.view.scale;
  const radius = reach / map.view.scale;
  const cell = (t) => Math.min(GRID - 1, Math.max(0, Math.floor(t * GRID)));
  let nearest = -1;
  let least = radius * radius;
  for (let row = cell(v - radius); row <= cell(v + radius); row++) {
    for (let column = cell(u - radius); column <= cell(u + radius); column++) {
      const c = column + GRID * row;
      for (let k = map.cellStart[c]; k < map.cellStart[c + 1]; k++) {
        const i = map.pointsByCell[k];
        const squared = (map.x[i] - u) ** 2 + (map.y[i] - v) ** 2;
        if (squared < least && isShown(map, i)) {
          least = squared;
          nearest = i;
        }
      }
    }
  }
  return nearest;
}

// --- Painting ---

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

/** Paint all points; where one class is shown alone, the others faintly below it. */
function paint(map) {
  const { ratio, view } = map;
  map.pixels.fill(map.paper);
  const base = map.count > 20000 ? 1 : map.count > 5000 ? 1.6 : 2.6;
  const size = Math.min(5.5, base * (view.scale / map.wholeScale) ** 0.4) * ratio;
  const stamps = {
    train: stampOf(size),
    test: stampOf(size + 1.4 * ratio, Math.max(0.9, size + 0.1 * ratio)),
  };
  for (const strong of map.only < 0 ? [true] : [false, true]) paintPoints(map, stamps, strong);
  map.points.getContext("2d").putImageData(map.image, 0, 0);
}

function paintPoints(map, stamps, strong) {
  const { ratio, view, pixels } = map;
  const { width, height } = map.points;
  const scale = view.scale * ratio;
  for (let n = 0; n < map.order.length; n++) {
    const i = map.order[n];
    const c = map.labels[i];
    const isTest = i < map.tests;
    if (map.only >= 0 && (c === map.only) !== strong) continue;
    if (map.show !== "both" && isTest !== (map.show === "test")) continue;
    const x = map.x[i] * scale + view.x * ratio | 0;
    const y = map.y[i] * scale + view.y * ratio | 0;
    const stamp = isTest ? stamps.test : stamps.train;
    const { reach } = stamp;
    if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
    blend(pixels, y * width + x, width, stamp, strong ? map.colors[c] : map.faint, strong ? 0 : 2);
  }
}

/** Blend a stamp over pixels, fainter by a power of two (fade). Red and blue are blended in one number. */
function blend(pixels, center, width, stamp, color, fade) {
  const redBlue = color & 0xff00ff;
  const green = color & 0xff00;
  for (let k = 0; k < stamp.cover.length; k++) {
    const place = center + stamp.dy[k] * width + stamp.dx[k];
    const over = stamp.cover[k] >> fade;
    const under = 256 - over;
    const below = pixels[place];
    const mixedRedBlue = (redBlue * over + (below & 0xff00ff) * under) >>> 8 & 0xff00ff;
    const mixedGreen = (green * over + (below & 0xff00) * under) >>> 8 & 0xff00;
    pixels[place] = (0xff000000 | mixedRedBlue | mixedGreen) >>> 0;
  }
}

/** Draw above the points: names, the example of the address, the hovered point and its neighbors. */
function drawOverlay(map) {
  const context = map.overlay.getContext("2d");
  context.setTransform(map.ratio, 0, 0, map.ratio, 0, 0);
  context.clearRect(0, 0, map.width, map.height);
  drawNames(map, context);
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

function redraw(map) {
  if (map.frame) return;
  map.frame = requestAnimationFrame(() => {
    map.frame = 0;
    const start = performance.now();
    paint(map);
    drawOverlay(map);
    placeCard(map);
    map.points.dataset.ms = (performance.now() - start).toFixed(1);
  });
}

// --- The view ---

/** The view of the whole map, in the middle. */
function wholeView(map) {
  const most = (values) => values.reduce((largest, value) => Math.max(largest, value), 0);
  const width = most(map.x);
  const height = most(map.y);
  map.wholeScale = Math.min(
    (map.width - MARGIN) / Math.max(width, 0.05),
    (map.height - MARGIN) / Math.max(height, 0.05),
  );
  return {
    scale: map.wholeScale,
    x: (map.width - width * map.wholeScale) / 2,
    y: (map.height - height * map.wholeScale) / 2,
  };
}

function setView(map, view) {
  map.view = view;
  bus.views[map.id] = { ...view, width: map.width };
  redraw(map);
}

function moveBy(map, dx, dy) {
  setView(map, { ...map.view, x: map.view.x + dx, y: map.view.y + dy });
}

/** Zoom by a factor; what lies at (x, y) stays there. */
function zoom(map, factor, x = map.width / 2, y = map.height / 2) {
  const scale = Math.min(map.wholeScale * MOST_ZOOM, Math.max(map.wholeScale * 0.5, map.view.scale * factor));
  const times = scale / map.view.scale;
  setView(map, { scale, x: x - (x - map.view.x) * times, y: y - (y - map.view.y) * times });
}

/** Take the size of the page; what was in the middle stays there. */
function measure(map) {
  const width = map.box.clientWidth;
  const height = map.box.clientHeight;
  // More pixels than these take longer than 50 ms to paint.
  const ratio = Math.min(2, devicePixelRatio || 1, Math.max(1, Math.sqrt(2e6 / (width * height))));
  if (!width || (width === map.width && height === map.height && ratio === map.ratio)) return;
  const before = { width: map.width, height: map.height };
  Object.assign(map, { width, height, ratio });
  for (const canvas of [map.points, map.overlay]) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  map.image = map.points.getContext("2d").createImageData(map.points.width, map.points.height);
  map.pixels = new Uint32Array(map.image.data.buffer);
  const whole = wholeView(map);
  const kept = bus.views[map.id];
  if (map.view && before.width) {
    map.view = {
      scale: map.view.scale,
      x: map.view.x + (width - before.width) / 2,
      y: map.view.y + (height - before.height) / 2,
    };
  } else {
    map.view = kept && kept.width === width ? { scale: kept.scale, x: kept.x, y: kept.y } : whole;
  }
  redraw(map);
}

// --- The hovered point ---

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

function imageOf({ src, alt }, className) {
  const image = new Image();
  image.src = src;
  image.alt = alt;
  image.className = className;
  image.decoding = "sync";
  return image;
}

/** The card: the example, and its nearest. */
function showCard(map, answer) {
  const nearest = element("div", "nearest");
  for (const tile of answer.tiles) {
    const figure = element("figure", tile.differs ? "differs" : "");
    const caption = element("figcaption", "", (tile.differs ? "≠ " : "") + tile.label);
    figure.append(imageOf(tile, "small"), caption);
    nearest.append(figure);
  }
  const words = element("div");
  words.append(
    element("b", "", answer.name),
    element("div", "", answer.label),
    ...answer.words.map((line) => element("div", "soft", line)),
  );
  const head = element("div", "head");
  head.append(imageOf(answer, "large"), words);
  const title = "nearest by the kernel" + (map.tests < map.count ? ", of both splits" : "");
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
  if (i >= 0) go("example?example=" + nameOf(map, i));
}

// --- Pointer and keys ---

function listen(map) {
  const { box } = map;
  listenToPointer(map);
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    hover(map, -1);
    const speed = event.deltaMode ? 0.05 : 0.0015;
    zoom(map, Math.exp(-event.deltaY * speed), ...placeOf(map, event));
  }, { passive: false });
  box.onkeydown = (event) => press(map, event);
  box.onblur = () => {
    map.usesKeys = false;
    hover(map, -1);
    drawOverlay(map);
  };
}

/** Where in the map an event took place. */
function placeOf(map, event) {
  const box = map.box.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function listenToPointer(map) {
  const { box } = map;
  const fingers = new Map(); // pointer → where it was last
  let moved = 0; // pixels since it was put down; two fingers have always moved: they never open an example
  let lastTap = 0;

  box.onpointerdown = (event) => {
    if (event.button) return;
    fingers.set(event.pointerId, placeOf(map, event));
    moved = fingers.size > 1 ? 9 : 0;
    box.setPointerCapture(event.pointerId);
  };
  box.onpointermove = (event) => {
    const [x, y] = placeOf(map, event);
    const before = fingers.get(event.pointerId);
    map.usesKeys = false;
    if (!before) {
      if (event.pointerType !== "touch") hover(map, nearestPoint(map, x, y, REACH));
      return;
    }
    moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    const from = fingers.size === 2 && pinchOf(fingers);
    fingers.set(event.pointerId, [x, y]);
    if (from) {
      const to = pinchOf(fingers);
      hover(map, -1);
      moveBy(map, to.x - from.x, to.y - from.y);
      zoom(map, to.width / from.width, to.x, to.y);
    } else if (moved > TAP) {
      hover(map, -1);
      moveBy(map, x - before[0], y - before[1]);
    }
  };
  box.onpointerup = box.onpointercancel = (event) => {
    const wasDown = fingers.delete(event.pointerId);
    if (!wasDown || moved > TAP || event.type !== "pointerup") return;
    const i = nearestPoint(map, ...placeOf(map, event), REACH);
    const isDouble = event.timeStamp - lastTap < DOUBLE_CLICK;
    lastTap = event.timeStamp;
    if (i < 0) {
      hover(map, -1);
      if (isDouble) setView(map, wholeView(map));
    } else if (event.pointerType === "touch" && map.hovered !== i) {
      hover(map, i);
    } else {
      openExample(map, i);
    }
  };
  box.onpointerleave = (event) => {
    if (!fingers.size && event.pointerType !== "touch") hover(map, -1);
  };
}

/** The middle between two fingers, and how far apart they are. */
function pinchOf(fingers) {
  const [one, other] = [...fingers.values()];
  return {
    x: (one[0] + other[0]) / 2,
    y: (one[1] + other[1]) / 2,
    width: Math.max(1, Math.hypot(one[0] - other[0], one[1] - other[1])),
  };
}

function press(map, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter") {
    openExample(map, map.hovered);
    return;
  }
  if (event.key === "Escape") {
    map.usesKeys = false;
    hover(map, -1);
    return;
  }
  const actions = {
    ArrowLeft: () => moveBy(map, 60, 0),
    ArrowRight: () => moveBy(map, -60, 0),
    ArrowUp: () => moveBy(map, 0, 60),
    ArrowDown: () => moveBy(map, 0, -60),
    "+": () => zoom(map, 1.4),
    "=": () => zoom(map, 1.4),
    "-": () => zoom(map, 1 / 1.4),
    "0": () => setView(map, wholeView(map)),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  actions[event.key]();
  event.preventDefault();
  map.usesKeys = true;
  hover(map, nearestPoint(map, map.width / 2, map.height / 2, KEY_REACH));
  drawOverlay(map);
}

// --- The legend ---

/** Build the legend once; later it is only marked. tell: called with the chosen class and splits. */
function buildLegend(map, tell) {
  const choose = (what, value) => {
    map[what] = value;
    hover(map, -1);
    map.mark();
    redraw(map);
    tell({ only: map.only, show: map.show });
  };
  const splits = [["both", "Both splits", ""], ["train", "Training", "dot"], ["test", "Test", "ring"]]
    .map(([value, words, sign]) => splitButton(map, value, words, sign, choose));
  const all = button("All classes", "", () => choose("only", -1), () => map.only < 0);
  const classes = classButtons(map, choose);
  const names = element("div", "names");
  names.append(...classes);
  map.mark = () => {
    for (const each of [...splits, all, ...classes]) each.setAttribute("aria-pressed", each._isChosen());
    scrollListTo(names, classes.find((each) => each._isChosen()));
  };
  const finder = classes.length > MANY_CLASSES ? [classFinder(classes)] : [];
  map.legend.replaceChildren(
    ...(map.tests < map.count ? [group("Splits", splits)] : []),
    group("Classes", [all, ...finder, names]),
  );
  map.mark();
}

function button(words, title, act, isChosen) {
  const made = element("button", "", words);
  made.type = "button";
  made.title = title;
  made.onclick = act;
  made._isChosen = isChosen;
  return made;
}

function splitButton(map, value, words, sign, choose) {
  const made = button("", "", () => choose("show", value), () => map.show === value);
  if (sign) made.append(element("i", sign));
  made.append(words);
  return made;
}

/** A button for each class that has points, with its color and their number. */
function classButtons(map, choose) {
  const counts = new Int32Array(map.names.length);
  for (const c of map.labels) counts[c]++;
  return [...map.names.entries()].filter(([c]) => counts[c]).map(([c, name]) => {
    const act = () => choose("only", map.only === c ? -1 : c);
    const made = button("", "this class alone", act, () => map.only === c);
    const dot = element("i", "dot");
    dot.style.background = map.palette[c];
    made.append(dot, name, element("small", "", withCommas(counts[c])));
    made._name = name.toLowerCase();
    return made;
  });
}

/** A field that hides all classes but those whose name contains what is typed; Enter chooses the first. */
function classFinder(classes) {
  const field = element("input");
  field.type = "search";
  field.placeholder = field.ariaLabel = "Find a class";
  field.oninput = () => {
    const wanted = field.value.trim().toLowerCase();
    for (const each of classes) each.hidden = !each._name.includes(wanted);
  };
  field.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" || !field.value.trim()) return;
    const first = classes.find((each) => !each.hidden);
    if (first) first.click();
  };
  return field;
}

function group(label, children) {
  const made = element("div", "group");
  made.role = "group";
  made.ariaLabel = label;
  made.append(...children);
  return made;
}

function scrollListTo(list, child) {
  if (!child) return;
  const isAbove = child.offsetTop < list.scrollTop;
  const isBelow = child.offsetTop + child.offsetHeight > list.scrollTop + list.clientHeight;
  if (isAbove || isBelow) list.scrollTop = child.offsetTop - list.clientHeight / 2;
}

// --- What Python says ---

/** Take in the choices of the address and the card of a point. */
function receive(map) {
  const { message } = bus;
  if (!message || message.id !== map.id) return;
  if (message.choice !== map.choice) {
    map.choice = message.choice;
    map.only = message.only;
    map.show = message.show;
    map.mark();
    redraw(map);
  }
  if (message.selected !== map.selected) select(map, message.selected);
  const { answer } = message;
  if (answer && !map.answers.has(answer.point)) map.answers.set(answer.point, answer);
  if (answer && answer.point === map.hovered && map.card.hidden) {
    showCard(map, answer);
    drawOverlay(map);
  }
}

/** Mark the example of the address; bring it to the middle the first time. */
function select(map, point) {
  map.selected = point;
  const centered = map.id + ":" + point;
  if (point >= 0 && bus.centered !== centered) {
    bus.centered = centered;
    const scale = map.wholeScale * 8;
    setView(map, {
      scale,
      x: map.width / 2 - map.x[point] * scale,
      y: map.height / 2 - map.y[point] * scale,
    });
  }
  redraw(map);
}

function newState(root) {
  const find = (selector) => root.querySelector(selector);
  return {
    box: find(".view"),
    points: find(".points"),
    overlay: find(".overlay"),
    card: find(".card"),
    legend: find(".legend"),
    answers: new Map(),
    hovered: -1,
    selected: -1,
    only: -1,
    show: "both",
  };
}

/** Colors and type of the page's theme, as the canvases need them. */
function takeTheme(map, root, data) {
  const background = applyTheme(root);
  const style = getComputedStyle(root);
  Object.assign(map, {
    paper: pixelOf(background),
    paperColor: `rgb(${background})`,
    faint: pixelOf(root.classList.contains("dark") ? [90, 96, 106] : [190, 194, 200]),
    ink: style.color,
    font: style.fontFamily,
    names: data.names,
    palette: data.palette,
    colors: Uint32Array.from(data.palette, (color) => pixelOf(rgb(color))),
  });
  setProperties(root, {
    "--large-width": data.width + "px",
    "--large-height": data.height + "px",
    "--small-width": data.small[0] + "px",
    "--small-height": data.small[1] + "px",
    "--rendering": data.rendering,
  });
}

/** Take in another map: its points, legend and handlers. */
function replaceMap(map, root, data, tellChoice) {
  unpack(map, data);
  map.view = null;
  map.width = 0;
  map.answers.clear();
  buildLegend(map, tellChoice);
  listen(map);
  map.box.setAttribute("aria-label", data.label);
  root.querySelector(".zoom-in").onclick = () => zoom(map, 1.6);
  root.querySelector(".zoom-out").onclick = () => zoom(map, 1 / 1.6);
  root.querySelector(".whole").onclick = () => setView(map, wholeView(map));
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".map");
  const map = root._state ??= newState(root);
  takeTheme(map, root, data);
  map.ask = (point) => setTriggerValue("hover", point);
  if (map.id !== data.id) replaceMap(map, root, data, (choice) => setTriggerValue("choice", choice));
  measure(map);
  receive(map);
  redraw(map);

  const onMessage = () => receive(map);
  const watch = new ResizeObserver(() => measure(map));
  if (map.stop) map.stop();
  bus.addEventListener("message", onMessage);
  watch.observe(map.box);
  map.stop = () => {
    bus.removeEventListener("message", onMessage);
    watch.disconnect();
    clearTimeout(map.dwell);
  };
  return map.stop;
}
