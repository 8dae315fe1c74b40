"""Errors that carry their reply.

A :class:`Refused` is safe to show to a client: its text names no path, no errno and no
traceback. What an administrator needs stands in ``detail`` and goes to the log only.
"""

from __future__ import annotations

import errno
from enum import StrEnum


class Code(StrEnum):
    """Response codes that say why a request was refused (RFC 5530 §3 where not noted)."""

    UNAVAILABLE = "UNAVAILABLE"
    AUTHENTICATIONFAILED = "AUTHENTICATIONFAILED"
    AUTHORIZATIONFAILED = "AUTHORIZATIONFAILED"
    EXPIRED = "EXPIRED"
    PRIVACYREQUIRED = "PRIVACYREQUIRED"
    CONTACTADMIN = "CONTACTADMIN"
    NOPERM = "NOPERM"
    INUSE = "INUSE"
    EXPUNGEISSUED = "EXPUNGEISSUED"
    CORRUPTION = "CORRUPTION"
    SERVERBUG = "SERVERBUG"
    CLIENTBUG = "CLIENTBUG"
    CANNOT = "CANNOT"
    LIMIT = "LIMIT"
    OVERQUOTA = "OVERQUOTA"
    ALREADYEXISTS = "ALREADYEXISTS"
    NONEXISTENT = "NONEXISTENT"
    HASCHILDREN = "HASCHILDREN"  # RFC 9051 §7.1
    TRYCREATE = "TRYCREATE"  # RFC 9051 §7.1
    TOOBIG = "TOOBIG"  # RFC 4469 §4.2, RFC 7889 §4
    BADURL = "BADURL"  # RFC 4469 §4.1, the URL behind it
    BADCHARSET = "BADCHARSET"  # RFC 9051 §7.1
    BADCOMPARATOR = "BADCOMPARATOR"  # RFC 5255 §4.9
    NOTSAVED = "NOTSAVED"  # RFC 5182 §2.5
    MESSAGELIMIT = "MESSAGELIMIT"  # RFC 9738 §3.1, a number behind it
    TOOFEW = "TOOFEW"  # RFC 10022 §3.1.3.2
    MODIFIED = "MODIFIED"  # RFC 7162 §3.1.3, a set behind it
    UNKNOWN_CTE = "UNKNOWN-CTE"  # RFC 9051 §7.1
    UNDEFINED_FILTER = "UNDEFINED-FILTER"  # RFC 5466 §3.1, with its name
    LOGIN_DELAY = "LOGIN-DELAY"  # RFC 2449 §8.1.1, of POP3
    UTF8 = "UTF8"  # RFC 6856 §5, of POP3
    BADEVENT = "BADEVENT"  # RFC 5465 §3.1, with the supported events
    NOTIFICATIONOVERFLOW = "NOTIFICATIONOVERFLOW"  # RFC 5465 §5.8
    USEATTR = "USEATTR"  # RFC 6154 §3
    METADATA_TOOMANY = "METADATA TOOMANY"  # RFC 5464 §4.3
    METADATA_MAXSIZE = "METADATA MAXSIZE"  # RFC 5464 §4.3, a number behind it


class Refused(Exception):
    """The request is understood and declined; nothing was changed.

    ``code`` is None where no RFC names one; ``argument`` is what follows it. ``text`` is one
    line of ASCII for the client, ``detail`` is for the log alone.
    """

    argument: str = ""

    def __init__(self, code: Code | None, text: str, detail: str = "") -> None:
        super().__init__(detail or text)
        self.code = code
        self.text = text
        self.detail = detail


class NoSuchMailbox(Refused):
    """The named mailbox does not exist."""

    def __init__(self, text: str = "No such mailbox") -> None:
        super().__init__(Code.NONEXISTENT, text)


class StorageFailure(Refused):
    """The file system failed; what had been accepted before is safe."""

    errno: int = 0  # of the system's error, where there is one


#: Replies to the errors of a file system; any other errno is a failed subsystem.
_STORAGE_REPLIES: dict[int, tuple[Code, str]] = {
    errno.ENOSPC: (Code.OVERQUOTA, "No space left for mail"),
    errno.EDQUOT: (Code.OVERQUOTA, "Disk quota exceeded"),
    errno.EMFILE: (Code.UNAVAILABLE, "Too many open files, try again later"),
    errno.ENFILE: (Code.UNAVAILABLE, "Too many open files, try again later"),
    errno.EACCES: (Code.NOPERM, "The mail store denies access"),
    errno.EPERM: (Code.NOPERM, "The mail store denies access"),
    errno.EROFS: (Code.UNAVAILABLE, "The mail store is read-only"),
    errno.EIO: (Code.UNAVAILABLE, "The mail store failed to read or write"),
}


def from_oserror(error: OSError) -> StorageFailure:
    """Turn a file system's error into its reply; the errno and path go to ``detail`` only."""
    fallback = (Code.UNAVAILABLE, "The mail store failed")
    code, text = _STORAGE_REPLIES.get(error.errno or 0, fallback)
    failure = StorageFailure(code, text, detail=str(error))
    failure.errno = error.errno or 0
    return failure


class Disconnected(Exception):
    """The client is gone: end of file, reset, or a write that can never succeed."""


class TimedOut(Exception):
    """The client said nothing for as long as the state allows."""


class Leave(Exception):
    """The server asks this session to end at an idle moment; ``text`` is for the BYE line."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Parked(Exception):
    """The client is silent, and its session shall wait without a process (``Ending.PARK``)."""


class ConfigError(Exception):
    """A configuration that cannot be used; the message names file, line and key."""
