"""Label conflicts in the order of labels to check: all examples, and what speaks for their labels."""

from kernel_core.findings.label_orders import TO_CHECK, count_conflicts, labels_in_doubt, with_labels
from pages.ui import lists, load
from tests.support.app import cells, open_page, text_of


def test_labels_to_check_are_all_examples_with_what_speaks_for_them(digits):
    table = labels_in_doubt(digits.neighbors_by("kernel"), digits.labels, digits.predictions, TO_CHECK)
    app = open_page("failure_modes", order=TO_CHECK, rows=12)
    shown = cells(app, "failures")
    assert [cell["id"] for cell in shown] == table["query_index"].tolist()[:12]
    assert "**500 test examples**. The first 12 are shown, least support first." in text_of(app)
    for cell, row in zip(shown, table.itertuples(), strict=False):
        names, said = digits.class_names, cell["head"]
        assert f"support for {names[row.query_label]}: {row.probability:.0%} + {row.share:.0%}" in said
        assert f"the ensemble predicts {names[row.predicted]}" in cell["head"]
        assert f"the neighbors vote for {names[row.voted]}" in cell["head"]
    load.by_id[digits.id] = digits
    here = lists.place(digits, "test", shown[0]["id"], "labels_to_check:kernel")
    assert (here.position, here.total, here.next) == (1, 500, f"test:{table['query_index'][1]}")
    assert "list=labels_to_check:kernel" in shown[0]["groups"][0]["tiles"][0]["href"]


def test_pair_of_labels_is_that_of_the_label_and_the_vote(digits):
    table = labels_in_doubt(digits.neighbors_by("kernel"), digits.labels, digits.predictions, TO_CHECK)
    label, voted, _count = (int(value) for value in count_conflicts(table).iloc[0])
    name = f"{digits.class_names[label]} ≠ {digits.class_names[voted]}"
    app = open_page("failure_modes", order=TO_CHECK, labels_differ=name)
    shown = [cell["id"] for cell in cells(app, "failures")]
    assert shown == with_labels(table, label, voted)["query_index"].tolist()[:8]
    assert f"labeled {label}, whose neighbors vote for {voted}" in text_of(app)
    app.get_by_key("order").set_value("most similar").run()
    assert not app.exception
    assert cells(app, "failures")
