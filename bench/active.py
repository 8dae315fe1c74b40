"""A client at work in a process of its own: what it feels, others in this process do not."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Self

from .raw import Address, ImapRaw


class Active:
    """Sends NOOP after NOOP from entry to exit."""

    def __init__(self, address: Address, user: str, password: str) -> None:
        context = multiprocessing.get_context("fork")
        self._mine, theirs = context.Pipe()
        arguments = (theirs, address, user, password)
        self._process = context.Process(target=_work, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._mine.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._mine.send(False)
        self._process.join(10)
        self._process.kill()

    def taken(self) -> list[float]:
        """Milliseconds of each round trip since the last call."""
        self._mine.send(True)
        found: list[float] = self._mine.recv()
        return found


def _work(control: Connection, address: Address, user: str, password: str) -> None:
    client = ImapRaw(address, user, password)
    client.ask(b"SELECT INBOX")
    control.send(None)
    taken: list[float] = []
    while not control.poll() or _tell(control, taken):
        start = time.perf_counter()
        client.ask(b"NOOP")
        taken.append((time.perf_counter() - start) * 1000)
    client.close()


def _tell(control: Connection, taken: list[float]) -> bool:
    """Hand over what was taken; false at the end."""
    if not control.recv():
        return False
    control.send(taken[:])
    taken.clear()
    return True
