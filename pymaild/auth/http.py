"""One HTTP request at a time, blocking, for the threads that ask about tokens.

The whole exchange has one deadline and one bound, whatever the other side does. Redirections
are not followed: what is asked carries secrets.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

#: Octets of an answer, its head included.
LARGEST_ANSWER = 256 * 1024

_PORTS = {"https": 443, "http": 80}


class RequestFailed(Exception):
    """No usable answer; the text is for the log and holds nothing that was sent."""


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """``body`` None is GET, anything else POST of a form; ``headers`` are further fields."""

    url: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def fetch_json(request: Request, timeout: float, context: ssl.SSLContext) -> Any:
    """Return the JSON value that a URL answers with. Raises RequestFailed."""
    try:
        status, body = _exchange(request, timeout, context)
        if status != 200:
            raise RequestFailed(f"{_place(request.url)} answered with status {status}")
        return json.loads(body)
    except (OSError, http.client.HTTPException) as error:
        raise RequestFailed(f"{_place(request.url)}: {error!r}") from error
    except (ValueError, RecursionError):
        raise RequestFailed(f"{_place(request.url)} did not answer with JSON") from None


def _exchange(request: Request, timeout: float, context: ssl.SSLContext) -> tuple[int, bytes]:
    deadline = time.monotonic() + timeout
    parts = urlsplit(request.url)
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    with socket.create_connection((host, port), timeout) as plain:
        sock = plain
        if parts.scheme == "https":
            _bound(plain, deadline)
            sock = context.wrap_socket(plain, server_hostname=host)
        with sock:
            _bound(sock, deadline)
            sock.sendall(_written(request))
            answer = _read(sock, deadline)
    response = http.client.HTTPResponse(_Answer(answer))  # type: ignore[arg-type]
    response.begin()
    return response.status, response.read()


def _written(request: Request) -> bytes:
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = {
        "Host": parts.netloc.rpartition("@")[2],
        "Accept": "application/json",
        "Connection": "close",
        **request.headers,
    }
    if request.body is not None:
        fields["Content-Type"] = "application/x-www-form-urlencoded"
        fields["Content-Length"] = str(len(request.body))
    method = "GET" if request.body is None else "POST"
    head = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join([*head, "", ""]).encode("ascii") + (request.body or b"")


def _read(sock: socket.socket, deadline: float) -> bytes:
    """Return all that comes until the connection is closed."""
    data = bytearray()
    while True:
        _bound(sock, deadline)
        piece = sock.recv(65_536)
        data += piece
        if len(data) > LARGEST_ANSWER:
            raise http.client.HTTPException("the answer is too long")
        if not piece:
            return bytes(data)


def _bound(sock: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer took too long")
    sock.settimeout(left)


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class _Answer:
    """Received octets as the library's parser of answers wants them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)
