"""The page of open questions: offers one that was not put, shows the answer of one that was."""

from kernel_core.lab.ask import Order, ask
from kernel_core.results.answers import QUESTIONS
from kernel_core.sources.source import SourceRequest
from tests.support.app import open_page, text_of


def test_question_that_was_not_put_is_offered(source_folder, cache, monkeypatch):
    source = str(source_folder / "source.toml")
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", source)
    ask("runs", SourceRequest(source), Order(counts=(2, 4, 8, 12)), device="cpu")
    app = open_page("open_questions", question="classes")
    assert not app.exception
    assert QUESTIONS["classes"].asked in text_of(app)
    assert [button.label for button in app.button] == ["Ask it"]
    assert f"kernel-explorer lab classes {source}" in app.code[0].value


def test_answer_is_shown_with_its_numbers_and_its_command(source_folder, cache, monkeypatch):
    source = str(source_folder / "source.toml")
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", source)
    answer = ask("runs", SourceRequest(source), Order(counts=(2, 4, 8, 12)), device="cpu")
    app = open_page("open_questions", question="runs")
    assert not app.exception
    text = text_of(app).replace("\\", "")
    for sentence in answer.seen:
        assert sentence in text
    assert [header.value for header in app.header] == [
        *(p.title for p in answer.panels),
        *(t.title for t in answer.tables),
    ]
    assert answer.command in [code.value for code in app.code]
    assert [button.label for button in app.button] == ["Ask without them"]  # it was asked with --counts


def test_answer_by_default_is_not_offered_again(source_folder, cache, monkeypatch):
    source = str(source_folder / "source.toml")
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", source)
    ask("runs", SourceRequest(source), Order(), device="cpu")
    assert not open_page("open_questions", question="runs").button
