"""NOTIFY: what is to be told all the time (RFC 5465 §3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild._parser import LIST_BEGIN, BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import grammar, items
from pymaild.imap._arguments import Arguments
from pymaild.imap.choice import NAMED
from pymaild.imap.events import (
    EVENTS,
    FILTERS,
    FLAGS,
    MESSAGES,
    OF_MESSAGES,
    SELECTED,
    Group,
    Wishes,
)
from pymaild.imap.notifier import set_wishes

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_MOST_GROUPS = 100


def notify(session: ImapSession, args: Arguments) -> None:
    """NOTIFY SET and NOTIFY NONE (RFC 5465 §3.1)."""
    args.sp()
    word = args.name()
    if word == b"NONE":
        args.end()
        set_wishes(session, Wishes([]))
        return
    if word != b"SET":
        raise BadSyntax("Expected SET or NONE")
    args.sp()
    status = args.ahead(b"STATUS")
    if status:
        args.name()
        args.sp()
    wishes = Wishes(_groups(args))
    args.end()
    set_wishes(session, wishes, status)


def _groups(args: Arguments) -> list[Group]:
    """event-groups (RFC 5465 §8)."""
    unsupported: list[bytes] = []
    groups = [_group(args, unsupported)]
    while args.more():
        args.sp()
        groups.append(_group(args, unsupported))
        if len(groups) > _MOST_GROUPS:
            raise Refused(Code.NOTIFICATIONOVERFLOW, "Too many groups of events")
    if sum(group.filter in SELECTED for group in groups) > 1:
        raise BadSyntax("Only one group can be about the selected mailbox")
    if unsupported:
        error = Refused(Code.BADEVENT, "This event is not supported")
        error.argument = f"({' '.join(EVENTS.values())})"
        raise error
    return groups


def _group(args: Arguments, unsupported: list[bytes]) -> Group:
    args.open()
    group = Group(args.name().decode("ascii").lower())
    if group.filter not in FILTERS:
        raise BadSyntax("Unknown choice of mailboxes")
    if group.filter in NAMED:
        args.sp()
        group.names = grammar.mailboxes(args)
    args.sp()
    if args.peek() == LIST_BEGIN:
        _events(args, group, unsupported)
    elif args.name() != b"NONE":
        raise BadSyntax("Expected events in parentheses, or NONE")
    if args.item():
        raise BadSyntax("Expected the end of the group")
    _check(group)
    return group


def _events(args: Arguments, group: Group, unsupported: list[bytes]) -> None:
    args.open()
    while args.item():
        word = args.name()
        if word in EVENTS:
            group.events.append(EVENTS[word])
        else:
            unsupported.append(word)
        if word == b"MESSAGENEW" and args.more() and _list_ahead(args):
            args.sp()
            group.fetch = items.written(args)
    if not group.events and not unsupported:
        raise BadSyntax("Expected an event")


def _list_ahead(args: Arguments) -> bool:
    return args.peek() == LIST_BEGIN


def _check(group: Group) -> None:
    """RFC 5465 §5, §6.1: what must be asked for together, and where."""
    asked = set(group.events)
    if asked & MESSAGES and not asked >= MESSAGES:
        raise BadSyntax("MessageNew and MessageExpunge go together")
    if FLAGS in asked and not asked >= MESSAGES:
        raise BadSyntax("FlagChange needs MessageNew and MessageExpunge")
    if group.filter in SELECTED:
        if asked - OF_MESSAGES:
            raise BadSyntax("The selected mailbox has events of messages only")
    elif group.fetch:
        raise BadSyntax("Items are possible for the selected mailbox only")
