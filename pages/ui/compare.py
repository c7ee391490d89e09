"""Two images in the browser: flipped in place, faded into each other, or subtracted; at once, without the server."""

from __future__ import annotations

from typing import Any

import streamlit as st

from kernel_core.explain.image_alignment import Alignment
from kernel_core.results.results import Results
from kernel_core.spec import Split, example_name
from pages.ui import links, load
from pages.ui.gallery import tile_size

HTML = """<div class="q">
<a class="one" data-side="a"><img><span></span></a><a class="one" data-side="b"><img><span></span></a>
<div class="stage"><canvas></canvas><span class="said" aria-live="polite"></span>
<div class="how" role="group" aria-label="how the two are laid over each other">
<button type="button" data-mode="flip" data-hotkey="f">Flip (f)</button>
<button type="button" data-mode="overlay">Overlay</button>
<button type="button" data-mode="absolute">Difference</button>
<button type="button" data-mode="signed">Signed difference</button></div>
<label class="mix">A <input type="range" min="0" max="100" value="50" aria-label="share of B"> B</label>
<label class="amp">amplified <select><option value="1">×1</option><option value="2">×2</option>
<option value="4">×4</option><option value="8">×8</option></select></label>
<label class="al"><input type="checkbox"> <span></span></label></div></div>"""

CSS = """
.q { --ink: var(--st-text-color); --line: color-mix(in srgb, var(--ink) 18%, transparent);
  display: flex; flex-wrap: wrap; gap: 20px; font: 14px/1.4 var(--st-font); color: var(--ink); align-items: flex-start; }
img, canvas { width: var(--px); height: var(--py); image-rendering: var(--how); border-radius: 3px; display: block;
  background: var(--line); }
canvas { cursor: pointer; }
a.one { all: unset; cursor: pointer; border-radius: 4px; } a.one:focus-visible, button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
a.one span, .said { display: block; padding-top: 4px; max-width: var(--px); min-width: 0; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; } a.one:hover span { text-decoration: underline; }
.stage { display: flex; flex-direction: column; gap: 6px; max-width: 100%; } .said { padding: 0; font-variant-numeric: tabular-nums; max-width: none; }
.how { display: flex; flex-wrap: wrap; } button { font: inherit; color: inherit; background: none; border: 1px solid var(--line);
  padding: 4px 10px; cursor: pointer; margin-left: -1px; } button[aria-pressed=true] { border-color: var(--st-primary-color);
  color: var(--st-primary-color); position: relative; }
label { display: flex; align-items: center; gap: 8px; } [hidden] { display: none !important; }
input { accent-color: var(--st-primary-color); } select { font: inherit; color: inherit; background: var(--st-background-color); border: 1px solid var(--line); }
"""

JS = (
    links.FOLLOW_JS
    + """
/* Pixels of an image as (r, g, b, a) values, mirrored and moved; what nothing covers is transparent. */
function pixels(image, w, h, by) {
  const c = Object.assign(document.createElement('canvas'), { width: w, height: h }), x = c.getContext('2d');
  if (by) { x.translate(by.dx, by.dy); if (by.mirrored) { x.translate(w, 0); x.scale(-1, 1); } }
  x.drawImage(image, 0, 0, w, h);
  return x.getImageData(0, 0, w, h); }

const VALUE = { flip: (a, b, s) => s.second ? b : a, overlay: (a, b, s) => a + (b - a) * s.mix / 100,
  absolute: (a, b, s) => Math.abs(a - b) * s.amp, signed: (a, b, s) => 127.5 + (b - a) / 2 * s.amp };

function draw(q, data) {
  const s = q._s, canvas = q.querySelector('canvas'), [w, h] = data.size;
  canvas.width = w; canvas.height = h;
  const images = [...q.querySelectorAll('.one img')];
  if (!images.every(i => i.complete && i.naturalWidth)) return;
  const a = pixels(images[0], w, h), b = pixels(images[1], w, h, s.aligned && data.align);
  const out = new ImageData(w, h), value = VALUE[s.mode], alone = s.mode === 'flip' || s.mode === 'overlay';
  for (let i = 0; i < out.data.length; i += 4) {
    const covered = b.data[i + 3] > 0 || (s.mode === 'flip' && !s.second);
    for (let c = 0; c < 3; c++) out.data[i + c] = covered || alone ? value(a.data[i + c], b.data[i + c], s) : 0;
    out.data[i + 3] = covered ? 255 : 40; }
  canvas.getContext('2d').putImageData(out, 0, 0);
  canvas._shows = s.mode === 'flip' ? (s.second ? 'b' : 'a') : s.mode;
  canvas.dataset.shows = canvas._shows;
  const moved = s.aligned ? ', aligned' : '', times = s.amp > 1 ? ', amplified ' + s.amp + ' times' : '';
  q.querySelector('.said').textContent = { flip: 'shows ' + (s.second ? 'B: ' + data.b.name + moved : 'A: ' + data.a.name),
    overlay: Math.round(100 - s.mix) + ' % A, ' + Math.round(s.mix) + ' % B' + moved,
    absolute: '|B − A|' + times + moved + '; black is equal', signed: '(B − A) / 2' + times + moved + '; grey is equal' }[s.mode];
  q.querySelectorAll('button').forEach(x => x.setAttribute('aria-pressed', String(x.dataset.mode === s.mode)));
  q.querySelector('.mix').hidden = s.mode !== 'overlay';
  q.querySelector('.amp').hidden = s.mode !== 'absolute' && s.mode !== 'signed';
}

export default function ({ data, parentElement }) {
  const q = parentElement.querySelector('.q'), s = q._s = q._s || { mode: 'flip', second: false, mix: 50, amp: 1, aligned: false };
  const show = () => draw(q, data), select = q.querySelector('select'), box = q.querySelector('.al input');
  for (const [name, value] of [['--px', data.width + 'px'], ['--py', data.height + 'px'], ['--how', data.rendering]])
    q.style.setProperty(name, value);
  if (q._pair !== data.a.name + data.b.name) { q._pair = data.a.name + data.b.name; s.second = false; }
  q.querySelectorAll('.one').forEach(one => { const e = data[one.dataset.side], image = one.querySelector('img');
    one.href = e.href; image.alt = e.alt; one.title = e.alt; image.onload = show;
    if (image._src !== e.src) { image._src = e.src; image.src = e.src; }
    one.querySelector('span').textContent = one.dataset.side.toUpperCase() + ': ' + e.name + ' · ' + e.label; });
  q.querySelector('.al span').textContent = data.aligned; box.disabled = !data.align; box.checked = s.aligned = s.aligned && !!data.align;
  select.value = String(s.amp);
  const set = change => { Object.assign(s, change); show(); };
  const flip = () => set({ second: s.mode === 'flip' ? !s.second : s.second, mode: 'flip' });
  q.querySelector('canvas').onclick = flip;
  q.querySelectorAll('button').forEach(x => x.onclick = x.dataset.mode === 'flip' ? flip : () => set({ mode: x.dataset.mode }));
  q.querySelector('.mix input').oninput = e => set({ mix: +e.target.value });
  select.onchange = e => set({ amp: +e.target.value });
  box.onchange = e => set({ aligned: e.target.checked });
  q.onclick = follow;
  show();
}
"""
)

_component = st.components.v2.component("kernel_explorer_compare", html=HTML, css=CSS, js=JS)


def show_pair(
    results: Results, a: tuple[Split, int], b: tuple[Split, int], best: Alignment | None, target: int = 256
) -> None:
    """Both images, links to their pages, and the stage on which they are laid over each other.

    best: how b is laid over a for the box that aligns them; None where the images cannot be.
    """
    height, width = results.examples[results.query].images.shape[1:3]
    shown = tile_size((height, width), target)
    data: dict[str, Any] = {
        "a": _side(results, *a), "b": _side(results, *b), "size": [width, height],
        "width": shown[0], "height": shown[1], "rendering": shown[2], "aligned": "align: " + describe(best),
        "align": {"dx": best.dx, "dy": best.dy, "mirrored": best.mirrored} if best and moves(best) else None,
    }  # fmt: skip
    _component(key="compare", data=data)


def moves(best: Alignment) -> bool:
    """Whether an alignment changes anything."""
    return best.mirrored or (best.dx, best.dy) != (0, 0)


def describe(best: Alignment | None) -> str:
    """An alignment in words, as of what is done to B."""
    if best is None or not moves(best):
        return "no small shift or mirroring of B makes them more alike"
    words = ["mirrored"] if best.mirrored else []
    words += [f"{abs(best.dx)} px {'right' if best.dx > 0 else 'left'}"] if best.dx else []
    words += [f"{abs(best.dy)} px {'down' if best.dy > 0 else 'up'}"] if best.dy else []
    return f"B {', '.join(words)}"


def _side(results: Results, split: Split, index: int) -> dict[str, str]:
    label = results.class_names[results.examples[split].labels[index]]
    name = example_name(split, index)
    return {
        "src": load.tile(results.id, split, index), "name": name, "label": label,
        "href": links.example_href(name), "alt": f"{split} example {index}, label {label}",
    }  # fmt: skip
