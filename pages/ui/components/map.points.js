// deno-lint-ignore-file no-unused-vars -- map.js, which follows, uses what stands here
// The points of the map (map.js): unpacked, put in order, and found by their place.

const GRID = 128; // cells per side, in which points are looked up
const MEDIAN_OF = 200000; // points of all classes that the places of their names are found from

/** Unpack what Python sent, once for each map. Points 0 … tests-1 are test examples. */
function unpack(map, data) {
  const steps = map.steps = new Uint16Array(bytesOf(data.xy).buffer);
  const count = steps.length / 2;
  map.id = data.id;
  map.by = data.by;
  map.similarity = data.similarity;
  map.most = data.most;
  map.count = count;
  map.tests = data.tests;
  const labels = bytesOf(data.labels);
  map.labels = labels.length === count ? labels : new Uint16Array(labels.buffer);
  map.x = new Float32Array(count);
  map.y = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    map.x[i] = steps[2 * i] / 65535;
    map.y[i] = steps[2 * i + 1] / 65535;
  }
  map.order = paintingOrder(count, map.tests);
  map.painted = inOrder(map, steps);
  const step = Math.ceil(count / MEDIAN_OF);
  map.sample = step > 1 ? map.order.filter((_, n) => n % step === 0) : map.order;
  map.medians = new Map();
  indexPoints(map);
}

/** Shuffled, so that no class lies on top of the others; test examples last, above the others. */
function paintingOrder(count, tests) {
  const order = new Int32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  let seed = 1;
  const random = (below) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % below;
  for (const [from, to] of [[0, tests], [tests, count]]) {
    for (let i = to - 1; i > from; i--) {
      const j = from + random(i - from + 1);
      const point = order[i];
      order[i] = order[j];
      order[j] = point;
    }
  }
  const painted = new Int32Array(count);
  painted.set(order.subarray(tests));
  painted.set(order.subarray(0, tests), count - tests);
  return painted;
}

/** Places, in steps, and labels in the order of painting, so that memory is read from end to end. */
function inOrder({ order, labels }, steps) {
  const painted = { xy: new Uint16Array(2 * order.length), labels: labels.slice() };
  for (let n = 0; n < order.length; n++) {
    const i = order[n];
    painted.xy[2 * n] = steps[2 * i];
    painted.xy[2 * n + 1] = steps[2 * i + 1];
    painted.labels[n] = labels[i];
  }
  return painted;
}

/** Sort the points into cells: c holds pointsByCell[cellStart[c]] … pointsByCell[cellStart[c + 1] - 1]. */
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

/** Where the name of a class stands: at the median of its points, of very many some; null if it has none. */
function medianOf(map, c) {
  if (!map.medians.has(c)) {
    let points = map.sample.filter((i) => map.labels[i] === c);
    if (!points.length) points = map.order.filter((i) => map.labels[i] === c);
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
