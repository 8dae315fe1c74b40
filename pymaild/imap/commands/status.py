"""STATUS."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.imap import grammar, names
from pymaild.imap._arguments import Arguments
from pymaild.imap.capability import append_limit

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.status import Status


def _highest(session: ImapSession, status: Status) -> int:
    """Only clients ask for it that know mod-sequences (RFC 7162 §3.1)."""
    session.aware()
    return status.highestmodseq


#: status-att (RFC 3501 §9, RFC 9051 §6.3.11, RFC 8438 §3): its value from the mailbox.
ITEMS: dict[bytes, Callable[[ImapSession, Status], int | bytes]] = {
    b"MESSAGES": lambda session, status: status.messages,
    b"RECENT": lambda session, status: status.recent,
    b"UIDNEXT": lambda session, status: status.uidnext,
    b"UIDVALIDITY": lambda session, status: status.uidvalidity,
    b"UNSEEN": lambda session, status: status.unseen,
    b"DELETED": lambda session, status: status.deleted,
    b"DELETED-STORAGE": lambda session, status: status.deleted_storage,  # RFC 9208 §4.1.4
    b"SIZE": lambda session, status: status.size,
    b"HIGHESTMODSEQ": _highest,  # RFC 7162 §3.1.7
    b"MAILBOXID": lambda session, status: status.mailboxid.encode("ascii"),  # RFC 8474 §4.3
    b"APPENDLIMIT": lambda session, status: append_limit(session),  # RFC 7889 §3.1
}


_FORMS = {b"MAILBOXID": b" (%b)"}  # all other values are numbers


@dataclass(frozen=True, slots=True)
class Plan:
    """What one STATUS asks for; ``reply`` takes the values of ``items``."""

    name: str
    items: tuple[Callable[[ImapSession, Status], int | bytes], ...]
    size: bool
    mailboxid: bool
    reply: bytes


#: Clients ask for the same few mailboxes again and again: their plans are kept by their text.
_PLANS: dict[tuple[bytes, bool, bool], Plan] = {}
_MOST_PLANS = 256
_LONGEST_KEPT = 256  # octets


def status(session: ImapSession, args: Arguments) -> None:
    """STATUS (RFC 3501 §6.3.10)."""
    session.write(answer(session, _plan(args)))


def answer(session: ImapSession, plan: Plan) -> bytes:
    """Return the response. Raises NoSuchMailbox."""
    found = session.account.status(plan.name, plan.size)
    if plan.name == session.record.mailbox:
        found = found._replace(recent=found.recent + _claimed(session))
    if plan.mailboxid:
        found = found._replace(mailboxid=session.account.mailboxid(plan.name))
    return plan.reply % tuple([item(session, found) for item in plan.items])


def planned(name: str, items: Collection[bytes], utf8: bool) -> Plan:
    """Make the plan for one mailbox."""
    shown = names.encode(name, utf8).replace(b"%", b"%%")
    values = b" ".join([item + _FORMS.get(item, b" %d") for item in items])
    reply = b"* STATUS %b (%b)\r\n" % (shown, values)
    values_of = tuple(ITEMS[item] for item in items)
    dear = b"SIZE" in items or b"DELETED-STORAGE" in items
    return Plan(name, values_of, dear, b"MAILBOXID" in items, reply)


def read_items(args: Arguments) -> dict[bytes, None]:
    """Read what is asked for, in parentheses, each item once."""
    items = dict.fromkeys(grammar.names_list(args))
    if not items.keys() <= ITEMS.keys():
        raise BadSyntax("Unknown status item")
    return items


def _plan(args: Arguments) -> Plan:
    text = args.rest()
    key = text, args.utf8, args.quirks.raw_names
    plan = _PLANS.get(key)
    if plan is not None:
        args.finish()
        return plan
    plan = _read(args)
    if len(text) <= _LONGEST_KEPT:
        if len(_PLANS) >= _MOST_PLANS:
            _PLANS.clear()
        _PLANS[key] = plan
    return plan


def _read(args: Arguments) -> Plan:
    args.sp()
    name = grammar.mailbox(args)
    args.sp()
    items = read_items(args)
    args.end()
    return planned(name, items, args.utf8)


def _claimed(session: ImapSession) -> int:
    """How many messages are \\Recent to this session and no longer to any other."""
    return 0 if session.record.read_only else session.current.selected.recent
