// A histogram with a threshold to drag, and how often labels agree below it (threshold.py).
// All values are here, so counts and marks follow the pointer; Python is told when the threshold is released.

const KEY_PAUSE = 400; // milliseconds after the last key until Python is told

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
  const agreed = `${percent(state.agreed(count))} have the label of their nearest`;
  const around = `around rank ${withCommas(count)}, ${percent(data.curve.running[k])}`;
  state.share.textContent = count
    ? `Of the ${withCommas(count)} at least this near, ${agreed}; ${around}.`
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
  link.setAttribute("href", data.href + `&threshold=${threshold.toFixed(data.digits)}`);
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

/** Take in what Python sent; a threshold that is being dragged stays. */
function takeData(state, data) {
  state.data = data;
  state.values = new Float32Array(bytesOf(data.values).buffer);
  state.agreed = shareOf(bytesOf(data.agrees));
  state.hint.textContent = data.hint;
  if (state.dragging) return;
  clearTimeout(state.later);
  state.threshold = data.threshold;
}

function watchWidth(state, redraw) {
  let width = state.svg.clientWidth;
  return new ResizeObserver(() => {
    if (state.svg.clientWidth === width || state.dragging) return;
    width = state.svg.clientWidth;
    redraw();
  });
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
  takeData(state, data);
  find(".window").textContent = data.window;

  const redraw = () => {
    drawBars(state);
    drawCurve(state);
    listen(state, (threshold) => setTriggerValue("threshold", threshold));
    followThreshold(state);
  };
  const hadFocus = root.getRootNode().activeElement === state.grip;
  redraw();
  giveUpRoom(root);
  if (hadFocus) state.grip.focus();
  root.onclick = follow;

  if (state.watch) state.watch.disconnect();
  state.watch = watchWidth(state, redraw);
  state.watch.observe(root);
  return () => {
    state.watch.disconnect();
    clearTimeout(state.later);
  };
}
