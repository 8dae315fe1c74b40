"""Access control lists as values: who may do what in a mailbox (RFC 4314 §2).

A list grants letters to identifiers. A user has what the identifiers that match grant together,
less what those with a dash in front take away. Nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pymaild.auth.names import prepare_name
from pymaild.core.errors import Code, Refused

Rights = frozenset[str]
Acl = dict[str, Rights]

ALL: Rights = frozenset("lrswipkxtea")  # RFC 4314 §2.1
NONE: Rights = frozenset()
#: RFC 2086's rights, and the members that each of them stands for (RFC 4314 §2.1.1).
VIRTUAL: dict[str, Rights] = {"c": frozenset("kx"), "d": frozenset("et")}
#: The order in which letters are told.
ORDER = "lrswipkxtecda"
#: MYRIGHTS may be asked with any of these (RFC 4314 §4).
KNOWING: Rights = frozenset("lrikxa")
#: Any of these makes a mailbox worth selecting read-write (RFC 4314 §5.2); flags are shared.
WRITING: Rights = frozenset("ieswt")

ANYONE = "anyone"
_OWNER_KEEPS: Rights = frozenset("la")  # so that nobody locks himself out
_ADMIN_KEEPS: Rights = frozenset("lkxa")  # where mailboxes have no owner
_GROUP = "$"
_NEGATIVE = "-"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whose rights are asked for. ``groups`` without their "$"; ``admin``: see ``admins``."""

    name: str
    groups: tuple[str, ...] = ()
    admin: bool = False

    def identifiers(self) -> list[str]:
        """Return the identifiers that match this user (RFC 4314 §2)."""
        return [self.name, ANYONE, *(_GROUP + group for group in self.groups)]


def parse(text: str) -> Rights:
    """Read letters, RFC 2086's included. Raises ValueError for one that is no right."""
    expanded: set[str] = set()
    for letter in text:
        expanded |= VIRTUAL.get(letter, {letter})
    if not expanded <= ALL:
        raise ValueError("no such right")
    return frozenset(expanded)


def tell(rights: Rights) -> str:
    """Write letters as a client is told them, RFC 2086's added (RFC 4314 §2.1.1)."""
    told = rights | {letter for letter, members in VIRTUAL.items() if members & rights}
    return "".join(letter for letter in ORDER if letter in told)


def prepare(identifier: str) -> str:
    """Return the form in which an identifier is kept (RFC 4314 §3). Raises ValueError."""
    bare = identifier.removeprefix(_NEGATIVE)
    name = bare.removeprefix(_GROUP)
    prefix = identifier[: len(identifier) - len(name)]
    if name[:1] in (_NEGATIVE, _GROUP):
        raise ValueError("this identifier has a meaning of its own")
    return prefix + prepare_name(name)


def changed(acl: Acl, identifier: str, how: str, given: Rights) -> Acl:
    """Return the list after SETACL (RFC 4314 §3.1): ``how`` is "+", "-" or ""."""
    before = acl.get(identifier, NONE)
    after = {"+": before | given, "-": before - given, "": given}[how]
    rest = {name: rights for name, rights in acl.items() if name != identifier}
    return {**acl, identifier: after} if after else rest


def effective(acl: Acl | None, actor: Actor, owner: str) -> Rights:
    """Return what a user may do; without a list a mailbox is its owner's alone.

    ``owner`` is "" for mailboxes that belong to nobody.
    """
    return _granted(complete(acl, owner), actor) | kept(actor.name, owner, actor.admin)


@lru_cache(maxsize=256)
def without_list(actor: Actor, owner: str) -> Rights:
    """Return what a user may do where no list has been made."""
    return effective(None, actor, owner)


def _granted(acl: Mapping[str, Rights], actor: Actor) -> Rights:
    names = actor.identifiers()
    given = NONE.union(*(acl.get(name, NONE) for name in names))
    return given.difference(*(acl.get(_NEGATIVE + name, NONE) for name in names))


def complete(acl: Acl | None, owner: str) -> Acl:
    """Return the list that holds where none has been made."""
    if acl is not None:
        return acl
    return {owner: ALL} if owner else {}


def kept(identifier: str, owner: str, admin: bool = False) -> Rights:
    """Return the rights that nobody can take from an identifier (RFC 4314 §3.7)."""
    if owner:
        return _OWNER_KEEPS if identifier == owner else NONE
    return _ADMIN_KEEPS if admin else NONE


def grantees(acl: Acl) -> set[str]:
    """Return the identifiers that a list lets see the mailbox."""
    return {name for name, rights in acl.items() if rights and not name.startswith(_NEGATIVE)}


def require(rights: Rights, needed: Iterable[str]) -> None:
    """Raise Refused (NOPERM, RFC 5530 §3) where a right is missing."""
    if not rights.issuperset(needed):
        raise Refused(Code.NOPERM, "You have no right to do this here")
