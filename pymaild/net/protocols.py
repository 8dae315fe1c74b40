"""The protocols as a table: a protocol is one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pymaild.core.session import Ending, SessionRecord, Stream
from pymaild.imap.record import ImapRecord
from pymaild.imap.session import ImapSession
from pymaild.imap.states import State as ImapState
from pymaild.lmtp.record import LmtpRecord
from pymaild.lmtp.record import State as LmtpState
from pymaild.lmtp.session import LmtpSession
from pymaild.mail.services import Services
from pymaild.pop3.record import Pop3Record
from pymaild.pop3.record import State as Pop3State
from pymaild.pop3.session import Pop3Session


@dataclass(frozen=True, slots=True)
class Protocol:
    """``record`` and ``session`` are its types; ``section`` names its settings in Config.

    ``state`` is the one in which a session begins; ``refusal`` is what a client is told, instead
    of a greeting, when it may not connect now. ``logs_in`` says that clients authenticate, and
    are limited while they have not.
    """

    record: type[SessionRecord]
    session: Callable[[Any, Stream, Services[Any]], Any]
    section: str
    state: str
    refusal: bytes
    logs_in: bool

    def run(self, record: SessionRecord, stream: Stream, services: Services[Any]) -> Ending:
        """Run a session until it ends in this process."""
        ending: Ending = self.session(record, stream, services).run()
        return ending


PROTOCOLS: Final[dict[str, Protocol]] = {
    "imap": Protocol(
        record=ImapRecord,
        session=ImapSession,
        section="imap",
        state=ImapState.NOT_AUTHENTICATED,
        refusal=b"* BYE [UNAVAILABLE] %s\r\n",  # RFC 9051 §7.1.5, RFC 5530 §3
        logs_in=True,
    ),
    "pop3": Protocol(
        record=Pop3Record,
        session=Pop3Session,
        section="pop3",
        state=Pop3State.AUTHORIZATION,
        refusal=b"-ERR [SYS/TEMP] %s\r\n",  # RFC 1939 §4, RFC 3206 §4
        logs_in=True,
    ),
    "lmtp": Protocol(
        record=LmtpRecord,
        session=LmtpSession,
        section="lmtp",
        state=LmtpState.CONNECTED,
        refusal=b"421 4.3.2 %s\r\n",  # RFC 5321 §4.3.2, RFC 3463 §3.4
        logs_in=False,
    ),
}
