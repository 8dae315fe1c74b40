"""What a test of clients needs to know of a server, whichever server it is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .imap import Address, Imap


class Served(Protocol):
    """A running server with its users; Dovecot and our own instance both are one."""

    users: dict[str, str]
    base: Path
    imap: Address
    pop3: Address
    lmtp: Address

    def maildir(self, user: str) -> Path:
        """The user's Maildir."""

    def client(self, user: str) -> Imap:
        """A connection that is logged in."""

    def log(self) -> str:
        """What the server logged so far."""
