"""`serve` on other addresses, under other names and below a path, over HTTP."""

import http.client
import os
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from kernel_core.cli import serving
from kernel_core.errors import RequestError
from pages.ui import edge
from tests.support.command import ROOT, invoke, process_of, reserved_port, wait_until_healthy

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@contextmanager
def serving_digits(digits_cache, *options):
    """Start the command; yield its port and the first line that it prints."""
    environment = {**digits_cache, "PYTHONPATH": str(ROOT)}
    with reserved_port() as port:
        command = [sys.executable, "-m", "kernel_core", "serve", "digits", "--port", str(port), *options]
        with process_of(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        ) as process:
            line = process.stdout.readline()
            wait_until_healthy(process, port)
            yield port, line


def answer(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=headers)
    answered = connection.getresponse()
    text = answered.read(2_000).decode(errors="replace") if answered.status != 101 else ""
    connection.close()
    return answered.status, text


def test_names_that_are_allowed_are_answered_and_others_told_how(digits_cache):
    with serving_digits(digits_cache, "--host", "0.0.0.0", "--allow", "hub.example") as (port, line):
        assert f"http://{serving._outward_address()}:{port} " in line
        for name in ("hub.example", f"hub.example:{port}", "localhost", socket.gethostname()):
            assert answer(port, "/", Host=name)[0] == 200
            page = {"Origin": "https://hub.example"}
            assert answer(port, "/_stcore/stream", Host=name, **page, **UPGRADE)[0] == 101
        status, text = answer(port, "/", Host="evil.example:80")
        assert status == 400
        assert "does not answer under the name 'evil.example'" in text
        assert "--allow evil.example" in text
        for headers in ({"Host": "evil.example"}, {"Host": "localhost", "Origin": "https://evil.example"}):
            assert answer(port, "/_stcore/stream", **headers, **UPGRADE)[0] == 403


def test_name_in_a_refusal_is_shown_without_its_tricks(digits_url_alone):
    status, text = answer(digits_url_alone, "/", Host="a<b>;rm\x9b31m")
    assert status == 400
    assert text.isprintable()
    assert "--allow 'a<b>;rm" in text


@pytest.fixture(scope="module")
def digits_url_alone(digits_cache):
    with serving_digits(digits_cache) as (port, _):
        yield port


def test_address_has_the_path_and_brackets(monkeypatch):
    monkeypatch.delenv("STREAMLIT_SERVER_BASE_URL_PATH", raising=False)
    assert serving.address_of("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert serving.address_of("::1", 80) == "http://[::1]:80"
    monkeypatch.setenv("STREAMLIT_SERVER_BASE_URL_PATH", "/tools/explorer/")
    assert serving.address_of("localhost", 80) == "http://localhost:80/tools/explorer"


def test_port_is_claimed_on_the_address_that_is_asked_for():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RequestError, match=r"Cannot use port \d+ on 0\.0\.0\.0"):
            serving.claim_port(taken.getsockname()[1], "0.0.0.0")
    for host in ("192.0.2.77", "no-such-host.invalid"):
        with pytest.raises(RequestError, match=f"no address {host}"):
            serving.claim_port(8501, host)


def test_variable_of_streamlit_is_taken_for_the_host(cache):
    done = invoke("serve", "digits", env={**os.environ, "STREAMLIT_SERVER_ADDRESS": "192.0.2.77"})
    assert done.exit_code == 2
    assert "no address 192.0.2.77" in done.stderr
    assert not cache.exists()


def test_read_only_server_builds_nothing_and_names_the_command(cache):
    done = invoke("serve", "digits", "--read-only")
    assert done.exit_code == 1
    assert "not in the cache" in done.stderr
    assert "kernel-explorer build digits" in done.stderr
    assert not cache.exists()


def test_read_only_server_is_told_so(digits_cache, monkeypatch):
    told = {}

    def tell(_program, _command, variables):
        told.update(variables)
        raise SystemExit

    monkeypatch.setattr(os, "chdir", lambda _folder: None)
    monkeypatch.setattr(os, "execve", tell)
    site = "https://huggingface.co"
    for options, expected in ((["--read-only", "--framed-by", site], ("1", site)), ([], ("", ""))):
        with reserved_port() as port:
            invoke("serve", "digits", "--port", port, *options, env=digits_cache)
        assert (told["KERNEL_EXPLORER_READ_ONLY"], told["KERNEL_EXPLORER_FRAMED_BY"]) == expected


def test_only_a_read_only_app_is_shown_in_frames_of_a_site(monkeypatch):
    assert "--read-only" in invoke("serve", "digits", "--framed-by", "https://a.example").stderr
    refused = invoke("serve", "digits", "--read-only", "--framed-by", "https://a.example; script-src *")
    assert (refused.exit_code, "is no site" in refused.stderr) == (2, True)
    monkeypatch.setenv("KERNEL_EXPLORER_FRAMED_BY", "https://a.example")
    assert edge.headers() == edge.HEADERS
    monkeypatch.setenv("KERNEL_EXPLORER_READ_ONLY", "1")
    assert "frame-ancestors https://a.example" in edge.headers()["Content-Security-Policy"]
    assert "X-Frame-Options" not in edge.headers()
