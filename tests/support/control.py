"""The administrator's socket: one JSON request a line, one JSON reply a line."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any


class Control:
    """Asks a running master; every call is a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, command: str, **arguments: Any) -> Any:
        """Send a command; returns its result. Raises AssertionError on a refusal."""
        reply = self.raw({"command": command, **arguments})
        assert reply["ok"], f"{command}: {reply}"
        return reply["result"]

    def raw(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the whole reply."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(20)
            link.connect(str(self.path))
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as lines:
                reply: dict[str, Any] = json.loads(lines.readline())
                return reply
