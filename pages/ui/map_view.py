"""The map of all examples: one component for the points, one for what is said of the point under the pointer."""

from __future__ import annotations

import base64
import colorsys
from typing import Any

import numpy as np
import streamlit as st

from kernel_core.findings.map_layout import ORDER, Map
from kernel_core.results.results import Results
from kernel_core.spec import ADJECTIVES, example_name
from pages.ui import load
from pages.ui.gallery import tile, tile_size
from pages.ui.map_script import ANSWER_JS, JS

CSS = """
.m { --ink: var(--st-text-color); --line: color-mix(in srgb, var(--ink) 16%, transparent);
  --soft: color-mix(in srgb, var(--ink) 68%, transparent); --warn: light-dark(#b3261e, #ff9b8f);
  display: grid; grid-template-columns: minmax(0, 1fr) 190px; gap: 14px; font: 13px/1.35 var(--st-font); color: var(--ink); }
.m.dark { color-scheme: dark } .m.light { color-scheme: light }
.box { position: relative; box-sizing: border-box; height: clamp(340px, 74vh, 900px); border: 1px solid var(--line); border-radius: 6px; overflow: hidden;
  cursor: grab; touch-action: none; user-select: none; -webkit-user-select: none; }
.box:active { cursor: grabbing } .box.on { cursor: pointer } .box:focus-visible { outline: 3px solid var(--st-primary-color); }
canvas { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.card { position: absolute; pointer-events: none; background: var(--st-background-color); border: 1px solid var(--line); border-radius: 6px;
  box-shadow: 0 4px 18px rgb(0 0 0 / 25%); padding: 9px; width: max-content; max-width: min(380px, calc(100% - 8px)); box-sizing: border-box; }
.card[hidden] { display: none } .head { display: flex; gap: 10px; margin-bottom: 6px } .soft { color: var(--soft); font-size: 12px }
img { display: block; image-rendering: var(--how); border-radius: 2px } .large { width: var(--px); height: var(--py) }
.small { width: var(--sx); height: var(--sy) } .near { display: flex; gap: 6px; padding-top: 3px } figure { margin: 0; width: 64px }
figcaption { font-size: 11px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap } .differs figcaption { color: var(--warn); font-weight: 600 }
.tools { position: absolute; right: 8px; top: 8px; display: flex; flex-direction: column; gap: 4px }
.stage { position: relative; min-width: 0 } .legend { display: flex; flex-direction: column; gap: 12px; max-height: clamp(340px, 74vh, 900px) }
.group, .names { display: flex; flex-direction: column; gap: 1px; min-height: 0 } .group { flex: none } .group:last-child { flex: 0 1 auto }
.names { position: relative; overflow-y: auto } .names button { flex: none } [hidden] { display: none !important }
input { font: inherit; color: inherit; background: var(--st-secondary-background-color); border: 1px solid var(--line); border-radius: 5px;
  padding: 4px 8px; margin: 4px 1px; min-width: 0 } input:focus-visible { outline: 2px solid var(--st-primary-color) }
button { font: inherit; color: inherit; background: none; border: 1px solid transparent; border-radius: 5px; padding: 4px 8px; text-align: left;
  cursor: pointer; display: flex; align-items: center; gap: 8px; min-width: 0; overflow-wrap: anywhere }
button:hover { background: color-mix(in srgb, var(--ink) 7%, transparent) } button:focus-visible { outline: 3px solid var(--st-primary-color) }
button[aria-pressed=true] { background: color-mix(in srgb, var(--ink) 11%, transparent); font-weight: 600 }
button small { color: var(--soft); margin-left: auto; font-variant-numeric: tabular-nums; font-weight: 400 }
.tools button { background: var(--st-background-color); border-color: var(--line); width: 34px; height: 34px; justify-content: center; padding: 0; font-size: 18px }
i { flex: none; width: 11px; height: 11px; border-radius: 50%; box-sizing: border-box } i.dot { background: var(--soft) } i.ring { border: 2.5px solid var(--soft) }
@media (max-width: 700px) { .m { grid-template-columns: minmax(0, 1fr) } .box { height: clamp(320px, 60vh, 420px) }
  .legend { max-height: 230px } .group:not(:last-child), .names { flex-direction: row; flex-wrap: wrap } .group > button { align-self: start }
  button small { margin-left: 0 } }
"""

HTML = """<div class="m"><div class="stage"><div class="box" tabindex="0" role="application"><canvas class="points"></canvas>
<canvas class="over"></canvas><div class="card" hidden></div></div><div class="tools">
<button class="in" type="button" title="Zoom in (+)" aria-label="Zoom in">+</button>
<button class="out" type="button" title="Zoom out (-)" aria-label="Zoom out">−</button>
<button class="all" type="button" title="The whole map (0, or a double click beside the points)" aria-label="The whole map">⤢</button>
</div></div><div class="legend"></div></div>"""

_points = st.components.v2.component("kernel_explorer_map", html=HTML, css=CSS, js=JS)
_answer = st.components.v2.component("kernel_explorer_map_answer", js=ANSWER_JS, html="<span></span>")

# Ten colors that people with color vision deficiencies tell apart (M. Petroff, arXiv 2107.02270).
TEN = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip


def palette(classes: int) -> list[str]:
    """A color a class, as #rrggbb: ten chosen ones, or hues around the wheel for more.

    >>> palette(2), len(set(palette(1000)))
    (['#3f90da', '#ffa90e'], 1000)
    """
    if classes <= len(TEN):
        return list(TEN[:classes])
    found = []
    for c in range(classes):
        # neighbors on the wheel differ in lightness as well
        light = (0.44, 0.6, 0.52)[c % 3]
        red, green, blue = colorsys.hls_to_rgb(c / classes, light, 0.65)
        found.append(f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}")
    return found


def packed(found: Map, labels: np.ndarray) -> dict[str, str]:
    """Points and labels as the browser reads them: base64 of uint16, little-endian. labels: of each point.

    Both axes have one scale, 65,535 steps along the longer: a pixel at the largest zoom of a map 1,100 pixels wide.
    """
    xy = found.xy - found.xy.min(axis=0)
    steps = np.rint(xy / max(float(xy.max()), 1e-9) * 65_535).astype("<u2")
    arrays = {"xy": steps, "labels": labels.astype("<u2")}
    return {name: base64.b64encode(array.tobytes()).decode() for name, array in arrays.items()}


@st.cache_resource(max_entries=2)
def _data(results_id: str) -> dict[str, Any]:
    """What the browser needs of a map but for the answers, the same for every visitor."""
    results, found = load.by_id[results_id], load.map_of(results_id)
    labels = {split: results.examples[split].labels for split in ORDER if split in results.examples}
    counts = [f"{len(of):,} {ADJECTIVES[split]}" for split, of in labels.items()]
    image = results.examples[results.query].images.shape[1:3]
    width, height, rendering = tile_size(image, 96)
    names = list(results.class_names)
    label = (
        f"Map of {' and '.join(counts)} examples. Arrow keys move it, plus and minus zoom, "
        "zero shows all of it, Enter opens the example nearest to the middle."
    )
    return {
        "id": results_id, "tests": len(labels["test"]), "names": names, "palette": palette(len(names)), "label": label,
        "width": width, "height": height, "small": tile_size(image, 64)[:2], "rendering": rendering,
        **packed(found, np.concatenate(list(labels.values()))),
    }  # fmt: skip


def answer(results: Results, found: Map, point: int) -> dict[str, Any]:
    """What the card says of a point: its example, and its nearest. Raises `RequestError` if there is no such point."""
    split, index = found.example(point)
    own = tile(results, split, index)
    label = int(results.examples[split].labels[index])
    said = results.predictions_of[split]
    predicted, confidence = int(said.predicted[index]), float(said.confidence[index])
    near = [int(i) for i in found.nearest[point]]
    against = "" if predicted == label else ", against the label"
    return {
        "point": point, "name": example_name(split, index), "label": own["label"], "src": own["src"], "alt": own["alt"],
        "words": [f"ensemble: {results.class_names[predicted]}, {confidence:.0%}{against}"],
        "near": near, "tiles": [tile(results, *found.example(i), beside=label) for i in near],
    }  # fmt: skip


SHOWS = ("both", "train", "test")


def _choice(results: Results) -> dict[str, Any]:
    """The class shown alone and the splits shown, as the address says; -1 and both where it says nothing known."""
    only, show = st.query_params.get("only", ""), st.query_params.get("show", "both")
    names = results.class_names
    return {
        "only": names.index(only) if only in names else -1,
        "show": show if show in SHOWS else "both",
        "choice": f"{only}/{show}",
    }


def _keep_choice(results: Results) -> None:
    """Put what was chosen at the legend into the address."""
    chosen = st.session_state["map"].choice
    only, show = int(chosen["only"]), str(chosen["show"])
    given = {
        "only": results.class_names[only] if 0 <= only < len(results.class_names) else None,
        "show": show if show in SHOWS[1:] else None,
    }
    for name, value in given.items():
        if value is None:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = value


@st.fragment
def show_map(results: Results, found: Map, selected: int) -> None:
    """Draw the map; selected: the point to mark and centre, -1 for none."""
    data = _data(results.id)
    hover = _points(
        key="map", data=data, on_hover_change=lambda: None, on_choice_change=lambda: _keep_choice(results)
    ).hover
    known = hover is not None and 0 <= int(hover) < len(found.xy)
    said = answer(results, found, int(hover)) if known else None
    _answer(
        key="map_answer", data={"id": results.id, "selected": selected, "answer": said, **_choice(results)}
    )
