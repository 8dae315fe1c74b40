"""ENABLE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.imap._arguments import Arguments
from pymaild.imap.capability import to_enable

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def enable(session: ImapSession, args: Arguments) -> None:
    """ENABLE (RFC 5161 §3.1): capabilities that are unknown or need no enabling are ignored."""
    asked = []
    args.sp()
    asked.append(args.name().decode("ascii"))
    while args.more():
        args.sp()
        asked.append(args.name().decode("ascii"))
    args.end()
    new = [name for name in to_enable(session, asked) if name not in session.record.enabled]
    session.enable(new)
    session.write(" ".join(["* ENABLED", *new]).encode() + b"\r\n")
