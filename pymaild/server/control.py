"""The control socket: one JSON request a line, one JSON reply a line. Who may, its rights say."""

from __future__ import annotations

import json
import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

log = logging.getLogger("pymaild.server")

LONGEST = 65536  # octets of a request
MOST = 32  # administrators at a time
PATIENCE = 30.0  # seconds without a request or without taking the reply

Answer = Callable[[dict[str, Any]], Any]


class Gradual:
    """An answer that is long in the making: ``pieces`` of JSON text, also empty ones, each of
    which is made when the client has taken what came before, and others have had their turn."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.pieces = pieces


class Later:
    """An answer that is given when it is known."""

    def __init__(self) -> None:
        self.tell: Callable[[dict[str, Any]], None] = lambda reply: None

    def answer(self, result: Any) -> None:
        """Say what has come of it."""
        self.tell({"ok": True, "result": result})

    def refuse(self, why: str) -> None:
        """Say why nothing has."""
        self.tell({"ok": False, "error": why})


class Mistake(Exception):
    """A request that cannot be carried out; the message is for the administrator."""


class Control:
    """Serves the socket inside the master's loop; never blocks.

    ``commands`` maps names to functions of the request's arguments. ``watch`` is told which
    descriptor waits for which events and whom to call; 0 events: no more.
    """

    def __init__(
        self,
        listener: socket.socket,
        commands: dict[str, Answer],
        watch: Callable[[int, int, Callable[[], None]], None],
    ) -> None:
        self.listener = listener
        self._commands = commands
        self._watch = watch
        self._clients: set[Client] = set()

    def open(self) -> None:
        """Take connections."""
        self._watch(self.listener.fileno(), select.EPOLLIN, self._accept)

    def retire(self) -> None:
        """Take none any more; another process does."""
        self._watch(self.listener.fileno(), 0, self._accept)
        self.listener.close()

    def close(self) -> None:
        """Close the socket and all connections to it in this process."""
        for client in self._clients:
            client.sock.close()
        self.listener.close()

    def check(self) -> None:
        """End connections that nobody uses."""
        now = time.monotonic()
        for client in [c for c in self._clients if now - c.touched > PATIENCE and not c.waits]:
            self._end(client)

    def _accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        if len(self._clients) >= MOST:
            sock.close()
            return
        sock.setblocking(False)
        client = Client(sock)
        self._clients.add(client)
        self._watch(sock.fileno(), select.EPOLLIN, lambda: self._serve(client))

    def _serve(self, client: Client) -> None:
        try:
            alive = client.send() if client.tells else client.receive()
            while alive and client.listens and (line := client.line()) is not None:
                self._obey(client, line)
        except OSError:
            alive = False
        except Exception:
            log.exception("the answer to a control command breaks off")
            alive = False
        if not alive:
            self._end(client)
            return
        self._watch(client.sock.fileno(), client.events, lambda: self._serve(client))

    def _obey(self, client: Client, line: bytes) -> None:
        answer = self._answer(line)
        if isinstance(answer, Later):
            client.waits = True
            answer.tell = lambda reply: self._tell(client, reply)
        elif isinstance(answer, Gradual):
            client.pieces = chain(['{"ok": true, "result": '], answer.pieces, ["}\n"])
        else:
            client.say(answer)

    def _tell(self, client: Client, reply: dict[str, Any]) -> None:
        """Give an answer that was not known before."""
        if client in self._clients:
            client.waits = False
            with suppress(OSError):  # who has gone is noticed when it is read from
                client.say(reply)
            self._watch(client.sock.fileno(), client.events, lambda: self._serve(client))

    def _answer(self, line: bytes) -> dict[str, Any] | Later | Gradual:
        try:
            request = json.loads(line)
            name = request.pop("command")
            command = self._commands[name]
        except (ValueError, AttributeError, KeyError, TypeError):
            return {"ok": False, "error": f"unknown command; known: {', '.join(self._commands)}"}
        try:
            result = command(request)
            made = isinstance(result, Later | Gradual)
            return result if made else {"ok": True, "result": result}
        except Mistake as mistake:
            return {"ok": False, "error": str(mistake)}
        except Exception:
            log.exception("control command %s", name)
            return {"ok": False, "error": "internal error, see the log"}

    def _end(self, client: Client) -> None:
        self._clients.discard(client)
        self._watch(client.sock.fileno(), 0, client.nothing)
        client.sock.close()


class Client:
    """One administrator's connection. It is not read while a reply waits to be taken."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.output = b""
        self.pieces: Iterator[str] | None = None  # of the answer that is being given
        self.touched = time.monotonic()
        self.waits = False  # for an answer that is not known yet
        self._input = b""

    @property
    def listens(self) -> bool:
        """Whether the next request can be answered."""
        return not self.tells and not self.waits

    @property
    def tells(self) -> bool:
        """Whether there is more of an answer."""
        return bool(self.output) or self.pieces is not None

    @property
    def events(self) -> int:
        """What is to be waited for."""
        if self.waits:
            return 0
        return select.EPOLLOUT if self.tells else select.EPOLLIN

    def say(self, reply: dict[str, Any]) -> None:
        """Give an answer. Raises OSError."""
        self.output = json.dumps(reply).encode() + b"\n"
        self.send()

    def receive(self) -> bool:
        """Read what is there; false at the end or when a line becomes too long."""
        try:
            data = self.sock.recv(LONGEST)
        except BlockingIOError:
            return True
        self.touched = time.monotonic()
        self._input += data
        return bool(data) and len(self._input) <= LONGEST

    def line(self) -> bytes | None:
        """Return the next request, if it is there as a whole."""
        line, end, rest = self._input.partition(b"\n")
        if not end:
            return None
        self._input = rest
        return line

    def send(self) -> bool:
        """Send what the socket takes: of an answer in pieces, some of one."""
        if not self.output and self.pieces is not None:
            self._make()
        try:
            sent = self.sock.send(self.output, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return True
        self.output = self.output[sent:]
        self.touched = time.monotonic()
        return True

    def _make(self) -> None:
        """Make the next piece."""
        assert self.pieces is not None
        piece = next(self.pieces, None)
        if piece is None:
            self.pieces = None
        else:
            self.output = piece.encode()

    def nothing(self) -> None:
        """Do nothing."""
