"""Replies and enhanced status codes (RFC 5321 §4.2, RFC 2034, RFC 3463)."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Literal

from pymaild.core.errors import Code, Refused, StorageFailure

_LONGEST = 512 - 2  # RFC 5321 §4.5.3.1.5, without the CRLF


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of one line. ``status`` is "" where none belongs (RFC 2034 §4)."""

    code: int
    status: str
    text: str

    def wire(self) -> bytes:
        """The line as it is sent."""
        return str(self).encode("ascii", "replace")[:_LONGEST] + b"\r\n"

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.status, self.text) if part)

    @classmethod
    def parse(cls, line: str) -> Reply:
        """Read what ``str`` made of a reply that has a status."""
        code, status, text = line.split(" ", 2)
        return cls(int(code), status, text)

    @property
    def permanent(self) -> bool:
        """Whether the sender must not try again."""
        return self.code >= 500


OK = Reply(250, "2.0.0", "OK")
BYE = Reply(221, "2.0.0", "Bye")
START = Reply(354, "", "End the message with <CRLF>.<CRLF>")

LINE_TOO_LONG = Reply(500, "5.5.2", "Line too long")
UNKNOWN_COMMAND = Reply(500, "5.5.1", "Unknown command")
BAD_SEQUENCE = Reply(503, "5.5.1", "Bad sequence of commands")
BAD_ARGUMENTS = Reply(501, "5.5.4", "Invalid arguments")
BAD_SENDER = Reply(501, "5.1.7", "Invalid sender address")
BAD_RECIPIENT = Reply(501, "5.1.3", "Invalid recipient address")
BAD_PARAMETER = Reply(555, "5.5.4", "Unknown parameter")
UTF8_SENDER = Reply(550, "5.6.7", "The sender's address needs SMTPUTF8")
UTF8_RECIPIENT = Reply(553, "5.6.7", "The recipient's address needs SMTPUTF8")
NO_SUCH_USER = Reply(550, "5.1.1", "No such user")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients")
TOO_BIG = Reply(552, "5.3.4", "Message too big")
SPOOL_FULL = Reply(452, "4.3.1", "No space for the message")
CHUNKS_LOST = Reply(451, "4.3.0", "The message's first chunks are lost")
FAILED = Reply(421, "4.3.0", "The server has failed")
DEADLY = Reply(554, "5.3.0", "This command ends the processes that run it")
TIMEOUT = Reply(421, "4.4.2", "Waited too long")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors")


def _temporary(status: str) -> tuple[int, str]:
    return 451, status


#: Code and enhanced status of what storage and auth refuse. What an administrator can mend (the
#: system's state, X.3.0) never makes mail bounce; what is the mailbox's own state (X.2.x) may.
_REFUSALS: dict[Code | None, tuple[int, str]] = {
    Code.NONEXISTENT: (550, "5.1.1"),
    Code.AUTHORIZATIONFAILED: (550, "5.2.1"),
    Code.EXPIRED: (550, "5.2.1"),
    Code.CONTACTADMIN: (550, "5.2.1"),
    Code.TOOBIG: (552, "5.2.3"),
    Code.CANNOT: (554, "5.6.0"),
    Code.INUSE: (450, "4.2.0"),
    Code.CORRUPTION: _temporary("4.2.0"),
}
_OTHERWISE = _temporary("4.3.0")

_QUOTA: dict[str, tuple[int, str]] = {"retry": (452, "4.2.2"), "bounce": (552, "5.2.2")}


def refusal(refused: Refused, quota_full: Literal["retry", "bounce"]) -> Reply:
    """The reply to a recipient (or a whole message) that a refusal stands for."""
    if isinstance(refused, StorageFailure) and refused.errno == errno.ENOSPC:
        code, status = 452, "4.3.1"
    elif refused.code is Code.OVERQUOTA:
        code, status = _QUOTA[quota_full]
    else:
        code, status = _REFUSALS.get(refused.code, _OTHERWISE)
    return Reply(code, status, refused.text)
