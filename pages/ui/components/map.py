"""The map of all examples: one component for the points, one for the card of the hovered point."""

from __future__ import annotations

import base64
import colorsys
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from kernel_core.findings.map_layout import SPLIT_ORDER, Map, steps
from kernel_core.results.results import Results
from kernel_core.spec import ADJECTIVES, example_name
from pages.ui import load, marks, names
from pages.ui.components.component import component
from pages.ui.components.gallery import rendering_of, tile, tile_size
from pages.ui.lasso import SHOWS
from pages.ui.wording import escape

# Ten colors that people with color vision deficiencies tell apart (M. Petroff, arXiv 2107.02270).
TEN = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
MOST_TEXT = 2_000  # characters of an address that names examples one by one; more are told by their lasso


def palette(classes: int) -> list[str]:
    """Return one color per class, as #rrggbb: ten chosen ones, or hues around the wheel if there are more.

    >>> palette(2), len(set(palette(1000)))
    (['#3f90da', '#ffa90e'], 1000)
    """
    if classes <= len(TEN):
        return list(TEN[:classes])
    colors = []
    for c in range(classes):
        # Neighbors on the wheel differ in lightness as well.
        light = (0.44, 0.6, 0.52)[c % 3]
        red, green, blue = colorsys.hls_to_rgb(c / classes, light, 0.65)
        colors.append(f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}")
    return colors


def packed(map_: Map, labels: npt.NDArray[np.int64]) -> dict[str, str]:
    """Return points and labels as the browser reads them: base64 of little-endian uint16.

    labels: int64 (points,); below 256, they are sent as uint8.
    """
    few = labels.max(initial=0) < 256
    arrays = {"xy": steps(map_.xy), "labels": labels.astype("u1" if few else "<u2")}
    return {name: base64.b64encode(array.tobytes()).decode() for name, array in arrays.items()}


@st.cache_resource(max_entries=2)
def _data(results_id: str, by: str) -> dict[str, Any]:
    """Return what the browser needs to draw the map by a similarity, the same for every visitor."""
    results, map_ = load.by_id[results_id], load.map_of(results_id, by)
    labels = {split: results.examples[split].labels for split in SPLIT_ORDER if split in results.examples}
    counts = [f"{len(of):,} {ADJECTIVES[split]}" for split, of in labels.items()]
    image = results.examples[results.query].images.shape[1:3]
    width, height, _ = tile_size(image, 96)
    label = (
        f"Map of {' and '.join(counts)} examples. Arrow keys move it, plus and minus zoom, "
        "0 shows all of it, Enter opens the example nearest the middle. Hold Shift and drag around "
        "examples to select them."
    )
    return {
        "id": f"{results_id} {by}",
        "by": results.title_of(by),
        "similarity": by,
        "most": {"names": names.MOST, "text": MOST_TEXT},
        "tests": len(labels["test"]),
        "names": list(results.class_names),
        "palette": palette(len(results.class_names)),
        "label": label,
        "width": width,
        "height": height,
        "small": tile_size(image, 64)[:2],
        "rendering": rendering_of(image, 96),
        **packed(map_, np.concatenate(list(labels.values()))),
    }


def answer(results: Results, map_: Map, point: int) -> dict[str, Any]:
    """Return the card of a point: its example and its nearest. Raise `RequestError` for an unknown point."""
    split, index = map_.example(point)
    own = tile(results, split, index)
    label = int(results.examples[split].labels[index])
    predictions = results.predictions_of[split]
    predicted, confidence = int(predictions.predicted[index]), float(predictions.confidence[index])
    near = [int(i) for i in map_.nearest[point]]
    against = "" if predicted == label else ", not the label"
    return {
        "point": point,
        "name": example_name(split, index),
        "label": own["label"],
        "src": own["src"],
        "alt": own["alt"],
        "words": [f"ensemble: {results.class_names[predicted]}, {confidence:.0%}{against}"],
        "near": near,
        "tiles": [tile(results, *map_.example(i), beside=label) for i in near],
    }


def _choice(results: Results) -> dict[str, Any]:
    """Return the class, splits and marks of the address; -1 (all classes) and both if it names none."""
    only, show = st.query_params.get("only", ""), st.query_params.get("show", "both")
    marked = marks.of_address(results)
    if marked.error:
        st.warning(escape(marked.error), icon=":material/warning:")
    return {
        "only": results.class_names.index(only) if only in results.class_names else -1,
        "show": show if show in SHOWS else "both",
        "choice": f"{only}/{show}",
        "marks": {"text": marked.text, "bits": marked.bits, "title": marked.title},
    }


def _keep_choice(results: Results) -> None:
    """Put what was chosen in the browser into the address: class, splits, marks."""
    drawn = st.session_state.get("map")
    if drawn is None:  # the page was left meanwhile
        return
    chosen = drawn.choice
    only, show = int(chosen["only"]), str(chosen["show"])
    parameter, _, value = str(chosen["marks"]).partition("=")
    parameters: dict[str, str | None] = {
        **{each: value if each == parameter else None for each in marks.PARAMETERS},
        "only": results.class_names[only] if 0 <= only < len(results.class_names) else None,
        "show": show if show in SHOWS[1:] else None,
    }
    for name, to in parameters.items():
        if to is None:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = to


@st.fragment
def show_map(results: Results, map_: Map, selected: int, by: str) -> None:
    """Draw the map. selected: the point to mark and bring to the middle, -1 for none. by: its similarity."""
    data = _data(results.id, by)
    hover = component("map")(
        key="map", data=data, on_hover_change=lambda: None, on_choice_change=lambda: _keep_choice(results)
    ).hover
    is_point = hover is not None and 0 <= int(hover) < len(map_.xy)
    card = answer(results, map_, int(hover)) if is_point else None
    component("map_answer")(
        key="map_answer", data={"id": data["id"], "selected": selected, "answer": card, **_choice(results)}
    )
