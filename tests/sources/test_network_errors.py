"""A download that fails says why in the server's words, and the advice fits the cause; over real HTTP."""

import errno
import io
import ssl
from urllib.error import HTTPError, URLError

import pytest

from kernel_core.sources.network_errors import advice, reason, status_of
from kernel_core.sources.published import FIRST_FILE, LOGITS_REPO
from tests.sources.test_hub import assert_refused, build
from tests.support.hub_server import FAULTS, Hub

HOST = "https://hub.example"
FOLDER = "HF_HOME to another folder"


@pytest.fixture(scope="module")
def hub():
    with Hub({LOGITS_REPO: {FIRST_FILE: b"x" * 100}}) as running:
        yield running


CAUSES = {
    "401 token": (
        "401", {"HF_TOKEN": "hf_old"},
        ("401", "Invalid credentials in Authorization header", "unset HF_TOKEN", "hf auth login"),
    ),
    "401": ("401", {}, ("401", "Repository not found", "correct its name, or log in")),
    "403": (
        "403", {"HF_TOKEN": "hf_mine"},
        ("403", "Access to dataset is restricted", f"{{endpoint}}/datasets/{LOGITS_REPO}, and set"),
    ),
    "407": ("407", {}, ("407", "put them into HTTPS_PROXY", "http://name:password@host:port")),
    "429": ("429", {}, ("429 Too Many Requests", "Wait some minutes; with HF_TOKEN set")),
    "503": ("503", {}, ("503 Service Unavailable", "has trouble: wait a while")),
    "html": ("html", {}, ("not JSON", "Check the connection to {endpoint}")),
}  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("where", ["listing", "file"])
def test_answer_of_the_hub_is_explained(hub, tmp_path, cause, where):
    fault, settings, says = CAUSES[cause]
    assert fault in FAULTS
    if where == "file" and fault == "html":
        return  # only a listing is read as JSON
    hub.heal()
    hub.faults[LOGITS_REPO if where == "listing" else FIRST_FILE] = fault
    output = build(hub, tmp_path, **settings)
    assert_refused(output, *(part.format(endpoint=hub.endpoint) for part in says), "Run the command again")
    assert ("Check the connection" in output.stderr) == (fault == "html")
    assert "hf_old" not in output.stderr


def test_wrong_address_of_the_hub_is_named(hub, tmp_path):
    for endpoint in ("http://no-such-host.invalid", "hub.example", "nonsense://x"):
        output = build(hub, tmp_path, HF_ENDPOINT=endpoint, no_proxy="*", NO_PROXY="*")
        assert_refused(output, f"Check the connection to {endpoint} (HF_ENDPOINT)")


def http_error(status):
    return HTTPError("http://x", status, "Some Phrase", {}, io.BytesIO())


def caused_by(error):
    outer = RuntimeError("outer")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "why", "what"),
    [
        (http_error(404), "404 Some Phrase", "correct the name"),
        (http_error(500), "500 Some Phrase", "has trouble"),
        (URLError(http_error(429)), "429", "Wait some minutes"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left", f"space, or set {FOLDER}"),
        (caused_by(OSError(errno.EDQUOT, "Quota exceeded")), "Quota exceeded", "Free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied", "Correct the permissions"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only", f"or set {FOLDER}"),
        (URLError(ssl.SSLCertVerificationError("certificate verify failed")), "failed", "SSL_CERT_FILE"),
        (URLError(OSError("Tunnel failed: 407 Proxy Authentication Required")), "407", "HTTPS_PROXY"),
        (URLError("no route to host"), "no route to host", f"Check the connection to {HOST}"),
        (TimeoutError("timed out"), "timed out", f"Check the connection to {HOST}"),
        (RuntimeError(), "RuntimeError", "Check the connection"),
    ],
)  # fmt: skip
def test_cause_decides_the_advice(error, why, what):
    assert why in reason(error)
    assert what in advice(error, HOST, folder=FOLDER)


def test_errors_that_cause_each_other_end():
    error = RuntimeError("a")
    error.__cause__ = ValueError("b")
    error.__cause__.__cause__ = error
    assert (reason(error), status_of(error)) == ("b", 0)
