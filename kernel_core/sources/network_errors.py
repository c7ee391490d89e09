"""Why a download failed, and what to do about it: told apart by the cause, not by the library that raised."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
WORDS = 300  # characters of a reason
AGAIN = "Run the command again"
PROXY = (
    "The proxy asks for a name and a password: put them into HTTPS_PROXY and HTTP_PROXY, as in "
    f"http://name:password@host:port. {AGAIN}"
)


def reason(error: BaseException) -> str:
    """Return why a download failed, in one line without a full stop: status and words of the server first."""
    status, words = status_of(error), server_words(error)
    if status:
        return f"{status} {_phrase(error)}".strip() + (f": {words}" if words else "")
    if any(isinstance(e, json.JSONDecodeError) for e in _chain(error)):
        return "its answer is not JSON; it may come from a proxy or a login page"
    *_, last = _chain(error)
    lines = (str(last).strip() or type(last).__name__).splitlines()
    return lines[0][:WORDS].rstrip(".")


def advice(error: BaseException, host: str, *, folder: str, terms: str = "", has_token: bool = False) -> str:
    """Return what to do about a download that failed, as sentences without the last full stop.

    host: what was asked, as in "https://huggingface.co (HF_ENDPOINT)". folder: words that complete "Free
    some space, or set …". terms: the page on which the terms of the data are accepted. has_token: whether a
    token was sent.
    """
    status, text = status_of(error), " ".join(str(e) for e in _chain(error))
    if status == 407 or re.search(r"\b407\b|proxy authentication", text, re.IGNORECASE):
        return PROXY
    if status:
        return f"{_advice_by_status(status, host, terms, has_token)}. {AGAIN}"
    number = next((e.errno for e in _chain(error) if isinstance(e, OSError) and e.errno), 0)
    if number in FULL:
        return f"Free some space, or set {folder}. {AGAIN}"
    if number in REFUSED:
        return f"Correct the permissions, or set {folder}. {AGAIN}"
    if re.search(r"certificate|\bssl\b", text, re.IGNORECASE):
        return (
            f"The certificate of {host} is not trusted here: a proxy may stand between, whose certificate "
            f"SSL_CERT_FILE has to name; or the clock is wrong. {AGAIN}"
        )
    return f"Check the connection to {host}. {AGAIN}"


def _advice_by_status(status: int, host: str, terms: str, has_token: bool) -> str:
    if status == 401 and has_token:
        return "The token was refused: unset HF_TOKEN, or log in anew with hf auth login"
    if status == 401:
        return "It does not exist, or is private: correct its name, or log in with hf auth login"
    if status == 403 and terms:
        return f"Accept the terms at {terms}, and set HF_TOKEN to a token of that account"
    if status == 429:
        return "Wait some minutes; with HF_TOKEN set, more requests are allowed"
    if status >= 500:
        return f"{host} has trouble: wait a while"
    return f"{host} does not give it: correct the name, or try later"


def status_of(error: BaseException) -> int:
    """Return the status of the answer that an error is about, as 404; 0 if there was no answer."""
    answer = _answer(error)
    status = getattr(answer, "status_code", None) or getattr(answer, "code", None)
    return status if isinstance(status, int) else 0


def server_words(error: BaseException) -> str:
    """Return in one line what the server said of an error; empty if it said nothing."""
    answer = _answer(error)
    for e in _chain(error):
        if words := getattr(e, "server_message", None):
            return _line(words)
    headers = getattr(answer, "headers", None) or {}
    return _line(headers.get("X-Error-Message") or "")


def _answer(error: BaseException) -> Any:
    """Return the first answer of a server in a chain of errors: a client's response, or urllib's error."""
    for e in _chain(error):
        if getattr(e, "response", None) is not None:
            return e.response  # type: ignore[attr-defined]
        if isinstance(getattr(e, "code", None), int) and hasattr(e, "headers"):
            return e
    return None


def _phrase(error: BaseException) -> str:
    answer = _answer(error)
    return _line(getattr(answer, "reason_phrase", None) or getattr(answer, "reason", None) or "")


def _line(text: object) -> str:
    return " ".join(str(text).split())[:WORDS].rstrip(".")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it, the deepest last."""
    seen = set[int]()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        inner = getattr(following, "reason", None)  # urllib's
        following = following.__cause__ or (inner if isinstance(inner, BaseException) else None)
