"""GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208 §4.1)."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.responses import string
from pymaild.mail.quota import LARGEST, MAILBOX, RESOURCES, Quota

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def getquota(session: ImapSession, args: Arguments) -> None:
    """GETQUOTA (RFC 9208 §4.1.1): one's own root, or any for an administrator."""
    root = _root(args)
    args.end()
    session.write(_quota(session.account.quota_root(root)))


def getquotaroot(session: ImapSession, args: Arguments) -> None:
    """GETQUOTAROOT (RFC 9208 §4.1.2).

    Who may not read another's mailbox is not told how much lies there (§6).
    """
    args.sp()
    name = grammar.mailbox(args)
    args.end()
    account = session.account
    quota = account.quota_of(name)
    readable = quota is account.quota or "r" in account.controlled(name).rights()
    told = (session.mailbox_name(name), string(quota.name.encode()))
    session.write(b"* QUOTAROOT %b %b\r\n" % told)
    session.write(_quota(quota, RESOURCES if readable else (MAILBOX,)))


def setquota(session: ImapSession, args: Arguments) -> None:
    """SETQUOTA (RFC 9208 §4.1.3), for administrators; what is not named has no limit then."""
    root = _root(args)
    args.sp()
    limits = _limits(args)
    args.end()
    account = session.account
    if account.user.name not in session.services.mail.admins:
        raise Refused(Code.NOPERM, "Only administrators may change quotas")
    quota = account.quota_root(root)
    quota.set(limits)
    session.write(_quota(quota))


def _root(args: Arguments) -> str:
    args.sp()
    return args.astring().decode("utf-8", "replace")


def _limits(args: Arguments) -> dict[str, int]:
    """setquota-list (RFC 9208 §7)."""
    limits: dict[str, int] = {}
    args.open()
    while args.item():
        name = args.name().decode("ascii")
        if name in limits:
            raise BadSyntax("A resource is named twice")
        args.sp()
        limits[name] = args.number(LARGEST)
    return limits


def _quota(quota: Quota, resources: Collection[str] = RESOURCES) -> bytes:
    """The QUOTA response (RFC 9208 §4.2.1): what has no limit is not told."""
    limits = {name: limit for name, limit in quota.limits().items() if name in resources}
    used = quota.usage() if limits else {}
    triplets = [f"{name} {used[name]} {limit}" for name, limit in limits.items()]
    return b"* QUOTA %b (%b)\r\n" % (string(quota.name.encode()), " ".join(triplets).encode())
