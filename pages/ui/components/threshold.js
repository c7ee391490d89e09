// A histogram with a threshold to drag, and how often labels agree below it (threshold.py).
// All values are here, so counts and marks follow the pointer; Python is told when the threshold is released.

const BARS_HEIGHT = 250; // pixels
const CURVE_HEIGHT = 200;
const LEFT = 44; // pixels for the numbers of the vertical axis
const RIGHT = 12;
const FLOOR = 34; // pixels below the chart, for the numbers and the name of the horizontal axis
const KEY_PAUSE = 400; // milliseconds after the last key until Python is told

function drawn(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function label(x, y, anchor, text) {
  return drawn("text", { x, y, "text-anchor": anchor }, text);
}

function percent(share) {
  return (100 * share).toFixed(1) + "%";
}

/** About `count` round numbers within a range, and the digits that they are written with. */
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
  const numbers = [];
  for (let n = Math.ceil(low / step); n * step <= high + 1e-9 * step; n++) numbers.push(n * step);
  return { numbers, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** How many of values that never increase are at least the threshold. */
function countAtLeast(values, threshold) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] >= threshold) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The horizontal axis: from a value to its place, and back. */
function scaleOf(edges, width) {
  let low = edges[0];
  let high = edges[edges.length - 1];
  if (low === high) {
    low -= 0.5;
    high += 0.5;
  }
  const left = LEFT;
  const right = width - RIGHT;
  const unit = (right - left) / (high - low);
  const within = (value, from, to) => Math.min(to, Math.max(from, value));
  return {
    left,
    right,
    low,
    high,
    placeOf: (value) => left + (within(value, low, high) - low) * unit,
    valueAt: (place) => low + (within(place, left, right) - left) / unit,
  };
}

function drawBars(state) {
  const { data, svg } = state;
  const width = svg.clientWidth || 600;
  const floor = BARS_HEIGHT - FLOOR;
  const top = 16;
  const scale = state.scale = scaleOf(data.edges, width);
  const most = Math.max(...data.counts);
  const heightOf = (count) => floor - count / most * (floor - top);
  svg.setAttribute("height", BARS_HEIGHT);
  svg.replaceChildren();

  const across = ticks(scale.low, scale.high, Math.max(2, Math.floor(width / 110)));
  for (const value of across.numbers) {
    svg.append(label(scale.placeOf(value), floor + 16, "middle", value.toFixed(across.digits)));
  }
  for (const count of ticks(0, most, 3).numbers.filter(Number.isInteger)) {
    const y = heightOf(count);
    svg.append(drawn("line", { class: "grid", x1: scale.left, x2: scale.right, y1: y, y2: y }));
    svg.append(label(scale.left - 6, y + 4, "end", withCommas(count)));
  }
  svg.append(label((scale.left + scale.right) / 2, BARS_HEIGHT - 2, "middle", data.axis));

  state.bars = [];
  data.counts.forEach((count, k) => {
    if (!count) return;
    const bar = drawBar(state, k, { top, floor, y: Math.min(heightOf(count), floor - 1) });
    state.bars.push(bar);
    svg.append(bar);
  });
  if (state.bars.length) state.bars[0].setAttribute("tabindex", 0);
  svg.onkeydown = (event) => walkBars(state, event);
  drawGrip(state, floor);
}

/** The k-th bar: a link to its pairs. */
function drawBar(state, k, { top, floor, y }) {
  const { data, scale } = state;
  const isOnly = data.counts.length === 1;
  const from = isOnly ? scale.placeOf(data.edges[0]) - 12 : scale.placeOf(data.edges[k]);
  const to = isOnly ? from + 24 : scale.placeOf(data.edges[k + 1]);
  const range = `${data.edges[k].toFixed(3)} to ${data.edges[k + 1].toFixed(3)}`;
  const ranks = `rank ${withCommas(data.first[k])} to ${withCommas(data.last[k])}`;
  const words = `${range}: ${withCommas(data.counts[k])} ${data.what}, ${ranks}`;
  const bar = drawn("g", {
    class: "bar",
    role: "link",
    tabindex: -1,
    "aria-label": words + ": show these pairs",
  });
  bar.append(
    drawn("title", {}, words + ". Click to see these pairs."),
    drawn("rect", { class: "hit", x: from, width: to - from, y: top, height: floor - top }),
    drawn("rect", { class: "ink", x: from + 0.5, width: Math.max(1, to - from - 1), y, height: floor - y }),
  );
  bar._low = data.edges[k];
  bar._open = () => go(data.href + `&first=${data.first[k]}&last=${data.last[k]}`);
  bar.onclick = bar._open;
  bar.onfocus = bar.onpointerenter = () => {
    state.hint.textContent = words + ". Click to see them.";
  };
  bar.onpointerleave = bar.onblur = () => {
    state.hint.textContent = data.hint;
  };
  return bar;
}

/** The bars are one stop for Tab, the arrow keys walk. */
function walkBars(state, event) {
  const index = state.bars.indexOf(event.target);
  if (index < 0) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    state.bars[index]._open();
  }
  const next = state.bars[index + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] || 0)];
  if (!next || next === event.target) return;
  event.target.setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
  event.preventDefault();
}

function drawGrip(state, floor) {
  state.grip ??= drawn("g", { class: "grip", role: "slider", tabindex: 0, "aria-label": "Threshold" });
  state.grip.replaceChildren(
    drawn("rect", { class: "hit", x: -11, width: 22, y: 0, height: floor }),
    drawn("line", { y1: 8, y2: floor }),
    drawn("rect", { class: "knob", x: -7, y: 0, width: 14, height: 18, rx: 4 }),
  );
  state.svg.append(state.grip);
}

function drawCurve(state) {
  const { data: { curve: agreement }, curve } = state;
  const width = curve.clientWidth || 600;
  const floor = CURVE_HEIGHT - FLOOR;
  const top = 10;
  const right = width - RIGHT;
  const count = state.values.length;
  const low = Math.min(0.999, ...agreement.running, ...agreement.cumulative);
  const bottom = Math.max(0, low - 0.05 * (1 - low) - 0.001);
  const placeOf = (rank) => LEFT + (count > 1 ? (rank - 1) / (count - 1) : 0.5) * (right - LEFT);
  const heightOf = (share) => floor - (share - bottom) / (1 - bottom) * (floor - top);
  curve.setAttribute("height", CURVE_HEIGHT);
  curve.replaceChildren();

  const up = ticks(100 * bottom, 100, 4);
  for (const value of up.numbers) {
    const y = heightOf(value / 100);
    curve.append(drawn("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }));
    curve.append(label(LEFT - 6, y + 4, "end", value.toFixed(up.digits) + "%"));
  }
  const across = ticks(1, count, Math.max(2, Math.floor(width / 130))).numbers;
  for (const rank of [1, ...across.filter((rank) => rank > 0.06 * count)]) {
    if (!Number.isInteger(rank) || rank > count) continue;
    curve.append(label(placeOf(rank), floor + 16, "middle", withCommas(rank)));
  }
  curve.append(label((LEFT + right) / 2, CURVE_HEIGHT - 2, "middle", "rank, nearest first"));

  for (const name of ["cumulative", "running"]) {
    const points = agreement.rank.map((rank, k) => {
      return placeOf(rank).toFixed(1) + " " + heightOf(agreement[name][k]).toFixed(1);
    });
    const path = points.length > 1
      ? "M" + points.join("L")
      : `M${LEFT} ${heightOf(agreement[name][0])}H${right}`;
    curve.append(drawn("path", { class: name, d: path }));
  }
  state.rankMark = drawn("line", { class: "rank-mark", y1: top, y2: floor });
  curve.append(state.rankMark);
  state.placeOfRank = placeOf;
}

/** Bring everything that depends on the threshold up to date. */
function followThreshold(state) {
  const { data, threshold, grip } = state;
  const count = countAtLeast(state.values, threshold);
  const total = state.values.length;
  showCount(state, count, total);
  grip.setAttribute("transform", `translate(${state.scale.placeOf(threshold)} 0)`);
  grip.setAttribute("aria-valuemin", state.scale.low);
  grip.setAttribute("aria-valuemax", state.scale.high);
  grip.setAttribute("aria-valuenow", threshold);
  grip.setAttribute(
    "aria-valuetext",
    `${threshold.toFixed(data.digits)}: ${withCommas(count)} of ${withCommas(total)} ${data.what}`,
  );
  for (const bar of state.bars) bar.classList.toggle("above", bar._low >= threshold);

  const rank = Math.max(1, count);
  state.rankMark.setAttribute("x1", state.placeOfRank(rank));
  state.rankMark.setAttribute("x2", state.placeOfRank(rank));
  state.rankMark.style.display = count ? "" : "none";
  const k = Math.max(0, data.curve.rank.findLastIndex((known) => known <= rank));
  state.share.textContent = count
    ? `Of the ${withCommas(count)} at least this near, ${
      percent(state.agreed(count))
    } have the label of their ` +
      `nearest; around rank ${withCommas(count)}, ${percent(data.curve.running[k])}.`
    : "No pair is at least this near.";
}

function showCount(state, count, total) {
  const { data, threshold } = state;
  const [number, sentence, link] = state.count.children;
  number.textContent = withCommas(count);
  sentence.textContent =
    ` of ${withCommas(total)} ${data.what} (${percent(count / total)}) have a similarity of ` +
    `at least ${threshold.toFixed(data.digits)}. `;
  link.hidden = !count;
  link.setAttribute("href", data.href + `&first=1&last=${count}`);
  link.textContent = count === 1 ? "Show this pair" : "Show these pairs";
}

function listen(state, tell) {
  const { grip, svg, scale } = state;
  const power = 10 ** state.data.digits;
  const set = (value) => {
    const within = Math.min(scale.high, Math.max(scale.low, value));
    state.threshold = Math.floor(within * power + 1e-6) / power;
    followThreshold(state);
  };
  grip.onpointerdown = (event) => {
    state.dragging = true;
    grip.setPointerCapture(event.pointerId);
    grip.focus();
    event.preventDefault();
  };
  grip.onpointermove = (event) => {
    if (state.dragging) set(scale.valueAt(event.clientX - svg.getBoundingClientRect().left));
  };
  grip.onpointerup = grip.onpointercancel = () => {
    if (!state.dragging) return;
    state.dragging = false;
    tell(state.threshold);
  };
  grip.onclick = (event) => event.stopPropagation();
  grip.onkeydown = (event) => {
    const value = valueByKey(state, event);
    if (value === null) return;
    event.preventDefault();
    event.stopPropagation();
    set(value);
    clearTimeout(state.later);
    state.later = setTimeout(() => tell(state.threshold), KEY_PAUSE);
  };
}

/** The threshold that a key moves to, or null for a key that does not move it. */
function valueByKey({ scale, threshold }, event) {
  const fine = event.shiftKey ? 0.1 : 1;
  const steps = {
    ArrowRight: fine,
    ArrowUp: fine,
    ArrowLeft: -fine,
    ArrowDown: -fine,
    PageUp: 10,
    PageDown: -10,
  };
  if (event.key === "Home") return scale.low;
  if (event.key === "End") return scale.high;
  return event.key in steps ? threshold + steps[event.key] * (scale.high - scale.low) / 100 : null;
}

/** How many of the first n pairs have equal labels, as a function of n that takes one look. */
function shareOf(agrees) {
  const sums = new Uint32Array(agrees.length + 1);
  agrees.forEach((agree, k) => sums[k + 1] = sums[k] + agree);
  return (n) => sums[n] / n;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".threshold");
  const find = (selector) => root.querySelector(selector);
  applyTheme(root);
  const state = root._state ??= {
    count: find(".count"),
    svg: find(".bars"),
    curve: find(".curve"),
    hint: find(".hint"),
    share: find(".share"),
  };
  state.data = data;
  state.values = new Float32Array(bytesOf(data.values).buffer);
  state.agreed = shareOf(bytesOf(data.agrees));
  if (!state.dragging) {
    clearTimeout(state.later);
    state.threshold = data.threshold;
  }
  state.hint.textContent = data.hint;
  find(".window").textContent = data.window;

  const redraw = () => {
    drawBars(state);
    drawCurve(state);
    listen(state, (threshold) => setTriggerValue("threshold", threshold));
    followThreshold(state);
  };
  const hadFocus = root.getRootNode().activeElement === state.grip;
  redraw();
  if (hadFocus) state.grip.focus();
  root.onclick = follow;

  if (state.watch) state.watch.disconnect();
  let width = state.svg.clientWidth;
  state.watch = new ResizeObserver(() => {
    if (state.svg.clientWidth === width || state.dragging) return;
    width = state.svg.clientWidth;
    redraw();
  });
  state.watch.observe(root);
  return () => {
    state.watch.disconnect();
    clearTimeout(state.later);
  };
}
