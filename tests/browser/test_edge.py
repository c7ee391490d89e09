"""The edge of the server: strange hosts and headers."""

import http.client
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def answer(url, path, **headers):
    """Status and headers of an answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("GET", path, headers=headers)
    answered = connection.getresponse()
    connection.close()
    return answered.status, answered.headers


@pytest.mark.parametrize("path", ["/", "/example", "/_stcore/health", "/_stcore/host-config"])
def test_strange_host_is_refused(digits_url, path):
    assert answer(digits_url, path, Host="evil.example")[0] == 400
    assert answer(digits_url, path)[0] == 200


def test_websocket_of_a_strange_host_is_refused(digits_url):
    assert answer(digits_url, "/_stcore/stream", Host="evil.example", **UPGRADE)[0] in {400, 403}


@pytest.mark.parametrize("path", ["/", "/example", "/_stcore/health", "/static/none.js"])
def test_every_answer_says_what_a_page_may_load(digits_url, path):
    headers = answer(digits_url, path)[1]
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'self'", "frame-ancestors 'none'", "object-src 'none'"} <= set(policy)
    assert not [part for part in policy if "*" in part or "http" in part or "unsafe-eval" in part]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
