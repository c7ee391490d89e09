"""Visitors without a browser: each speaks Streamlit's protocol over a websocket of its own."""

import asyncio
import random
import time
from dataclasses import dataclass, field

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

PATIENCE = 60  # seconds for a page; then the visitor gives up
THINK = 1.0, 4.0  # seconds between a page and the next click
ADDRESSES = (
    ("", ""), ("near_duplicates", ""), ("near_duplicates", "ranks=1-10"), ("failure_modes", ""),
    ("similarities", ""), ("disagreement", ""), ("feature_pairs", ""), ("random_examples", "seed=3"),
    ("map", ""), ("example", "example=test:{test}"), ("example", "example=train:{train}"),
    ("pair", "a=test:{test}&b=train:{train}"),
)  # fmt: skip
"""Page and query of what a visitor opens; numbers of examples are drawn anew each time."""


@dataclass
class Seen:
    """What all visitors saw. seconds: of the server, per click. wrong: texts of what failed."""

    seconds: list = field(default_factory=list)
    wrong: list = field(default_factory=list)


class Session:
    """One visitor, connected to the server at `url`."""

    def __init__(self, url):
        self.url, self.hashes = url, {}

    async def __aenter__(self):
        address = self.url.replace("http", "ws") + "/_stcore/stream"
        self.socket = await websockets.connect(
            address,
            subprotocols=["streamlit"],
            origin=self.url,
            max_size=None,
            open_timeout=PATIENCE,
            ping_interval=None,
        )
        return self

    async def __aexit__(self, *_):
        await self.socket.close()

    async def open(self, page, query):
        """Open a page; return the seconds until it was whole, and what is wrong on it."""
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_script_hash = self.hashes.get(page, "")
        message.rerun_script.page_name = "" if self.hashes else page
        began, elements, wrong = time.monotonic(), 0, []
        await self.socket.send(message.SerializeToString())
        while True:
            got = ForwardMsg()
            got.ParseFromString(await asyncio.wait_for(self.socket.recv(), PATIENCE))
            kind = got.WhichOneof("type")
            if kind == "navigation":
                self._remember(got.navigation)
            elif kind == "delta" and got.delta.WhichOneof("type") == "new_element":
                elements += 1
                wrong += _errors(got.delta.new_element)
            elif kind == "script_finished" and got.script_finished != got.FINISHED_EARLY_FOR_RERUN:
                return time.monotonic() - began, wrong if elements else ["an empty page"]

    def _remember(self, navigation):
        for page in navigation.app_pages:
            self.hashes["" if page.is_default else page.url_pathname] = page.page_script_hash


def _errors(element):
    """Return what an element says of an error."""
    kind = element.WhichOneof("type")
    if kind == "exception":
        return [f"{element.exception.type}: {element.exception.message}"[:200]]
    if kind == "alert" and element.alert.format == element.alert.ERROR:
        return [element.alert.body[:200]]
    return []


async def _visit(url, until, seed, seen):
    """Click, think, click, until the time has come."""
    rng = random.Random(seed)
    async with Session(url) as session:
        await session.open("", "")
        while time.monotonic() < until:
            await asyncio.sleep(rng.uniform(*THINK))
            page, query = rng.choice(ADDRESSES)
            query = query.format(test=rng.randrange(40), train=rng.randrange(130))
            seconds, wrong = await session.open(page, query)
            seen.seconds.append(seconds)
            seen.wrong += [f"{page}?{query}: {text}" for text in wrong]


async def warm_up(url):
    """Open every page once; return what is wrong on them."""
    async with Session(url) as session:
        await session.open("", "")
        found = [(page, await session.open(page, query.format(test=1, train=2))) for page, query in ADDRESSES]
    return [f"{page}: {text}" for page, (_, wrong) in found for text in wrong]


async def crowd(url, count, seconds, seed, meanwhile):
    """Let `count` visitors click for some seconds; return what they saw. meanwhile: called every second."""
    seen, until = Seen(), time.monotonic() + seconds
    visitors = [
        asyncio.create_task(_visit(url, until, f"{seed} {count} {number}", seen)) for number in range(count)
    ]
    while not all(visitor.done() for visitor in visitors):
        await asyncio.sleep(1)
        meanwhile()
    for error in filter(None, (visitor.exception() for visitor in visitors)):
        seen.wrong.append(f"a session broke: {error!r}"[:200])
    return seen
