"""Delivery of one message from a pipe: `pymaild deliver`, for procmail, .forward and MTAs."""

from __future__ import annotations

import logging
import os
import pwd
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from pymaild.core.errors import Code, Refused
from pymaild.core.session import User
from pymaild.lmtp.address import Address, candidates, parse_path
from pymaild.lmtp.replies import Reply, refusal
from pymaild.lmtp.settings import LmtpSettings
from pymaild.mail.account import Account
from pymaild.mail.delivery import deliver

log = logging.getLogger("pymaild.deliver")

_PIECE = 65536
_FROM = re.compile(rb">?From (\S*)[^\n]*\n")  # the line that parts the messages of an mbox
_END_OF_HEADER = re.compile(rb"^\r?\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Order:
    """The options of the command.

    ``user`` None: the user who calls. ``sender`` None: what the "From " line says, if there is
    one; "" is the null sender. ``folder`` None: the address decides. ``address`` None: no
    Delivered-To is added.
    """

    user: str | None = None
    sender: str | None = None
    folder: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What a delivery needs of the host. ``become`` turns the process into the user."""

    lookup: Callable[[str], User | None]
    open_account: Callable[[User], Account]
    become: Callable[[User], None]
    message_size: int
    settings: LmtpSettings


#: Exit codes of sysexits(3) for replies that are final; all others mean "try again later".
_EXITS = {
    "5.1.1": os.EX_NOUSER,
    "5.1.3": os.EX_USAGE,
    "5.2.1": os.EX_NOPERM,
    "5.2.2": os.EX_CANTCREAT,
    "5.2.3": os.EX_DATAERR,
    "5.6.0": os.EX_NOINPUT,
}


def own_user(maildir: str = "Maildir") -> User:
    """The user who calls, with the Maildir of that name in the home directory."""
    entry = pwd.getpwuid(os.getuid())
    mail = os.path.join(entry.pw_dir, maildir)
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, mail, system=True)


def deliver_command(stdin: BinaryIO, order: Order, place: Place) -> int:
    """Deliver what ``stdin`` holds, LF or CRLF lines, and return the exit code of the command.

    0 is returned when the message is on disk. Nothing is raised: what is not understood means
    EX_TEMPFAIL, so that the MTA keeps the message.
    """
    try:
        user, folder = _recipient(order, place)
        place.become(user)
        pieces = _message(stdin, order, place.message_size)
        mailbox, uid = deliver(place.open_account(user), pieces, folder or None)
    except Refused as refused:
        reply = refusal(refused, place.settings.quota_full)
        log.error("not delivered: user=%r reply=%r %s", order.user, str(reply), refused.detail)
        return exit_code(reply)
    except Exception:
        log.exception("not delivered: user=%r", order.user)
        return os.EX_TEMPFAIL
    log.info("delivered: user=%r mailbox=%r uid=%d", user.name, mailbox, uid)
    return os.EX_OK


def exit_code(reply: Reply) -> int:
    """The exit code that tells an MTA what an LMTP reply tells it."""
    if not reply.permanent:
        return os.EX_TEMPFAIL
    return _EXITS.get(reply.status, os.EX_UNAVAILABLE)


def _recipient(order: Order, place: Place) -> tuple[User, str]:
    if order.user is None:
        return own_user(), order.folder or _folder(order.address, place.settings)
    found = _find(order.user, place)
    if found is None:
        raise Refused(Code.NONEXISTENT, "No such user")
    user, folder = found
    return user, order.folder or folder or _folder(order.address, place.settings)


def _find(name: str, place: Place) -> tuple[User, str] | None:
    """A user's name, or an address as LMTP would take it."""
    user = place.lookup(name)
    if user is not None:
        return user, ""
    settings = place.settings
    for candidate, folder in candidates(_address(name), settings.separators, settings.user_names):
        user = place.lookup(candidate)
        if user is not None:
            return user, folder
    return None


def _address(text: str) -> Address:
    try:
        address, rest = parse_path(f"<{text}>")
    except ValueError:
        address, rest = None, ""
    if address is None or rest:
        raise Refused(Code.NONEXISTENT, "No such user", f"{text!r} is no address")
    return address


def _folder(address: str | None, settings: LmtpSettings) -> str:
    if address is None:
        return ""
    return next(folder for _, folder in candidates(_address(address), settings.separators, "any"))


def _message(stdin: BinaryIO, order: Order, limit: int) -> Iterator[bytes]:
    pieces = _bounded(stdin, limit)
    first = next(pieces, b"")
    separator = _FROM.match(first)
    sender = order.sender
    if separator is not None:
        first = first[separator.end() :]
        sender = _separator_sender(separator[1]) if sender is None else sender
    if not first:
        raise Refused(Code.CANNOT, "There is no message")
    return chain([_trace(first, sender, order.address), first], pieces)


def _separator_sender(name: bytes) -> str:
    """The null sender has a name in mbox files."""
    return "" if name.upper() == b"MAILER-DAEMON" else name.decode("utf-8", "replace")


def _bounded(stdin: BinaryIO, limit: int) -> Iterator[bytes]:
    """Read up to ``limit`` octets; the first piece is filled as far as there is anything."""
    total = 0
    while piece := stdin.read(_PIECE):
        total += len(piece)
        if total > limit:
            raise Refused(Code.TOOBIG, "Message too big")
        yield piece


def _trace(first: bytes, sender: str | None, address: str | None) -> bytes:
    """Return-Path and Delivered-To, unless the MTA has written them already."""
    end = _END_OF_HEADER.search(first)
    header = b"\n" + (first[: end.start()] if end else first).lower()
    wanted = []
    if sender is not None and b"\nreturn-path:" not in header:
        wanted.append(f"Return-Path: <{_one_line(sender)}>\n")
    if address is not None:
        line = f"Delivered-To: {_one_line(address)}\n"
        if b"\n" + line.rstrip().lower().encode() not in header:
            wanted.append(line)
    return "".join(wanted).encode()


def _one_line(text: str) -> str:
    """An argument of the command cannot add header lines of its own."""
    return "".join(c for c in text if c.isprintable()).strip("<> ")
