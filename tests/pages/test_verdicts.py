"""The page of verdicts: counts, agreement, disputes with images, a cell of two reviewers, nothing yet."""

import io
import json
import zipfile

from kernel_core.results.verdicts import read_judged
from kernel_core.review.verdict_file import VerdictFile
from pages.ui.panels import cleaned_set
from tests.support.app import cells, open_page, text_of


def names(pair):
    return [f"{split}:{index}" for split, index in pair]


def shown(app):
    return [[tile["example"] for tile in cell["groups"][0]["tiles"]] for cell in cells(app, "items")]


def tables(app):
    return [table.value for table in app.dataframe]


def test_nothing_judged_says_how_to_begin(plant):
    text = text_of(open_page("verdicts"))
    assert "Nobody has judged pairs yet" in text
    assert "--merge FILE" in text


def test_disputes_agreement_and_the_cell_of_two_reviewers(plant, pairs):
    said = {"Ann": ["exact", "exact", "different"], "Bob": ["exact", "near-duplicate", "exact"]}
    for name, verdicts in said.items():
        for pair, verdict in zip(pairs, verdicts, strict=False):
            plant(*pair, verdict, name, blind=True)
    app = open_page("verdicts")
    text = text_of(app)
    assert "**3 pairs** judged by 2 reviewers, 3 by two or more. They disagree on **2**" in text
    assert shown(app) == [names(pairs[2]), names(pairs[1])], "duplicate or not comes first"
    measures = next(table for table in tables(app) if "Measure" in table).set_index("Measure")
    assert measures.loc["Percent agreement", "By verdict"].startswith("33.3% (")
    assert measures.loc["Percent agreement", "By duplicate or not"].startswith("66.7% (")
    decided = next(table for table in tables(app) if "Verdict" in table).set_index("Verdict")["Items"]
    assert (decided["exact"], decided["left open"]) == ("1", "2")
    app.selectbox(key="cell").set_value("exact / near-duplicate").run()
    assert shown(app) == [names(pairs[1])]
    assert shown(open_page("verdicts", cell="different / exact")) == [names(pairs[2])]
    assert "were judged, the first 3 of them without a gap; the last has rank 3" in text


def test_ranking_that_is_not_built_is_offered(plant, pairs):
    plant(*pairs[0], "exact")
    app = open_page("verdicts", by="nngp")
    assert "Neighbors by NNGP are not built yet" in text_of(app)
    assert app.button(key="build_by").label == "Build"


def test_verdicts_in_sight_of_others_count_only_where_asked(plant, pairs):
    plant(*pairs[0], "exact", at="2026-01-01")
    plant(*pairs[0], "exact", "Bob", at="2026-01-02")
    assert "That leaves out 1 verdict" in text_of(open_page("verdicts"))
    app = open_page("verdicts", which="all")
    measures = next(table for table in tables(app) if "Measure" in table).set_index("Measure")
    assert measures.loc["Percent agreement", "By verdict"] == "100.0%"
    assert "All votes are the same verdict" in measures.loc["Fleiss' κ", "What it says"]


def test_labels_lost_examples_and_names_of_strangers(plant, digits):
    plant(("test", 3), None, "guessed", "<b>Eve</b>", blind=True, proposed_label="3")
    plant(("test", 3), None, "given", "Bob", blind=True)
    lost = plant.verdict(("test", 5), None, "given", "Bob").to_json()
    lost["a"]["sha256"] = "0" * 64

    with plant.path.open("a") as file:
        file.write(json.dumps(lost) + "\nnonsense\n")
    app = open_page("verdicts", kind="label")
    assert not app.exception
    assert shown(app) == [["test:3"]]
    assert "line 4 is no verdict" in app.warning[0].value
    assert any("1 of 3 verdicts are on examples" in expander.label for expander in app.expander)


def test_cleaned_set_is_offered_with_its_command(digits, plant, pairs, monkeypatch):
    plant(*pairs[0], "exact")
    app = open_page("verdicts")
    assert any("clean digits --rule majority --out cleaned" in code.value for code in app.code)
    stands = read_judged(digits, VerdictFile(plant.path))
    monkeypatch.setattr(cleaned_set.verdicts, "judged", lambda _: stands)
    with zipfile.ZipFile(io.BytesIO(cleaned_set._archive(digits, "majority"))) as archive:
        assert archive.read("cleaned/drop_test.txt").decode() == f"{pairs[0][0][1]}\n"
        assert "cleaned/corrections.csv" not in archive.namelist()
