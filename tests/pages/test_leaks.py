"""The page "Leak report": the numbers of the verb, its choices in the address, nothing judged yet."""

import json
import re

import pytest

from kernel_core.findings.pairs import nearest_pairs
from tests.support.app import open_page, text_of
from tests.support.command import invoke
from tests.support.verdicts import Plant


@pytest.fixture
def plant(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_EXPLORER_VERDICTS", str(tmp_path / "verdicts.jsonl"))
    return Plant(digits, tmp_path / "verdicts.jsonl")


@pytest.fixture
def pairs(digits):
    table = nearest_pairs(digits.neighbors_by("kernel"), *digits.labels).head(12)
    rows = zip(table["query_index"].tolist(), table["database_index"].tolist(), strict=True)
    return [(("test", a), ("train", b)) for a, b in rows]


def html_of(app):
    return "".join(element.value for element in app.get("html"))


def titles(app):
    return re.findall("<h2>(.*?)</h2>", html_of(app))


def test_before_any_verdict_only_machines_speak(plant):
    app = open_page("leaks")
    assert "No pair has been judged yet" in text_of(app)
    assert titles(app) == ["Found by machine, not judged", "What these numbers are of"]
    assert "No label has been judged yet" in text_of(open_page("leaks", kind="label"))


def test_numbers_are_those_of_the_verb_and_follow_each_verdict(plant, pairs, tmp_path):
    for n, pair in enumerate(pairs):
        plant(*pair, ("exact", "very similar", "different")[n % 3], "Ann<b>|_")
    for options, query in (((), {}), (("--leaked", "exact"), {"leaked": "exact"})):
        assert invoke("leaks", "digits", "--out", tmp_path / "out", *options).exit_code == 0
        app = open_page("leaks", **query)
        found = json.loads((tmp_path / "out/leak.json").read_text())
        assert f"At least {found['rate']['found']} of 500 test examples" in text_of(app)
        for row in found["accuracy"]:
            assert f"{100 * row['leaked']['value']:.2f}%" in html_of(app)
    assert found["rate"]["found"] == 4
    assert "Ann&lt;b&gt;|_" in html_of(app)
    assert "reviewer 1" in html_of(open_page("leaks", anonymous="true"))
    plant(*pairs[1], "exact", "Ann<b>|_")
    app.run()
    assert "At least 5 of 500 test examples" in text_of(app)


def test_rule_and_kind_are_in_the_address(plant, pairs):
    plant(*pairs[0], "exact", "Ann")
    plant(*pairs[0], "different", "Bob")
    plant(pairs[0][0], None, "guessed", "Ann", proposed_label="3")
    assert "leaves 1 of them open" in text_of(open_page("leaks", rule="unanimous"))
    app = open_page("leaks", kind="label")
    assert "1 of 1 test labels that were judged are wrong" in text_of(app)
    assert "Accuracy against corrected labels" in titles(app)
