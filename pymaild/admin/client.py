"""Talks to the master over its Unix socket; the socket's rights decide who may."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from pymaild.admin.exits import Exit, Failure

LARGEST_REPLY = 64 << 20  # octets; `who` with a hundred thousand sessions stays below
PATIENCE = 30.0  # seconds


def ask(path: str, command: str, patience: float = PATIENCE, **arguments: Any) -> Any:
    """Send one command and return its result. Raises Failure when there is none.

    The request is one line of JSON, ``{"command": ..., argument: value}``; the reply is
    ``{"ok": true, "result": ...}`` or ``{"ok": false, "error": ...}``.
    """
    request = json.dumps({"command": command, **arguments}) + "\n"
    try:
        line = _exchange(path, request.encode(), patience)
    except PermissionError:
        raise Failure(Exit.NOPERM, f"{path}: you may not control this server") from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise Failure(Exit.UNAVAILABLE, f"{path}: no server is running") from None
    except OSError as error:
        raise Failure(Exit.UNAVAILABLE, f"{path}: {error.strerror or error}") from None
    return _result(line)


def _exchange(path: str, request: bytes, patience: float) -> bytes:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(patience)
        _connect(link, path)
        link.sendall(request)
        with link.makefile("rb") as reader:
            return reader.readline(LARGEST_REPLY)


def _connect(link: socket.socket, path: str) -> None:
    """Connect, by way of the folder's descriptor: a socket's address has room for 107 octets."""
    folder, name = os.path.split(os.path.abspath(path))
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        link.connect(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)


def _result(line: bytes) -> Any:
    try:
        reply = json.loads(line)
        if reply["ok"]:
            return reply["result"]
        raise Failure(Exit.UNAVAILABLE, str(reply["error"]))
    except (ValueError, KeyError, TypeError):
        raise Failure(Exit.UNAVAILABLE, "the server gave no proper answer") from None
