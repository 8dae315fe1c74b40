"""One message on its way into a mailbox, whatever it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

PIECE = 65536  # octets; what is held of a message at a time


class Incoming(Protocol):
    """A message to import.

    ``flags`` (IMAP names) and ``date`` (seconds since 1970, or None) are complete when
    :meth:`pieces` has been read to its end, which must happen before the next message is taken.
    """

    flags: set[str]
    date: float | None

    def pieces(self) -> Iterator[bytes]:
        """Yield the message in bounded pieces, with line ends as they are stored."""


class Source(Protocol):
    """What messages are read from. ``size`` and :meth:`position` are for a progress bar."""

    size: int

    def position(self) -> int:
        """Return how much of ``size`` has been read."""

    def messages(self) -> Iterator[Incoming]:
        """Yield the messages in their order."""
