"""Each page of a served source: seconds, core-seconds and bytes of the first view and of clicks; memory."""

import asyncio
import os
import time
from pathlib import Path

from tests.support.browser import served
from tests.trials.processes import megabytes_of
from tests.trials.sessions import Session

TICKS = os.sysconf("SC_CLK_TCK")
PAGES = (
    ("", "", ()),
    ("near_duplicates", "", ("first=700&last=800", "class=3", "within=train")),
    ("near_duplicates", "within=train", ("within=train&first=198001&last=198048",)),
    ("near_duplicates", "within=train", ("within=train&labels=different",)),
    ("labels", "", ("page=2", "label=3", "order=agreement")),
    ("labels", "split=train", ("split=train&page=2", "split=train&page=10000", "split=train&order=vote")),
    ("failure_modes", "", ("labels_differ=1+%E2%89%A0+2", "within=train")),
    ("groups", "", ("threshold=0.85", "within=train")),
    ("similarities", "", ("threshold=0.8", "by=penultimate")),
    ("disagreement", "", ("page=2", "order=first+right%2C+second+wrong", "class=3", "within=train")),
    ("feature_pairs", "", ("first=100&last=200",)),
    ("run_counts", "", ()),
    ("random_examples", "seed=3", ("seed=4", "k=8")),
    ("examples", "", ("page=2", "page=1000", "label=3", "outcome=wrong", "sort=nearest+first")),
    ("examples", "index=7-900", ("index=45",)),
    ("examples", "near=3&split=train", ("near=3&split=train&page=2", "names=test%3A5%3Btrain%3A150000")),
    ("map", "", ("only=3",)),
    ("example", "example=test:7", ("example=test:8", "example=test:8&k=20", "example=test:8&among=test")),
    ("example", "example=train:7", ("example=train:8", "example=train:8&among=test")),
    ("example", "example=test:7&sure=true", ("example=test:8&sure=true", "example=train:8&sure=true")),
    ("pair", "a=test:7&b=train:7", ("a=test:7&b=train:8", "a=train:7&b=train:90")),
    ("verdicts", "", ()),
    ("leaks", "", ()),
)  # fmt: skip
"""Page, address of its first view, addresses of clicks on it; rank 198,001 is near the end of 200,000."""


def core_seconds(pid):
    """Return the user and system seconds that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Counting(Session):
    """A visitor who counts the bytes that come."""

    async def __aenter__(self):
        await super().__aenter__()
        self.received, receive = 0, self.socket.recv

        async def counted():
            message = await receive()
            self.received += len(message)
            return message

        self.socket.recv = counted
        return self

    async def measured(self, page, query, pid):
        """Open a page; return seconds, core-seconds, kilobytes and what is wrong."""
        before, self.received = core_seconds(pid), 0
        seconds, wrong = await self.open(page, query)
        return seconds, core_seconds(pid) - before, self.received / 1000, wrong


async def _walk(url, pid, only):
    async with Counting(url) as session:
        yield "opening", "", await session.measured("", "", pid), megabytes_of(pid, "RssAnon")
        await asyncio.sleep(3)  # what the server prepares after the first page
        for page, first, clicks in PAGES:
            if only and page not in only:
                continue
            for query in (first, *clicks):
                measured = await session.measured(page, query, pid)
                yield page, query, measured, megabytes_of(pid, "RssAnon")


def measure(folder, cache, log, only=()):
    """Yield (page, query, (seconds, core-seconds, kB, wrong), anonymous MB) for each view; last the peak."""
    environment = dict(os.environ, KERNEL_EXPLORER_CACHE=str(cache), KERNEL_EXPLORER_SOURCE=str(folder))
    with served(environment, log) as (url, process):
        time.sleep(1)
        walk = _walk(url, process.pid, only)
        loop = asyncio.new_event_loop()
        while True:
            try:
                yield loop.run_until_complete(anext(walk))
            except StopAsyncIteration:
                break
        yield "peak", "", (0.0, 0.0, 0.0, []), megabytes_of(process.pid)
