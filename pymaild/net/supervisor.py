"""What a stream asks of the server around it."""

from __future__ import annotations

from typing import Protocol


class Supervisor(Protocol):
    """What the server wants of the session; the server package implements it."""

    leaving: str  # text for the client when the session shall end at an idle moment, else ""
    urgent: bool  # it shall end now, even inside a command

    def fileno(self) -> int:
        """Return a descriptor that is readable when :meth:`attend` has something to do."""

    def attend(self) -> None:
        """Take note of all that has arrived; sets ``leaving`` and ``urgent``."""

    def beat(self) -> None:
        """Show a sign of life."""

    def rest(self) -> None:
        """Do what can wait until nobody says anything."""
