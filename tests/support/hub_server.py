"""A stand-in for the Hugging Face Hub on 127.0.0.1 that the real client talks to, with faults and a log.

Like the Hub, it has two origins: one lists a repository and redirects to its files, and the other, the CDN,
serves their bytes in ranges. With `xet`, files are also in Xet storage, which the client prefers:
uncompressed chunks, one xorb per file.
"""

import hashlib
import json
import re
import socket
import struct
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

FAULTS = {
    "cut": "closes the connection after half of the body, once",
    "cut always": "closes the connection after half of the body at every attempt",
    "reset": "resets the connection after half of the body at every attempt",
    "stall": "sends nothing more after half of the body",
    "short": "sends half of the body and claims that it is all",
    "size": "announces one byte too many in the redirect",
    "flip": "changes one byte of the body",
    "flip once": "changes one byte of the body, once",
    "404": "lists the file but does not have it",
    "503": "is overloaded: listing and redirect fail",
    "503 body": "is overloaded at the CDN only",
    "401": "refuses the token, or says that without one it has no such dataset",
    "403": "asks for the terms to be accepted first",
    "407": "is behind a proxy that asks for a password",
    "429": "has had too many requests",
    "html": "answers the listing with an unrelated page, as a hotel's network does",
    "xet 404": "does not know the file in Xet storage",
}
REFUSALS = {  # fault → headers of the answer
    "401": {"X-Error-Message": "Invalid credentials in Authorization header"},
    "403": {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to dataset is restricted"},
    "407": {"Proxy-Authenticate": "Basic"},
    "429": {"Retry-After": 0},
    "503": {"Retry-After": 0},
}
CLOSED = "http://127.0.0.1:9"  # the discard service, which nobody runs
CONVERTED = "@converted"  # ends the key of what is in a repository's branch refs/convert/parquet
CHUNK = 64 * 1024  # bytes per chunk in Xet storage


@dataclass(frozen=True)
class Request:
    """A request, with the status of its response."""

    method: str
    path: str
    range: str | None
    status: int


@dataclass
class Hub:
    """The server.

    repos: repository → file → bytes. faults: file, or repository for its listing → key of `FAULTS`.
    """

    repos: dict
    faults: dict = field(default_factory=dict)
    log: list = field(default_factory=list)
    xet: bool = False
    stalled: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self.servers = [_Server(("127.0.0.1", 0), _Handler) for _ in range(2)]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)
        for server in self.servers:
            server.hub = self
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.heal()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def heal(self):
        """Remove all faults and clear the log."""
        assert set(self.faults.values()) <= set(FAULTS), self.faults
        self.faults.clear()
        self.log.clear()
        self.xet = False
        self.released.set()  # ends every stall
        self.stalled, self.released = threading.Event(), threading.Event()

    def commit(self, repo):
        """Return the repository's commit, which depends on its content."""
        digest = hashlib.sha1()
        for file, content in sorted(self.repos[repo].items()):
            digest.update(f"{file} {hashlib.sha256(content).hexdigest()}".encode())
        return digest.hexdigest()

    def ranges(self, file):
        """Return the Range of every request for the bytes of a file, in order; None for a whole file."""
        return [
            r.range for r in self.log if r.method == "GET" and r.path.endswith(file) and "/cdn/" in r.path
        ]

    def fetched(self):
        """Return the files whose bytes were requested, in order."""
        paths = (
            re.fullmatch(r"/(?:cdn|xorb)/[^/]+/[^/]+/(.+)", r.path) for r in self.log if r.method == "GET"
        )
        return [path[1] for path in paths if path]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # a client may hang up
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        for pattern, answer in ROUTES.items():
            match = re.fullmatch(pattern, path)
            if match and match[1] in self.hub.repos:
                return answer(self, *match.groups())
        return self._answer(404)

    do_HEAD = do_GET

    def _answer(self, status, headers=None, body=b"", cut=None):
        """Send `body`, or only its first `cut` bytes before closing the connection."""
        path = unquote(urlsplit(self.path).path)
        self.hub.log.append(Request(self.command, path, self.headers.get("Range"), status))
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True

    def _refuse(self, fault):
        headers = REFUSALS[fault]
        if fault == "401" and not self.headers.get("Authorization"):
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        return self._answer(int(fault), headers)

    def _list(self, repo, revision="main"):
        branch = self._branch(repo, revision)
        if branch is None:
            return self._answer(404, {"X-Error-Code": "RevisionNotFound"})
        repo = branch
        fault = self.hub.faults.get(repo)
        if fault in REFUSALS:
            return self._refuse(fault)
        if fault == "html":
            return self._answer(200, {"Content-Type": "text/html"}, b"<html>Welcome! Please log in.</html>")
        files = [{"rfilename": file} for file in sorted(self.hub.repos[repo])]
        content = {"id": repo, "sha": self.hub.commit(repo), "siblings": files, "private": False, "tags": []}
        return self._answer(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def _branch(self, repo, revision):
        """Return the key of a repository's branch: its own or the converted one, by commit too."""
        known = {"main": repo, "refs/convert/parquet": f"{repo}{CONVERTED}"}
        known |= {self.hub.commit(key): key for key in list(known.values()) if key in self.hub.repos}
        return known.get(revision) if known.get(revision) in self.hub.repos else None

    def _resolve(self, repo, commit, file):
        repo = self._branch(repo, commit) or repo
        hub, content = self.hub, self.hub.repos[repo].get(file)
        fault = hub.faults.get(file)
        if content is None or commit != hub.commit(repo) or fault == "404":
            return self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        if fault in REFUSALS:
            return self._refuse(fault)
        headers = {
            "Location": f"{hub.cdn}/cdn/{repo}/{file}",
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": len(content) + (fault == "size"),
            "Accept-Ranges": "bytes",
        }
        if hub.xet:
            headers["X-Xet-Hash"] = _xet_hash(repo, file)
            headers["X-Xet-Refresh-Route"] = f"{hub.endpoint}/api/datasets/{repo}/xet-read-token/{commit}"
        return self._answer(302, headers)

    def _bytes(self, repo, file):
        content = self.hub.repos[repo].get(file)
        fault = self.hub.faults.get(file)
        if content is None or fault == "503 body":
            return self._answer(404 if content is None else 503)
        half = len(content) // 2
        if fault in ("flip", "flip once"):
            content = _flip(content)
        if fault == "short":
            content = content[:half]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        start, stop, status = 0, len(content), 200
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop, status = int(asked[1]), int(asked[2] or len(content) - 1) + 1, 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        if stop <= half:
            fault = None  # the range ends before the fault
        if fault in ("cut", "flip once"):
            del self.hub.faults[file]
        if fault not in ("cut", "cut always", "reset", "stall"):
            return self._answer(status, headers, content[start:stop])
        released = self.hub.released
        self._answer(status, headers, content[start:stop], cut=max(half - start, 0))
        if fault == "stall":
            self.hub.stalled.set()
            released.wait()
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()
        return None

    def _xet_token(self, repo, _commit):
        headers = {"X-Xet-Cas-Url": f"{self.hub.cdn}/cas/{repo}", "X-Xet-Access-Token": "token"}
        return self._answer(200, {**headers, "X-Xet-Token-Expiration": 4_000_000_000})

    def _xet_chunks(self, repo, xet_hash):
        """Say where the chunks of a file are: all in one xorb."""
        file = next(file for file in self.hub.repos[repo] if _xet_hash(repo, file) == xet_hash)
        if self.hub.faults.get(file) == "xet 404":
            return self._answer(404)
        content = self.hub.repos[repo][file]
        chunks = {"start": 0, "end": -(-len(content) // CHUNK)}
        fetch = {
            "range": chunks,
            "url": f"{self.hub.cdn}/xorb/{repo}/{file}",
            "url_range": {"start": 0, "end": len(_xorb(content)) - 1},
        }
        terms = [{"hash": xet_hash, "unpacked_length": len(content), "range": chunks}]
        answer = {"offset_into_first_range": 0, "terms": terms, "fetch_info": {xet_hash: [fetch]}}
        return self._answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _xorb(self, repo, file):
        content = self.hub.repos[repo][file]
        if self.hub.faults.get(file) == "flip once":
            content = _flip(content)
            del self.hub.faults[file]
        body = _xorb(content)
        return self._answer(206, {"Content-Range": f"bytes 0-{len(body) - 1}/{len(body)}"}, body)


def _flip(content):
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


def _xet_hash(repo, file):
    return hashlib.sha256(f"xet {repo} {file}".encode()).hexdigest()


def _xorb(content):
    """Return the chunks one after the other, each preceded by its header.

    A header holds version, packed size, compression (none) and size.
    """
    chunks = (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
    packed = []
    for chunk in chunks:
        size = len(chunk).to_bytes(3, "little")
        packed += [b"\0" + size + b"\0" + size, chunk]
    return b"".join(packed)


REPO = r"([^/]+/[^/]+)"
ROUTES = {
    rf"/api/datasets/{REPO}/revision/(.+)": _Handler._list,
    rf"/api/datasets/{REPO}": _Handler._list,
    rf"/datasets/{REPO}/resolve/([^/]+)/(.+)": _Handler._resolve,
    rf"/cdn/{REPO}/(.+)": _Handler._bytes,
    rf"/api/datasets/{REPO}/xet-read-token/([^/]+)": _Handler._xet_token,
    rf"/cas/{REPO}/v1/reconstructions/([0-9a-f]+)": _Handler._xet_chunks,
    rf"/xorb/{REPO}/(.+)": _Handler._xorb,
}
