"""What was judged, on the tiles and pairs of every page."""

import json
import os
from dataclasses import replace

from kernel_core.review.verdicts import Item, Shown
from tests.support.app import cells, open_page, text_of, tiles


def badges_of(shown):
    return {cell["head"].split()[0]: cell["judged"] for cell in shown if "judged" in cell}


def test_pair_shows_what_was_judged_and_by_whom_at_the_next_run(plant, pairs):
    app = open_page("near_duplicates", first=1, last=48)
    assert badges_of(cells(app, "pairs")) == {}
    plant(*pairs[0], "exact")
    plant(*pairs[1][::-1], "exact")
    plant(*pairs[1], "exact", "Bob")
    plant(*pairs[2], "exact")
    plant(*pairs[2], "different", "Cy<b>")
    app.run()
    shown = cells(app, "pairs")
    assert badges_of(shown) == {"#1": "✓ exact", "#2": "✓ exact · 2", "#3": "? disputed · 2"}
    assert shown[0]["tip"].endswith("judged exact by Ann")
    assert all("the pair: judged exact by Ann, Bob" in tile["tip"] for tile in tiles(shown[1]))
    assert shown[2]["tip"].endswith("disputed: exact by Ann; different by Cy<b>")
    plant(*pairs[2], "different", "Cem", design="gold")
    app.run()
    shown = cells(app, "pairs")
    assert badges_of(shown)["#3"] == "✓ different · 3"
    assert shown[2]["tip"].endswith("decided different: exact by Ann; different by Cem, Cy<b>")


def test_label_shows_what_was_judged_and_what_is_proposed(plant, digits):
    first = cells(open_page("labels"), "labels_to_check")[0]["id"]
    plant(("test", first), verdict="guessed", proposed_label="8")
    own = tiles(cells(open_page("labels"), "labels_to_check")[0])[0]
    assert own["judged"] == "✓ guessed: 8"
    assert own["alt"].endswith("; the label: judged guessed by Ann")
    assert "Label: ✓ judged guessed by Ann." in text_of(open_page("example", example=f"test:{first}"))
    shown = cells(open_page("overview"), "labels_to_check")
    assert next(cell for cell in shown if cell["id"] == first)["groups"][0]["tiles"][0]["judged"]


def test_pairs_are_marked_on_every_page_that_shows_them(plant, pairs):
    (_, a), (_, b) = pairs[0]
    plant(*pairs[0], "near-duplicate")
    assert "The pair: ✓ judged near\\-duplicate by Ann." in text_of(
        open_page("pair", a=f"train:{b}", b=f"test:{a}")
    )
    app = open_page("example", example=f"test:{a}")
    marked = [tile["example"] for tile in tiles(cells(app, "lists")[0]) if "judged" in tile]
    assert marked == [f"train:{b}"]
    assert badges_of(cells(open_page("feature_pairs", first=1, last=9), "pairs_kernel")) == {
        "#1": "✓ near-duplicate"
    }
    assert "✓ near-duplicate · 1 pair" in [
        cell.get("judged") for cell in cells(open_page("groups"), "groups")
    ]


def test_page_does_without_an_unreadable_file_and_says_so_once(plant, pairs):
    plant.path.mkdir()
    for name in ("overview", "near_duplicates", "labels", "groups", "pair"):
        app = open_page(name)
        (said,) = [box.value for box in app.warning if "verdicts" in box.value]
        assert os.path.basename(plant.path).split(".")[0] in said.replace("\\", "")


def test_front_page_counts_verdicts_and_says_which_are_on_other_examples(plant, pairs):
    assert "**No verdicts yet.**" in text_of(open_page("overview"))
    plant(*pairs[0], "exact")
    plant(*pairs[0], "exact", "Bob")
    plant(("test", 3), verdict="given")
    text = text_of(open_page("overview"))
    assert "**3 verdicts** on 1 pair and 1 label, by 2 reviewers." in text
    assert "verdicts are on" not in text
    lost = plant.verdict(("test", 4), verdict="given")
    foreign = replace(lost, a=Item("test", 4, "0" * 64), shown=Shown(source="other <b>"))
    plant.path.write_text(json.dumps(foreign.to_json()) + "\nnonsense\n")
    said = text_of(open_page("overview")).replace("\\", "")
    assert "0 of 1 verdicts are on examples of digits; the file names the source other <b>." in said
    assert "line 2 is no verdict" in said
