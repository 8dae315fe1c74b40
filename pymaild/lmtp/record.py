"""What an LMTP session is between two commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pymaild.core.session import SessionRecord


class State(StrEnum):
    """Where a mail transaction stands (RFC 5321 §4.1.4, RFC 2033 §4.2, RFC 3030 §2)."""

    CONNECTED = "connected"  # no LHLO yet
    READY = "ready"
    MAIL = "mail"  # a sender, no recipient yet
    RECIPIENTS = "recipients"
    CHUNKS = "chunks"  # BDAT has begun


@dataclass(slots=True)
class LmtpRecord(SessionRecord):
    """An LMTP session. ``size`` is that of the message as MAIL announced it, 0 where it did not;
    ``recipients`` are [address, user name, folder or ""] in RCPT's order.

    ``failure`` is the reply that a sequence of BDAT chunks has earned, "" while it is well. The
    chunks themselves are in no record: a session that moves between two of them loses them, and
    tells the sender to try again. ``mark`` is the name that the message's file shall have, "" for
    any.
    """

    helo: str = ""
    sender: str = ""
    utf8: bool = False
    size: int = 0
    recipients: list[list[str]] = field(default_factory=list)
    failure: str = ""
    delivered: int = 0
    mark: str = ""

    def reset(self) -> None:
        """Forget the transaction (RFC 5321 §4.1.1.5)."""
        self.state = State.READY if self.helo else State.CONNECTED
        self.sender = self.failure = ""
        self.utf8 = False
        self.size = 0
        self.recipients = []
