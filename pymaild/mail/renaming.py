"""RENAME: a mailbox and all below it get other names; INBOX gives its mail away.

RFC 9051 §6.3.6.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.mail.creating import new_directory, room_for, with_special
from pymaild.mail.tree import INBOX

if TYPE_CHECKING:
    from pymaild.mail.account import Account

Pairs = Sequence[tuple[str, str]]  # old and new


def rename(account: Account, old: str, new: str) -> None:
    """Rename a mailbox and all below it. Raises Refused, OSError."""
    old = account.canonical(old)
    new = account.canonical(new.removesuffix(account.separator))
    if new == INBOX:
        raise Refused(Code.ALREADYEXISTS, "INBOX always exists")
    new_directory(account, new)
    if old == INBOX:
        _move_inbox(account, new)
        return
    if new == old or new.startswith(old + account.separator):
        raise Refused(Code.CANNOT, "A mailbox cannot be moved below itself")
    _let_go(account, old, new)
    room_for(account, new)
    with account.lock:
        _rename_all(account, old, new)


def _move_inbox(account: Account, new: str) -> None:
    account.guard.admit(account.root, "x")
    account.create(new)
    with account.open(INBOX) as source, account.open(new) as target:
        source.refresh()
        view = source.view()
        source.copy(view, range(1, len(view) + 1), target, move=True)
    with account.lock:  # RFC 5464 §4.1: annotations go along, and stay
        account.annotations(new).copy(account.annotations(INBOX))


def _let_go(account: Account, name: str, new: str) -> None:
    """Check the right to rename a mailbox, or all below a name that is none (RFC 4314 §4)."""
    below = name + account.separator
    leaving = [name]
    if not account.exists(name):
        leaving = [other for other in account.existing() if other.startswith(below)]
    for other in leaving:
        account.guard.admit(account.directory(other), "x")
    if not leaving and not account.begun("rename", name, new):
        raise NoSuchMailbox


def _rename_all(account: Account, old: str, new: str) -> None:
    begun = bool(account.begun("rename", old, new))
    moves = _moves(account, old, new, begun)
    if account.intents is not None:
        account.intents.rename(old, new)
    # Every new name is checked before the first directory moves.
    places = [(account.directory(a), new_directory(account, b)) for a, b in moves]
    special = account.special
    with_special(account, special.copied(moves), lambda: _move_all(account, moves, places))
    if begun:
        _tidy(account, old, new)
    else:
        account.journal.renamed(sorted(moves))


def _moves(account: Account, old: str, new: str, begun: bool) -> Pairs:
    """Names that change. Raises NoSuchMailbox, and Refused (ALREADYEXISTS).

    ``begun``: by a process that died, so that some, or all, have changed already.
    """
    existing, below = account.existing(), old + account.separator
    leaving = [name for name in existing if name == old or name.startswith(below)]
    if not leaving and not begun:
        raise NoSuchMailbox
    moves = [(name, new + name[len(old) :]) for name in leaving]
    taken = {target for _, target in moves} | (set() if begun else {new})
    if taken & set(existing):
        raise Refused(Code.ALREADYEXISTS, "A mailbox of this name exists")
    return moves


def _tidy(account: Account, old: str, new: str) -> None:
    """Finish what a process that died has begun: the names that it had changed are known too."""
    below = new + account.separator
    came = [name for name in account.existing() if name == new or name.startswith(below)]
    moves = [(old + name[len(new) :], name) for name in sorted(came)]
    account.special.store(account.special.without(name for name, _ in moves))
    account.journal.renamed(moves)


def _move_all(account: Account, moves: Pairs, places: Pairs) -> None:
    done: list[tuple[str, str]] = []
    try:
        for source, target in places:
            account.layout.rename(source, target)
            done.append((source, target))
            account.quota.renamed(os.path.basename(source), os.path.basename(target))
        account.layout.sync()
        account.special.store(account.special.without(name for name, _ in moves))
    except OSError:
        _move_back(account, done)
        raise


def _move_back(account: Account, done: Iterable[tuple[str, str]]) -> None:
    for source, target in reversed(list(done)):
        account.layout.rename(target, source)
        account.quota.renamed(os.path.basename(target), os.path.basename(source))
