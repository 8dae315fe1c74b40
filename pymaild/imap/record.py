"""The record of an IMAP session."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pymaild.core.session import SessionRecord

#: What UNAUTHENTICATE leaves alone: the connection, the client's name, and what is counted.
_OF_THE_CONNECTION = frozenset(
    (
        *("protocol", "id", "listener", "hidden", "peer", "local", "tls", "started", "greeted"),
        *("client", "bad", "auth_failures", "commands", "compressed"),
    )
)


@dataclass(slots=True)
class ImapRecord(SessionRecord):
    """What an IMAP session is between two commands.

    ``mailbox`` is "" where none is selected; ``snapshot`` and ``recent`` (ranges of UIDs) are
    those of :meth:`pymaild.mail.selected.Selected.state`; ``keywords`` says how many of the
    mailbox the client has been told. ``idling`` is the tag of an IDLE
    command under way. ``saved`` are ranges of the UIDs that "$" stands for (RFC 5182);
    ``contexts`` are those of :meth:`pymaild.imap.contexts.Contexts.state`.
    ``notify`` is None before the first NOTIFY (see notifier.py). ``compressed`` says that
    COMPRESS is active. ``language`` is one of core.texts.LANGUAGES, "" for the default;
    ``comparator`` is what the client chose of mime.collation.COMPARATORS, likewise.
    """

    mailbox: str = ""
    read_only: bool = False
    uidvalidity: int = 0
    snapshot: int = 0
    recent: list[list[int]] = field(default_factory=list)
    keywords: int = 0
    enabled: list[str] = field(default_factory=list)
    idling: str = ""
    saved: list[list[int]] = field(default_factory=list)
    contexts: list[dict[str, Any]] = field(default_factory=list)
    notify: dict[str, Any] | None = None
    compressed: bool = False
    language: str = ""
    comparator: str = ""

    def forget_user(self) -> None:
        """Be as on the day of the greeting (RFC 8437 §3): extensions to come are included."""
        fresh = ImapRecord()
        for item in fields(self):
            if item.name not in _OF_THE_CONNECTION:
                setattr(self, item.name, getattr(fresh, item.name))
