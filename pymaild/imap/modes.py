"""What a client has switched on by ENABLE, and what that changes (RFC 5161 §3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Modes:
    """The switches of a session, made from ``ImapRecord.enabled``.

    ``rev2``: replies of IMAP4rev2 (RFC 9051 appendix E); ``utf8``: names and strings are
    UTF-8 (RFC 6855 §3, RFC 9051 §5.1); ``condstore`` and ``qresync`` (RFC 7162 §3);
    ``uidonly``: no sequence numbers (RFC 9586 §3).
    """

    rev2: bool = False
    utf8: bool = False
    condstore: bool = False
    qresync: bool = False
    uidonly: bool = False

    @classmethod
    def of(cls, enabled: Iterable[str]) -> Modes:
        """Read the names that ENABLE took."""
        names = frozenset(enabled)
        rev2, qresync = "IMAP4rev2" in names, "QRESYNC" in names
        return cls(
            rev2=rev2,
            utf8=rev2 or "UTF8=ACCEPT" in names,
            condstore=qresync or "CONDSTORE" in names,
            qresync=qresync,
            uidonly="UIDONLY" in names,
        )
