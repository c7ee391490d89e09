"""A source whose files change while it is served."""

from kernel_core.pipeline import build
from kernel_core.sources.source import SourceRequest
from pages.ui import jobs, load
from tests.support.app import open_page
from tests.support.planted import write_log


def test_page_says_which_files_changed_and_builds_them_again(source_folder, cache, monkeypatch, planted):
    first = build(SourceRequest(str(source_folder)))
    monkeypatch.setenv("KERNEL_EXPLORER_SOURCE", str(source_folder))
    assert not open_page("near_duplicates").info
    write_log(source_folder / "runs/b/log.pt", planted.test[14:][::-1] * 2, planted.train[14:])
    assert not open_page("near_duplicates").info, "a page looks every few seconds only"
    load._changed.clear()
    app = open_page("near_duplicates")
    assert app.info[0].value == "Built from other files: b/log\\.pt changed since."
    monkeypatch.setattr(jobs.Jobs, "start", lambda _jobs, request, verb="build": build(request))
    app.get_by_key("build_again").click().run()
    assert not app.exception
    assert not app.info
    assert list(load.by_id)[-1] != first.id
