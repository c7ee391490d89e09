"""The map's part in the browser: points written into the pixels of a canvas, without GPU or WebGL.

Each point is a small stamp of pixels blended into an ImageData: 60,000 of them take a few milliseconds, so that panning
and zooming redraw everything. What belongs to the hovered point is drawn on a second canvas above.
"""

from __future__ import annotations

from pages.ui.links import FOLLOW_JS

BUS_JS = """
const bus = globalThis.__kernelExplorerMap = globalThis.__kernelExplorerMap || Object.assign(new EventTarget(), { views: {} });
"""
"""What the map and its answers share: they are two components, so that an answer does not send the points again."""

ANSWER_JS = (
    BUS_JS
    + """
export default function ({ data }) { bus.said = data; bus.dispatchEvent(new Event('said')); }
"""
)

JS = (
    FOLLOW_JS
    + BUS_JS
    + """
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;
const make = (tag, name, text) => { const e = document.createElement(tag); if (name) e.className = name; if (text) e.textContent = text; return e; };
const many = n => n.toLocaleString('en-US'), PICK = 14, DWELL = 125, NEAR = 6, MANY = 30;
const rgb = text => (text.match(/[0-9a-f]{2}/gi) || ['ff', 'ff', 'ff']).slice(0, 3).map(x => parseInt(x, 16));
const pixel = ([r, g, b]) => (0xff000000 | b << 16 | g << 8 | r) >>> 0;

function unpack(m, data) {                             // once for each map
  const q = new Uint16Array(bytes(data.xy)), N = q.length / 2;
  Object.assign(m, { id: data.id, N, tests: data.tests, X: new Float32Array(N), Y: new Float32Array(N), label: new Uint16Array(bytes(data.labels)) });
  for (let i = 0; i < N; i++) { m.X[i] = q[2 * i] / 65535; m.Y[i] = q[2 * i + 1] / 65535; }
  m.order = Int32Array.from({ length: N }, (_, i) => i); // shuffled, so that no class lies on top of the others; tests last
  let seed = 1; const random = n => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) % n;
  for (const [from, to] of [[0, m.tests], [m.tests, N]])
    for (let i = to - 1; i > from; i--) { const j = from + random(i - from + 1), k = m.order[i]; m.order[i] = m.order[j]; m.order[j] = k; }
  m.order = Int32Array.from([...m.order.subarray(m.tests), ...m.order.subarray(0, m.tests)]);
  const G = m.G = 128, start = m.start = new Int32Array(G * G + 1), cell = i => Math.min(G - 1, m.X[i] * G | 0) + G * Math.min(G - 1, m.Y[i] * G | 0);
  for (let i = 0; i < N; i++) start[cell(i) + 1]++;
  for (let c = 0; c < G * G; c++) start[c + 1] += start[c];
  const at = start.slice(); m.inCell = new Int32Array(N); for (let i = 0; i < N; i++) m.inCell[at[cell(i)]++] = i;
  m.middles = new Map();
}

function middle(m, c) {                                // where a class's name stands: its median, or null if it has no points
  if (!m.middles.has(c)) { const of = m.order.filter(i => m.label[i] === c), median = v => Float32Array.from(of, i => v[i]).sort()[of.length >> 1];
    m.middles.set(c, of.length ? [median(m.X), median(m.Y)] : null); }
  return m.middles.get(c);
}

const shown = (m, i) => (m.only < 0 || m.label[i] === m.only) && (m.show === 'both' || (i < m.tests) === (m.show === 'test'));
const px = (m, i) => m.X[i] * m.view.s + m.view.x, py = (m, i) => m.Y[i] * m.view.s + m.view.y;

function stamp(radius, hole) {                         // offsets and coverage, 0 to 256, of a disc, or of a ring
  const R = Math.ceil(radius), dx = [], dy = [], a = [];
  for (let y = -R; y <= R; y++) for (let x = -R; x <= R; x++) {
    const d = Math.hypot(x, y), cover = Math.min(1, Math.max(0, radius + 0.5 - d)) * (hole ? Math.min(1, Math.max(0, d - hole + 0.5)) : 1);
    if (cover > 0.06) { dx.push(x); dy.push(y); a.push(Math.round(256 * cover)); } }
  return { R, dx, dy, a };
}

function paint(m) {
  const W = m.points.width, H = m.points.height, ratio = m.ratio, out = m.out, v = m.view, count = m.order.length;
  out.fill(m.paper);
  const size = Math.min(5.5, (m.N > 20000 ? 1 : m.N > 5000 ? 1.6 : 2.6) * (v.s / m.fit) ** 0.4) * ratio;
  const dot = stamp(size), ring = stamp(size + 1.4 * ratio, Math.max(0.9, size + 0.1 * ratio)), sx = v.s * ratio, ox = v.x * ratio, oy = v.y * ratio;
  for (const strong of m.only < 0 ? [true] : [false, true]) for (let n = 0; n < count; n++) {
    const i = m.order[n], c = m.label[i], test = i < m.tests;
    if (m.only >= 0 && (c === m.only) !== strong || m.show !== 'both' && test !== (m.show === 'test')) continue;
    const x = m.X[i] * sx + ox | 0, y = m.Y[i] * sx + oy | 0, mark = test ? ring : dot, R = mark.R;
    if (x < R || y < R || x >= W - R || y >= H - R) continue;
    const color = strong ? m.colors[c] : m.faint, rb = color & 0xff00ff, g = color & 0xff00, at = y * W + x;
    for (let k = 0; k < mark.a.length; k++) {
      const p = at + mark.dy[k] * W + mark.dx[k], a = strong ? mark.a[k] : mark.a[k] >> 2, under = out[p];
      out[p] = (0xff000000 | ((rb * a + (under & 0xff00ff) * (256 - a)) >>> 8 & 0xff00ff) | ((g * a + (under & 0xff00) * (256 - a)) >>> 8 & 0xff00)) >>> 0; } }
  m.points.getContext('2d').putImageData(m.image, 0, 0);
}

function outline(m) {                                  // names, the hovered point, its neighbors, the named example
  const c = m.over.getContext('2d'), ratio = m.ratio; c.setTransform(ratio, 0, 0, ratio, 0, 0); c.clearRect(0, 0, m.width, m.height);
  const ring = (i, r, width, style) => { c.beginPath(); c.arc(px(m, i), py(m, i), r, 0, 7); c.lineWidth = width; c.strokeStyle = style; c.stroke(); };
  c.font = '600 13px ' + m.font; c.textAlign = 'center'; c.textBaseline = 'middle'; c.lineWidth = 4; c.lineJoin = 'round';
  for (const k of m.only >= 0 ? [m.only] : m.names.length <= MANY ? m.names.keys() : []) { const at = middle(m, k); if (!at) continue;
    const x = at[0] * m.view.s + m.view.x, y = at[1] * m.view.s + m.view.y - (m.only < 0 ? 0 : 16);  // of one class alone: above its points, which may be few
    c.strokeStyle = m.paperText; c.strokeText(m.names[k], x, y); c.fillStyle = m.ink; c.fillText(m.names[k], x, y); }
  if (m.selected >= 0) { ring(m.selected, 11, 5, m.paperText); ring(m.selected, 11, 2.5, m.ink); }
  if (m.keys) { c.strokeStyle = m.ink; c.lineWidth = 1; c.beginPath(); for (const [a, b] of [[-9, -3], [3, 9]]) { c.moveTo(m.width / 2 + a, m.height / 2); c.lineTo(m.width / 2 + b, m.height / 2); c.moveTo(m.width / 2, m.height / 2 + a); c.lineTo(m.width / 2, m.height / 2 + b); } c.stroke(); }
  if (m.hover < 0) return;
  const said = m.answers.get(m.hover);
  for (const j of said ? said.near : []) {
    for (const [width, style] of [[4, m.paperText], [1.6, m.ink]]) { c.beginPath(); c.moveTo(px(m, m.hover), py(m, m.hover)); c.lineTo(px(m, j), py(m, j)); c.lineWidth = width; c.strokeStyle = style; c.stroke(); }
    ring(j, NEAR, 4, m.paperText); ring(j, NEAR, 1.6, m.ink); }
  ring(m.hover, 9, 4.5, m.paperText); ring(m.hover, 9, 2.2, m.ink);
}

function redraw(m) {
  if (m.frame) return;
  m.frame = requestAnimationFrame(() => { m.frame = 0; const t = performance.now(); paint(m); outline(m); place(m); m.points.dataset.ms = (performance.now() - t).toFixed(1); });
}

function fit(m) {                                      // the whole map, in the middle
  let w = 0, h = 0; for (let i = 0; i < m.N; i++) { if (m.X[i] > w) w = m.X[i]; if (m.Y[i] > h) h = m.Y[i]; }
  m.fit = Math.min((m.width - 36) / Math.max(w, 0.05), (m.height - 36) / Math.max(h, 0.05));
  return { s: m.fit, x: (m.width - w * m.fit) / 2, y: (m.height - h * m.fit) / 2 };
}

function look(m, view) { m.view = view; bus.views[m.id] = { ...view, width: m.width }; redraw(m); }

function zoom(m, by, x = m.width / 2, y = m.height / 2) {
  const s = Math.min(m.fit * 60, Math.max(m.fit * 0.5, m.view.s * by)), f = s / m.view.s;
  look(m, { s, x: x - (x - m.view.x) * f, y: y - (y - m.view.y) * f });
}

function nearestPoint(m, x, y, reach) {
  const G = m.G, u = (x - m.view.x) / m.view.s, v = (y - m.view.y) / m.view.s, r = reach / m.view.s, cell = t => Math.min(G - 1, Math.max(0, Math.floor(t * G)));
  let best = -1, least = r * r;
  for (let b = cell(v - r); b <= cell(v + r); b++) for (let a = cell(u - r); a <= cell(u + r); a++)
    for (let k = m.start[a + G * b]; k < m.start[a + G * b + 1]; k++) { const i = m.inCell[k], d = (m.X[i] - u) ** 2 + (m.Y[i] - v) ** 2;
      if (d < least && shown(m, i)) { least = d; best = i; } }
  return best;
}

function hover(m, i) {                                 // ring at once, card after a moment
  if (i === m.hover) return;
  m.hover = i; clearTimeout(m.dwell); m.card.hidden = true; outline(m); m.box.classList.toggle('on', i >= 0);
  if (i >= 0 && m.answers.has(i)) describe(m, m.answers.get(i));
  else if (i >= 0) m.dwell = setTimeout(() => m.ask(i), DWELL);
}

function describe(m, said) {                           // the card: the example, and its nearest
  const picture = (t, name) => { const i = new Image(); i.src = t.src; i.alt = t.alt; i.className = name; i.decoding = 'sync'; return i; };
  const row = make('div', 'near');
  said.tiles.forEach(t => { const f = make('figure', t.differs ? 'differs' : ''); f.append(picture(t, 'small'), make('figcaption', '', (t.differs ? '≠ ' : '') + t.label)); row.append(f); });
  const head = make('div', 'head'), words = make('div'); words.append(make('b', '', said.name), make('div', '', said.label), ...said.words.map(w => make('div', 'soft', w)));
  head.append(picture(said, 'large'), words);
  m.card.replaceChildren(head, make('div', 'soft', 'nearest by the kernel' + (m.tests < m.N ? ', of both splits' : '')), row); m.card.hidden = false; place(m);
}

function place(m) {                                    // beside its point, within the map
  if (m.card.hidden || m.hover < 0) return;
  const x = px(m, m.hover), y = py(m, m.hover), w = m.card.offsetWidth, h = m.card.offsetHeight;
  const near = (m.answers.get(m.hover) || { near: [] }).near, right = near.filter(j => px(m, j) > x).length > near.length / 2 && x > w + 24; // off the lines
  m.card.style.left = Math.max(4, Math.min(m.width - w - 4, !right && x + 20 + w < m.width ? x + 20 : x - 20 - w)) + 'px';
  m.card.style.top = Math.max(4, Math.min(m.height - h - 4, m.width < 500 ? (y > m.height / 2 ? y - h - 20 : y + 20) : y - h / 2)) + 'px';
}

const nameOf = (m, i) => i < m.tests ? 'test:' + i : 'train:' + (i - m.tests);
const open = (m, i) => { if (i >= 0) go('example?example=' + nameOf(m, i)); };

function listen(m) {
  const box = m.box, at = e => { const r = box.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; }, down = new Map();
  const pinch = () => { const [p, q] = [...down.values()]; return { x: (p[0] + q[0]) / 2, y: (p[1] + q[1]) / 2, wide: Math.max(1, Math.hypot(p[0] - q[0], p[1] - q[1])) }; };
  let moved = 0, last = 0;                             // two fingers have always moved: they never open an example
  box.onpointerdown = e => { if (e.button) return; down.set(e.pointerId, at(e)); moved = down.size > 1 ? 9 : 0; box.setPointerCapture(e.pointerId); };
  box.onpointermove = e => {
    const [x, y] = at(e), before = down.get(e.pointerId); m.keys = false;
    if (!before) { if (e.pointerType !== 'touch') hover(m, nearestPoint(m, x, y, PICK)); return; }
    moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    const from = down.size === 2 && pinch(); down.set(e.pointerId, [x, y]);
    if (from) { const to = pinch(); hover(m, -1); look(m, { ...m.view, x: m.view.x + to.x - from.x, y: m.view.y + to.y - from.y }); zoom(m, to.wide / from.wide, to.x, to.y); }
    else if (moved > 4) { hover(m, -1); look(m, { ...m.view, x: m.view.x + x - before[0], y: m.view.y + y - before[1] }); } };
  box.onpointerup = box.onpointercancel = e => {
    const was = down.delete(e.pointerId); if (!was || moved > 4 || e.type !== 'pointerup') return;
    const i = nearestPoint(m, ...at(e), PICK), twice = e.timeStamp - last < 350; last = e.timeStamp;
    if (i < 0) { hover(m, -1); if (twice) look(m, fit(m)); }
    else if (e.pointerType === 'touch' && m.hover !== i) hover(m, i);
    else open(m, i); };
  box.onpointerleave = e => { if (!down.size && e.pointerType !== 'touch') hover(m, -1); };
  box.addEventListener('wheel', e => { e.preventDefault(); hover(m, -1); zoom(m, Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0015)), ...at(e)); }, { passive: false });
  box.onkeydown = e => {
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[e.key];
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === 'Enter') { open(m, m.hover); return; }
    if (step) look(m, { ...m.view, x: m.view.x + step[0], y: m.view.y + step[1] });
    else if (e.key === '+' || e.key === '=') zoom(m, 1.4); else if (e.key === '-') zoom(m, 1 / 1.4); else if (e.key === '0') look(m, fit(m));
    else if (e.key === 'Escape') { m.keys = false; hover(m, -1); return; } else return;
    e.preventDefault(); m.keys = true; hover(m, nearestPoint(m, m.width / 2, m.height / 2, 60)); outline(m); };
  box.onblur = () => { m.keys = false; hover(m, -1); outline(m); };
}

function legend(m, tell) {                             // built once, then only marked
  const counts = new Int32Array(m.names.length); for (const c of m.label) counts[c]++;
  const choose = (what, value) => { m[what] = value; hover(m, -1); mark(); redraw(m); tell({ only: m.only, show: m.show }); };
  const button = (words, title, act) => { const b = make('button', '', words); b.type = 'button'; b.title = title; b.onclick = act; return b; };
  const shows = [['both', 'Both splits', ''], ['train', 'Training', 'dot'], ['test', 'Test', 'ring']].map(([value, words, sign]) => {
    const b = button('', '', () => choose('show', value)); if (sign) b.append(make('i', sign)); b.append(words); b._is = () => m.show === value; return b; });
  const classes = [...m.names.entries()].filter(([c]) => counts[c]).map(([c, name]) => { const b = button('', 'this class alone', () => choose('only', m.only === c ? -1 : c)), i = make('i', 'dot');
    i.style.background = m.palette[c]; b.append(i, name, make('small', '', many(counts[c]))); b._is = () => m.only === c; b._name = name.toLowerCase(); return b; });
  const all = button('All classes', '', () => choose('only', -1)); all._is = () => m.only < 0;
  const group = (label, children) => { const g = make('div', 'group'); g.role = 'group'; g.ariaLabel = label; g.append(...children); return g; };
  const names = make('div', 'names'), find = make('input'); names.append(...classes); find.type = 'search'; find.placeholder = find.ariaLabel = 'Find a class';
  find.oninput = () => { const wanted = find.value.trim().toLowerCase(); classes.forEach(b => { b.hidden = !b._name.includes(wanted); }); };
  find.onkeydown = e => { e.stopPropagation(); const first = e.key === 'Enter' && find.value.trim() && classes.find(b => !b.hidden); if (first) first.click(); };
  const reveal = b => { if (b && (b.offsetTop < names.scrollTop || b.offsetTop + b.offsetHeight > names.scrollTop + names.clientHeight)) names.scrollTop = b.offsetTop - names.clientHeight / 2; };
  const mark = m.mark = () => { [...shows, all, ...classes].forEach(b => b.setAttribute('aria-pressed', b._is())); reveal(classes.find(b => b._is())); };
  m.legend.replaceChildren(...(m.tests < m.N ? [group('Splits', shows)] : []), group('Classes', [all, ...(classes.length > MANY ? [find] : []), names])); mark();
}

function measure(m) {
  const width = m.box.clientWidth, height = m.box.clientHeight, ratio = Math.min(2, devicePixelRatio || 1, Math.max(1, Math.sqrt(2e6 / (width * height)))); // more pixels paint no faster than 50 ms
  if (!width || width === m.width && height === m.height && ratio === m.ratio) return;
  const old = { w: m.width, h: m.height };
  Object.assign(m, { width, height, ratio });
  for (const c of [m.points, m.over]) { c.width = Math.round(width * ratio); c.height = Math.round(height * ratio); }
  m.image = m.points.getContext('2d').createImageData(m.points.width, m.points.height); m.out = new Uint32Array(m.image.data.buffer);
  const whole = fit(m), kept = bus.views[m.id];
  if (m.view && old.w) m.view = { s: m.view.s, x: m.view.x + (width - old.w) / 2, y: m.view.y + (height - old.h) / 2 };
  else m.view = kept && kept.width === width ? { s: kept.s, x: kept.x, y: kept.y } : whole;
  redraw(m);
}

function heard(m) {                                    // what Python says: the choices in the address, answers
  const said = bus.said; if (!said || said.id !== m.id) return;
  if (said.choice !== m.choice) { m.choice = said.choice; m.only = said.only; m.show = said.show; m.mark(); redraw(m); }
  if (said.selected !== m.selected) { m.selected = said.selected;
    if (m.selected >= 0 && bus.centered !== m.id + ':' + m.selected) { const s = m.fit * 8; bus.centered = m.id + ':' + m.selected;
      look(m, { s, x: m.width / 2 - m.X[m.selected] * s, y: m.height / 2 - m.Y[m.selected] * s }); }
    redraw(m); }
  if (said.answer && !m.answers.has(said.answer.point)) m.answers.set(said.answer.point, said.answer);
  if (said.answer && said.answer.point === m.hover && m.card.hidden) { describe(m, said.answer); outline(m); }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.m'), find = name => root.querySelector(name), style = getComputedStyle(root);
  const m = root._state = root._state || { box: find('.box'), points: find('.points'), over: find('.over'), card: find('.card'), legend: find('.legend'),
    answers: new Map(), hover: -1, selected: -1, only: -1, show: 'both' };
  const paper = rgb(style.getPropertyValue('--st-background-color')), dark = paper[0] < 128;
  root.className = 'm ' + (dark ? 'dark' : 'light');
  const mixed = dark ? [90, 96, 106] : [190, 194, 200];
  Object.assign(m, { paper: pixel(paper), paperText: `rgb(${paper})`, faint: pixel(mixed), ink: style.color, font: style.fontFamily, names: data.names, palette: data.palette,
    colors: Uint32Array.from(data.palette, text => pixel(rgb(text))), ask: i => setTriggerValue('hover', i) });
  for (const [name, value] of [['--px', data.width + 'px'], ['--py', data.height + 'px'], ['--sx', data.small[0] + 'px'], ['--sy', data.small[1] + 'px'], ['--how', data.rendering]]) root.style.setProperty(name, value);
  if (m.id !== data.id) { unpack(m, data); m.view = null; m.width = 0; m.answers.clear(); legend(m, choice => setTriggerValue('choice', choice)); listen(m);
    m.box.setAttribute('aria-label', data.label); find('.in').onclick = () => zoom(m, 1.6); find('.out').onclick = () => zoom(m, 1 / 1.6); find('.all').onclick = () => look(m, fit(m)); }
  measure(m); heard(m); redraw(m);
  const onSaid = () => heard(m), watch = new ResizeObserver(() => measure(m));
  if (m.stop) m.stop();
  bus.addEventListener('said', onSaid); watch.observe(m.box);
  m.stop = () => { bus.removeEventListener('said', onSaid); watch.disconnect(); clearTimeout(m.dwell); };
  return m.stop;
}
"""
)
