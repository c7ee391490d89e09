// deno-lint-ignore-file no-unused-vars -- threshold.js, which follows, uses what stands here
// The two charts of threshold.js: the histogram with its grip, and the curve of equal labels.

const BARS_HEIGHT = 250; // pixels
const CURVE_HEIGHT = 200;
const LEFT = 44; // pixels for the numbers of the vertical axis
const RIGHT = 12;
const FLOOR = 34; // pixels below the chart, for the numbers and the name of the horizontal axis

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
