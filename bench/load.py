"""The mixed load: many clients, each with one command after the other, in a few processes."""

from __future__ import annotations

import select
import ssl
import time
from contextlib import ExitStack
from itertools import cycle, islice
from typing import Any

from .mail import CROWD, CROWDED, PASSWORD, crowd
from .raw import ImapRaw
from .team import Member, gather
from .work import Place, Prepare, Work

SECONDS = 1.0  # of a lap
PROCESSES = 4

#: What a client does; ``%d`` is one of its messages. Reading is more frequent than changing.
MIX: tuple[bytes, ...] = (
    b"NOOP",
    b"FETCH %d (UID FLAGS)",
    b"FETCH %d (BODY.PEEK[])",
    b"STATUS Lists (MESSAGES UNSEEN)",
    b"UID FETCH 101:120 (FLAGS ENVELOPE)",
    b"FETCH %d (BODY.PEEK[HEADER.FIELDS (From Subject)])",
    b"SEARCH UNSEEN",
    b"FETCH %d (BODY.PEEK[TEXT]<0.2048>)",
    b"STORE %d +FLAGS.SILENT (\\Answered)",
    b"NOOP",
    b"FETCH %d (ENVELOPE BODYSTRUCTURE)",
    b"SELECT INBOX",
    b"FETCH %d (FLAGS)",
    b"UID SEARCH SUBJECT index",
    b"STORE %d -FLAGS.SILENT (\\Answered)",
    b"STATUS INBOX (UIDNEXT)",
)


def script(number: int) -> list[bytes]:
    """The commands of one client: the mix, begun at another place with other messages."""
    start = number % len(MIX)
    lines = islice(cycle(MIX), start, start + 4 * len(MIX))
    places = (1 + (number * 31 + step * 7) % CROWDED for step in range(4 * len(MIX)))
    return [
        b"x " + (line % place if b"%d" in line else line) + b"\r\n"
        for line, place in zip(lines, places, strict=True)
    ]


class Clients:
    """Clients of one process, on one epoll."""

    def __init__(self, place: Place, numbers: range, tls: bool, stack: ExitStack) -> None:
        context = trusting() if tls else None
        address = place.imaps if tls else place.server.imap
        self._clients: dict[int, ImapRaw] = {}
        self._scripts: dict[int, Any] = {}
        self._epoll = select.epoll()
        for number in numbers:
            client = ImapRaw(address, crowd(number % CROWD), PASSWORD, context)
            stack.callback(client.close)
            client.ask(b"SELECT INBOX")
            fd = client.socket.fileno()
            self._clients[fd], self._scripts[fd] = client, cycle(script(number))
            self._epoll.register(fd, select.EPOLLIN)

    def work(self, seconds: float) -> tuple[float, list[float]]:
        """Let all of them work; returns the commands done, and the seconds each took."""
        clients, scripts, clock = self._clients, self._scripts, time.perf_counter
        waits: list[float] = []
        begun = {}
        end = clock() + seconds
        for fd, client in clients.items():
            begun[fd] = clock()
            client.wire.send(next(scripts[fd]))
        while begun:
            for fd, _ in self._epoll.poll():
                client = clients[fd]
                client.ok(b"of the mix")
                now = clock()
                waits.append(now - begun[fd])
                if now < end:
                    begun[fd] = clock()
                    client.wire.send(next(scripts[fd]))
                else:
                    del begun[fd]
        return len(waits), waits


def trusting() -> ssl.SSLContext:
    """A client's TLS that believes any certificate; each handshake is a full one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def mixed(clients: int, tls: bool = False) -> Prepare:
    """So many clients at work at once; what each command took is kept."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        members = [
            Member(_part(range(number, clients, PROCESSES), tls), place)
            for number in range(PROCESSES)
        ]
        for member in members:
            stack.callback(member.end)
        gather(members, "ready")
        waits: list[float] = []

        def lap() -> tuple[float, Any]:
            done = gather(members, "lap")
            for _, times in done:
                waits.extend(times)
            return sum(units for units, _ in done), None

        return Work(lap, waits=waits)

    return prepare


def _part(numbers: range, tls: bool) -> Prepare:
    def prepare(place: Place, stack: ExitStack) -> Work:
        clients = Clients(place, numbers, tls, stack)
        return Work(lambda: clients.work(SECONDS))

    return prepare


def handshakes(times: int) -> Prepare:
    """Connect, a full TLS handshake, the greeting, close."""

    def prepare(place: Place, stack: ExitStack) -> Work:
        context = trusting()

        def lap() -> tuple[float, Any]:
            for _ in range(times):
                ImapRaw(place.imaps, tls=context).close()
            return times, None

        return Work(lap)

    return prepare


def tls_bulk(place: Place, stack: ExitStack) -> Work:
    """FETCH of all bodies; the units are megabytes of them."""
    client = ImapRaw(place.imaps, place.user, PASSWORD, trusting())
    stack.callback(client.close)
    client.ask(b"SELECT INBOX")

    def lap() -> tuple[float, Any]:
        client.ask(b"FETCH 1:* (BODY.PEEK[])")
        return client.wire.literal / 1e6, client.wire.literal

    return Work(lap)
