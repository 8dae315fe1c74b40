"""Who makes in the background what a session finds missing, and when that is asked for.

A session makes the cache entries of a few messages by itself. Where many are missing, it leaves
them to others and reads of each message only what its client has asked for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal, Self

from pymaild.core.session import User
from pymaild.index import Index

ALONE = 20  # cache entries that a session makes by itself in each spell
SPELL = 10.0  # seconds; others are asked once in each
YOUNGEST = 32  # messages that are looked at when a mailbox is opened
NEWEST = 1 << 32  # above all UIDs

Kind = Literal["cache", "text"]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done for a mailbox, as its owner calls it: for UIDs below ``below``.

    ``prefix`` is that of the names in its account.
    """

    user: User
    mailbox: str
    prefix: str = ""
    kind: Kind = "cache"
    below: int = NEWEST

    def encode(self) -> bytes:
        """Return the task as JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        """Read what :meth:`encode` wrote. Raises ValueError for anything else."""
        try:
            body = json.loads(octets)
            body["user"] = User(**body["user"])
            return cls(**body)
        except (TypeError, KeyError) as error:
            raise ValueError(f"no task: {error}") from None


Ask = Callable[[Task], object]


class Helpers:
    """Those who can be asked on behalf of one mailbox."""

    def __init__(self, ask: Ask | None = None, task: Task | None = None) -> None:
        """Without ``ask`` there are none."""
        self._ask = ask
        self._task = task
        self._since = float("-inf")
        self._met = 0  # messages without an entry, in this spell

    def ask(self, kind: Kind) -> None:
        """Have something made for the mailbox."""
        if self._ask is not None and self._task is not None:
            self._ask(replace(self._task, kind=kind))

    def leave(self) -> bool:
        """Say of a message without a cache entry whether that is left to others."""
        if self._ask is None:
            return False
        self._meet(1)
        return self._met > ALONE

    def _meet(self, messages: int) -> None:
        if time.monotonic() > self._since + SPELL:
            self._since, self._met = time.monotonic(), 0
        before, self._met = self._met, self._met + messages
        if before <= ALONE < self._met:
            self.ask("cache")

    def look(self, index: Index) -> None:
        """Ask ahead of the client where most of the youngest messages have no entry."""
        if self._ask is not None:
            missing = len(index.uncached(NEWEST, YOUNGEST, YOUNGEST))
            if missing > ALONE:
                self._meet(missing)
