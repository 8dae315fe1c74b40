"""The record of an IMAP session."""

from __future__ import annotations

from dataclasses import dataclass, field

from pymaild.core.session import SessionRecord


@dataclass(slots=True)
class ImapRecord(SessionRecord):
    """What an IMAP session is between two commands.

    ``mailbox`` is "" where none is selected; ``snapshot`` and ``recent`` (ranges of UIDs) are
    those of :meth:`pymaild.mail.selected.Selected.state`. ``idling`` is the tag of an IDLE
    command under way.
    """

    mailbox: str = ""
    read_only: bool = False
    uidvalidity: int = 0
    snapshot: int = 0
    recent: list[list[int]] = field(default_factory=list)
    enabled: list[str] = field(default_factory=list)
    idling: str = ""
