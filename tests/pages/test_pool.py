"""A pool of two rankings on the review page: each pair once, in the order of the list on the command line."""

import json

from pages.ui.review_queue import queue_of
from tests.support.app import open_page
from tests.support.command import invoke


def test_pool_of_the_command_line_is_the_queue_of_its_address(digits):
    options = "--similarity", "kernel", "--similarity", "pixels", "--pool", 6, "--seed", 3, "--json"
    found = json.loads(invoke("score", "digits", *options).stdout)
    pool = "pool:kernel~kernel+pixels~kernel:6:3"
    open_page("review", list=pool, kind="pair")
    queue = queue_of(digits, pool, "")
    assert [item.name for item in queue.items] == [f"{row['a']}~{row['b']}" for row in found["pairs"]]
    assert {item.design for item in queue.items} == {"queue"}
    assert queue.title == "first 6 ranks of 2 rankings, shuffled"
    assert queue_of(digits, "pool:kernel~kernel:x:3", "") is None
