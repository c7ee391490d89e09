"""What a rule takes from several verdicts: ties, unsure, decided ones, one reviewer, withdrawn ones."""

import pytest

from kernel_core.review.consensus import consensus, undecided
from kernel_core.review.stopping import enough_negatives, run_of_negatives
from kernel_core.review.verdicts import WITHDRAWN
from tests.review.test_judged import judged_of, on

A, B, C = ("test", 0), ("train", 1), ("train", 2)


def say(*verdicts, a=A, b=B, **options):
    names = "ann", "bob", "cy", "dee", "eve"
    return [on(a, b, verdict, name, at=f"2026-01-0{i}", **options)
            for i, (verdict, name) in enumerate(zip(verdicts, names, strict=False), start=1)]  # fmt: skip


def of(verdicts, rule="majority", kind="pair"):
    return consensus(judged_of(verdicts), kind, rule).to_dict("records")


@pytest.mark.parametrize(
    ("verdicts", "majority", "unanimous"),
    [
        (["exact"], ("exact", 1, 1), ("exact", 1, 1)),
        (["exact", "different"], None, None),
        (["exact", "exact", "different"], ("exact", 3, 2), None),
        (["unsure", "unsure", "different"], ("unsure", 3, 2), None),
        (["unsure", "different"], None, None),
        (["exact", "exact", "different", "different", "unsure"], None, None),
        (["exact", "exact", "different", "near-duplicate", "unsure"], ("exact", 5, 2), None),
        (["different", "different"], ("different", 2, 2), ("different", 2, 2)),
    ],
)
def test_rules_on_votes(verdicts, majority, unanimous):
    judged = judged_of(say(*verdicts))
    for rule, expected in (("majority", majority), ("unanimous", unanimous), ("adjudicated", unanimous)):
        found = consensus(judged, "pair", rule)[["verdict", "votes", "agree"]].to_numpy().tolist()
        assert found == ([] if expected is None else [list(expected)]), rule
        assert len(undecided(judged, "pair", rule)) == (expected is None)


def test_decided_verdict_stands_unless_all_must_agree():
    decided = on(A, B, "near-duplicate", "judge", design="gold", at="2026-02-01")
    votes = say("different", "different", "exact")
    assert of([*votes, decided], "unanimous") == []
    (row,) = of([*say("near-duplicate"), decided], "unanimous")
    assert (row["verdict"], row["votes"]) == ("near-duplicate", 2)
    for rule in ("majority", "adjudicated"):
        (row,) = of([*votes, decided], rule)
        assert (row["verdict"], row["votes"], row["agree"], row["design"]) == ("near-duplicate", 4, 1, "gold")
        assert row["at"] == "2026-02-01"
        later = on(A, B, "exact", "ann", design="gold", at="2026-03-01")
        assert of([*votes, decided, later], rule)[0]["verdict"] == "exact"


def test_withdrawn_verdict_is_no_vote():
    votes = say("exact", "different", "different")
    undone = on(A, B, WITHDRAWN, "bob", supersedes=votes[1].id)
    assert of([*votes, undone]) == []
    (row,) = undecided(judged_of([*votes, undone]), "pair").to_dict("records")
    assert (row["votes"], row["verdicts"], row["serious"]) == (2, "different 1, exact 1", True)


def test_small_difference_is_not_serious():
    assert not undecided(judged_of(say("exact", "near-duplicate", "unsure")), "pair")["serious"].any()
    labels = [on(A, None, "guessed", "ann", proposed_label="dog"), on(A, None, "given", "bob")]
    assert undecided(judged_of(labels), "label")["serious"].all()


def test_sample_keeps_its_stratum_unless_the_item_was_in_a_queue_too():
    drawn = {"design": "sample", "stratum": "1-100", "inclusion_probability": 0.25}
    (row,) = of([on(A, B, "exact", "ann", **drawn), on(A, B, "exact", "bob", **drawn)])
    assert (row["design"], row["stratum"], row["inclusion_probability"]) == ("sample", "1-100", 0.25)
    (row,) = of([on(A, B, "exact", "ann", **drawn), on(A, B, "exact", "bob")])
    assert (row["design"], row["stratum"]) == ("queue", "")
    decided = on(
        A, B, "different", "ann", design="gold", at="2999-01-01"
    )  # the reviewer's own verdict of the sample before
    (row,) = of([on(A, B, "exact", "ann", **drawn), decided])
    assert (row["design"], row["stratum"], row["inclusion_probability"]) == ("gold", "1-100", 0.25)


def test_class_belongs_to_the_vote_where_it_matters():
    def label(verdict, reviewer, name=""):
        return on(A, None, verdict, reviewer, proposed_label=name)

    assert of([label("guessed", "ann", "dog"), label("guessed", "bob", "cat")], kind="label") == []
    votes = [label("guessed", "ann", "dog"), label("guessed", "bob", "cat"), label("guessed", "cy", "dog")]
    (row,) = of(votes, kind="label")
    assert (row["proposed_label"], row["agree"], row["b_split"], row["b_index"]) == ("dog", 2, "", -1)
    (row,) = of([label("given", "ann", "dog"), label("given", "bob")], "unanimous", "label")
    assert (row["verdict"], row["proposed_label"]) == ("given", "dog")


def test_rows_are_sorted_by_item():
    rows = of([*say("exact", a=C, b=("test", 2)), *say("exact", a=B, b=("test", 2)), *say("exact")])
    assert [(row["a_index"], row["b_index"]) for row in rows] == [(0, 1), (2, 1), (2, 2)]
    with pytest.raises(ValueError, match="expected one of majority"):
        of(say("exact"), "most")


def test_stopping_rule():
    assert enough_negatives() == 58
    assert enough_negatives(0.01, 0.05) == 298
    assert enough_negatives(0.99, 0.5) == 1
    assert 0.95**58 < 0.052
    with pytest.raises(ValueError, match="between 0 and 1"):
        enough_negatives(0)


def test_run_of_negatives_is_broken_by_positive_and_unsure():
    assert run_of_negatives([]) == 0
    assert run_of_negatives(["exact", "different", "unsure", "different", "given"]) == 2
    assert run_of_negatives(["different", "very similar"]) == 0
