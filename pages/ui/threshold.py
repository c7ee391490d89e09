"""A histogram with a threshold to drag, and the share of equal labels along the ranking below it.

The browser holds every value (4 bytes each), so that count and marks follow the pointer without asking the server;
the threshold is told to Python once it is let go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from kernel_core.findings.pairs import Histogram
from pages.ui.links import FOLLOW_JS, query

CSS = """
.t { --ink: var(--st-text-color); --line: color-mix(in srgb, var(--ink) 16%, transparent);
  --soft: color-mix(in srgb, var(--ink) 68%, transparent); --bar: #7f8c9b; --mark: light-dark(#c75b00, #ff9d45);
  font: 13px/1.4 var(--st-font); color: var(--ink); }
.t.dark { color-scheme: dark } .t.light { color-scheme: light }
p { margin: 0 0 4px } .count { font-size: 16px } .count b { font-variant-numeric: tabular-nums }
.count a { color: var(--st-link-color); white-space: nowrap; } h4 { font-size: 16px; font-weight: 600; margin: 18px 0 2px }
.said { color: var(--soft); min-height: 1.4em; font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; overflow: visible; user-select: none; -webkit-user-select: none }
text { fill: var(--soft); font: 12px var(--st-font); font-variant-numeric: tabular-nums }
.grid { stroke: var(--line) } .bar rect.ink { fill: var(--bar) } .bar.over rect.ink { fill: var(--mark) }
.bar { cursor: pointer } .bar:hover rect.ink { filter: brightness(1.2) } .bar:focus { outline: none }
.bar:focus-visible rect.ink { stroke: var(--ink); stroke-width: 2 } .hit { fill: transparent }
.grip { cursor: ew-resize; touch-action: none } .grip:focus { outline: none }
.grip line { stroke: var(--mark); stroke-width: 2 } .grip .knob { fill: var(--mark) }
.grip:focus-visible .knob { stroke: var(--st-primary-color); stroke-width: 3 }
.at { stroke: var(--mark); stroke-width: 2; stroke-dasharray: 4 3 }
.running, .cumulative { fill: none; stroke-width: 2 } .running { stroke: var(--st-primary-color) }
.cumulative { stroke: var(--soft); stroke-dasharray: 2 3 } .key { display: flex; flex-wrap: wrap; gap: 2px 18px; color: var(--soft) }
.key i { display: inline-block; width: 22px; border-top: 2px solid var(--st-primary-color); vertical-align: middle; margin-right: 6px }
.key i.of { border-top: 2px dotted var(--soft) }
"""

JS = (
    FOLLOW_JS
    + """
const draw = (name, given, text) => { const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in given) e.setAttribute(key, given[key]); if (text !== undefined) e.textContent = text; return e; };
const many = n => n.toLocaleString('en-US'), percent = (x, digits) => (100 * x).toFixed(digits) + ' %';
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));

function ticks(low, high, count) {                    // round numbers within a range
  const raw = (high - low) / count, ten = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find(s => s * ten >= raw) * ten;
  const found = []; for (let n = Math.ceil(low / step); n * step <= high + 1e-9 * step; n++) found.push(n * step);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

function countAtLeast(values, threshold) {            // values never increase
  let low = 0, high = values.length;
  while (low < high) { const middle = (low + high) >> 1; if (values[middle] >= threshold) low = middle + 1; else high = middle; }
  return low;
}

function scaleOf(d, width) {                          // a value's place on the axis, and back
  let low = d.edges[0], high = d.edges[d.edges.length - 1];
  if (low === high) { low -= 0.5; high += 0.5; }
  const left = 44, right = width - 12, unit = (right - left) / (high - low);
  return { left, right, low, high, x: v => left + (Math.min(high, Math.max(low, v)) - low) * unit,
    v: x => low + (Math.min(right, Math.max(left, x)) - left) / unit };
}

function drawBars(s) {
  const { data: d, svg } = s, width = svg.clientWidth || 600, height = 250, floor = height - 34, top = 16;
  const scale = s.scale = scaleOf(d, width), most = Math.max(...d.counts), up = n => floor - n / most * (floor - top);
  svg.setAttribute('height', height); svg.replaceChildren();
  const across = ticks(scale.low, scale.high, Math.max(2, Math.floor(width / 110)));
  for (const v of across.found) svg.append(draw('text', { x: scale.x(v), y: floor + 16, 'text-anchor': 'middle' }, v.toFixed(across.digits)));
  for (const n of ticks(0, most, 3).found) if (Number.isInteger(n)) svg.append(
    draw('line', { class: 'grid', x1: scale.left, x2: scale.right, y1: up(n), y2: up(n) }), draw('text', { x: scale.left - 6, y: up(n) + 4, 'text-anchor': 'end' }, many(n)));
  svg.append(draw('text', { x: (scale.left + scale.right) / 2, y: height - 2, 'text-anchor': 'middle' }, d.axis));
  s.bars = [];
  d.counts.forEach((count, k) => {
    if (!count) return;
    const one = d.counts.length === 1, from = one ? scale.x(d.edges[0]) - 12 : scale.x(d.edges[k]), to = one ? from + 24 : scale.x(d.edges[k + 1]);
    const words = `${d.edges[k].toFixed(3)} to ${d.edges[k + 1].toFixed(3)}: ${many(count)} ${d.what}, rank ${many(d.first[k])} to ${many(d.last[k])}`;
    const bar = draw('g', { class: 'bar', role: 'link', tabindex: -1, 'aria-label': words + ': show these pairs' }), y = Math.min(up(count), floor - 1);
    bar.append(draw('title', {}, words + '. Click to see these pairs.'), draw('rect', { class: 'hit', x: from, width: to - from, y: top, height: floor - top }),
      draw('rect', { class: 'ink', x: from + 0.5, width: Math.max(1, to - from - 1), y, height: floor - y }));
    bar._open = () => go(d.href + `&first=${d.first[k]}&last=${d.last[k]}`);
    bar._low = d.edges[k]; bar._words = words;
    bar.onclick = bar._open; bar.onfocus = bar.onpointerenter = () => { s.said.textContent = words + '. Click to see them.'; };
    bar.onpointerleave = bar.onblur = () => { s.said.textContent = d.hint; };
    s.bars.push(bar); svg.append(bar); });
  if (s.bars.length) s.bars[0].setAttribute('tabindex', 0);
  svg.onkeydown = e => {                               // the bars are one stop for Tab, the arrows walk
    const at = s.bars.indexOf(e.target); if (at < 0) return;
    if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); s.bars[at]._open(); }
    const next = s.bars[at + ({ ArrowRight: 1, ArrowLeft: -1 }[e.key] || 0)];
    if (next && next !== e.target) { e.target.setAttribute('tabindex', -1); next.setAttribute('tabindex', 0); next.focus(); e.preventDefault(); } };
  s.grip = s.grip || draw('g', { class: 'grip', role: 'slider', tabindex: 0, 'aria-label': 'Threshold' });
  s.grip.replaceChildren(draw('rect', { class: 'hit', x: -11, width: 22, y: 0, height: floor }), draw('line', { y1: 8, y2: floor }),
    draw('rect', { class: 'knob', x: -7, y: 0, width: 14, height: 18, rx: 4 }));
  svg.append(s.grip);
}

function drawCurve(s) {
  const { data: d, curve } = s, width = curve.clientWidth || 600, height = 200, floor = height - 34, top = 10, left = 44, right = width - 12;
  const c = d.curve, count = s.values.length, low = Math.min(0.999, ...c.running, ...c.cumulative), bottom = Math.max(0, low - 0.05 * (1 - low) - 0.001);
  const x = r => left + (count > 1 ? (r - 1) / (count - 1) : 0.5) * (right - left), y = v => floor - (v - bottom) / (1 - bottom) * (floor - top);
  curve.setAttribute('height', height); curve.replaceChildren();
  const up = ticks(100 * bottom, 100, 4);
  for (const v of up.found) curve.append(draw('line', { class: 'grid', x1: left, x2: right, y1: y(v / 100), y2: y(v / 100) }),
    draw('text', { x: left - 6, y: y(v / 100) + 4, 'text-anchor': 'end' }, v.toFixed(up.digits) + '%'));
  for (const r of [1, ...ticks(1, count, Math.max(2, Math.floor(width / 130))).found.filter(r => r > 0.06 * count)])
    if (Number.isInteger(r) && r <= count) curve.append(draw('text', { x: x(r), y: floor + 16, 'text-anchor': 'middle' }, many(r)));
  curve.append(draw('text', { x: (left + right) / 2, y: height - 2, 'text-anchor': 'middle' }, 'rank, the nearest first'));
  for (const name of ['cumulative', 'running']) curve.append(draw('path', { class: name,
    d: c.rank.length > 1 ? 'M' + c.rank.map((r, k) => x(r).toFixed(1) + ' ' + y(c[name][k]).toFixed(1)).join('L') : `M${left} ${y(c[name][0])}H${right}` }));
  s.at = draw('line', { class: 'at', y1: top, y2: floor }); curve.append(s.at); s.rankX = x;
}

function follow_threshold(s) {                         // everything that depends on it
  const { data: d } = s, n = countAtLeast(s.values, s.threshold), total = s.values.length, c = d.curve;
  const [a, b, link] = s.count.children;
  a.textContent = many(n); b.textContent = ` of ${many(total)} ${d.what} (${percent(n / total, 1)}) have a similarity of at least ${s.threshold.toFixed(d.digits)}. `;
  link.hidden = !n; link.setAttribute('href', d.href + `&first=1&last=${n}`);
  link.textContent = n === 1 ? 'Show this pair' : 'Show these pairs';
  s.grip.setAttribute('transform', `translate(${s.scale.x(s.threshold)} 0)`);
  for (const [name, value] of [['valuemin', s.scale.low], ['valuemax', s.scale.high], ['valuenow', s.threshold]]) s.grip.setAttribute('aria-' + name, value);
  s.grip.setAttribute('aria-valuetext', `${s.threshold.toFixed(d.digits)}: ${many(n)} of ${many(total)} ${d.what}`);
  for (const bar of s.bars) bar.classList.toggle('over', bar._low >= s.threshold);
  const x = s.rankX(Math.max(1, n)); s.at.setAttribute('x1', x); s.at.setAttribute('x2', x); s.at.style.display = n ? '' : 'none';
  const k = Math.max(0, c.rank.findLastIndex(r => r <= Math.max(1, n)));
  s.share.textContent = n ? `Of the ${many(n)} at least this near, ${percent(s.agreed(n), 1)} have the label of their nearest; `
    + `around rank ${many(n)}, ${percent(c.running[k], 1)}.` : 'No pair is at least this near.';
}

function listen(s, tell) {
  const { grip, svg } = s, ten = 10 ** s.data.digits, round = v => Math.floor(v * ten + 1e-6) / ten, step = () => (s.scale.high - s.scale.low) / 100;
  const set = v => { s.threshold = round(Math.min(s.scale.high, Math.max(s.scale.low, v))); follow_threshold(s); };
  grip.onpointerdown = e => { s.dragging = true; grip.setPointerCapture(e.pointerId); grip.focus(); e.preventDefault(); };
  grip.onpointermove = e => { if (s.dragging) set(s.scale.v(e.clientX - svg.getBoundingClientRect().left)); };
  grip.onpointerup = grip.onpointercancel = () => { if (s.dragging) { s.dragging = false; tell(s.threshold); } };
  grip.onclick = e => e.stopPropagation();
  grip.onkeydown = e => {
    const by = e.shiftKey ? 0.1 : 1, moves = { ArrowRight: by, ArrowUp: by, ArrowLeft: -by, ArrowDown: -by, PageUp: 10, PageDown: -10 };
    const to = e.key === 'Home' ? s.scale.low : e.key === 'End' ? s.scale.high : e.key in moves ? s.threshold + moves[e.key] * step() : null;
    if (to === null) return;
    e.preventDefault(); e.stopPropagation(); set(to);
    clearTimeout(s.later); s.later = setTimeout(() => tell(s.threshold), 400); };
}

export default function ({ data, parentElement, setTriggerValue }) {
  const t = parentElement.querySelector('.t'), find = name => t.querySelector(name);
  const rgb = (getComputedStyle(t).getPropertyValue('--st-background-color').match(/[0-9a-f]{2}/gi) || ['ff']).map(x => parseInt(x, 16));
  t.className = 't ' + (rgb[0] < 128 ? 'dark' : 'light');
  const s = t._state = t._state || { count: find('.count'), svg: find('.bars'), curve: find('.curve'), said: find('.hint'), share: find('.share') };
  s.data = data; s.values = new Float32Array(bytes(data.values).buffer);
  const agrees = bytes(data.agrees), sums = new Uint32Array(agrees.length + 1); agrees.forEach((a, k) => { sums[k + 1] = sums[k] + a; });
  s.agreed = n => sums[n] / n;
  if (!s.dragging) { clearTimeout(s.later); s.threshold = data.threshold; }
  s.said.textContent = data.hint; find('.window').textContent = data.window;
  const redraw = () => { drawBars(s); drawCurve(s); listen(s, v => setTriggerValue('threshold', v)); follow_threshold(s); };
  const focused = t.getRootNode().activeElement === s.grip; redraw(); if (focused) s.grip.focus();
  t.onclick = follow;
  if (s.watch) s.watch.disconnect();
  let width = s.svg.clientWidth;
  s.watch = new ResizeObserver(() => { if (s.svg.clientWidth !== width && !s.dragging) { width = s.svg.clientWidth; redraw(); } });
  s.watch.observe(t);
  return () => { s.watch.disconnect(); clearTimeout(s.later); };
}
"""
)

HTML = """<div class="t"><p class="count"><b></b><span></span><a></a></p><p class="said hint"></p><svg class="bars"></svg>
<h4>How often do the labels agree?</h4><p class="said share" aria-live="polite"></p><svg class="curve" role="img" aria-label="Share of equal labels by rank"></svg>
<div class="key"><span><i></i><span class="window"></span></span><span><i class="of"></i>all pairs up to this rank</span></div></div>"""

_component = st.components.v2.component("kernel_explorer_threshold", html=HTML, css=CSS, js=JS)
DIGITS = 4  # of a threshold, in the address too


def threshold_chart(
    pairs: pd.DataFrame,
    bins: Histogram,
    curve: pd.DataFrame,
    *,
    by: str,
    axis: str,
    threshold: float,
    window: int,
    what: str,
    on_release: Callable[[], None],
) -> None:
    """Draw the chart for a ranking as `duplicates.nearest_pairs` gives it.

    by: the similarity's name in addresses; axis: what its axis is called. window: ranks that `curve` runs over. what: the
    rows of the ranking, in words.
    on_release: called when the threshold was moved; it stands in `st.session_state["threshold_chart"].threshold`.
    """
    values = pairs["similarity"].to_numpy(np.float32)
    agrees = (pairs["query_label"] == pairs["database_label"]).to_numpy(np.uint8)
    data: dict[str, Any] = {
        "values": base64.b64encode(values.tobytes()).decode(),
        "agrees": base64.b64encode(agrees.tobytes()).decode(),
        "edges": bins.edges.tolist(), "counts": bins.counts.tolist(),
        "first": bins.first.tolist(), "last": bins.last.tolist(),
        "curve": {name: curve[name].round(4).tolist() for name in curve},
        "axis": axis, "what": what, "threshold": threshold, "digits": DIGITS,
        "href": "near_duplicates?" + query(by=by),
        "hint": "Drag the orange line, or click a bar to see its pairs.",
        "window": f"the {window:,} pairs around this rank",
    }  # fmt: skip
    _component(key="threshold_chart", data=data, on_threshold_change=on_release)
