"""An account with what others have opened to its user (RFC 2342 §5): two more namespaces.

``Users/alice`` is the INBOX of alice, ``Users/alice/Sent`` her Sent; ``Shared/...`` are mailboxes
that belong to nobody. A name that leads nowhere and one that the user may not know of are the
same. A mailbox of one's own that has such a name from before stays one's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.acl import Controlled
from pymaild.mail.grants import Grants
from pymaild.mail.listing import Listing, listing
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.metadata import Annotations
from pymaild.mail.quota import Quota
from pymaild.mail.rights import ANYONE, Actor
from pymaild.mail.settings import MailSettings
from pymaild.mail.tree import INBOX

_KEPT = 64  # accounts of others

Lookup = Callable[[str], User | None]


class Foreign(Account):
    """Mailboxes that are not the user's own, below the name ``place``."""

    def __init__(self, user: User, settings: MailSettings, actor: Actor | None, place: str) -> None:
        super().__init__(user, settings, actor)
        self.place = place
        self._depth = place.count(settings.separator) + 1

    def shown(self, name: str) -> str:
        if name == INBOX:
            return self.place
        return self.place + self.separator + name.removeprefix(self.prefix)

    def local(self, name: str) -> str:
        """Return this account's own name for one below ``place``. Raises NoSuchMailbox."""
        rest = "".join(name.split(self.separator, self._depth)[self._depth :])
        local = self.prefix + rest if rest else INBOX
        if rest and self.names.canonical(local) == INBOX:
            raise NoSuchMailbox
        return local

    def allows(self, name: str) -> bool:
        """Say whether the user may be told that a mailbox exists."""
        return self.exists(name) and self.guard.visible(self.directory(name))

    def _has(self, directory: str) -> bool:
        """What is shared has no INBOX, but a list for who may make mailboxes there."""
        return super()._has(directory) or (
            not self.user.name and directory.rstrip("/") == self.root
        )


class SharingAccount(Account):
    """A user's own mailboxes, and those of others."""

    def __init__(
        self, user: User, settings: MailSettings, lookup: Lookup, grants: Grants | None
    ) -> None:
        actor = Actor(user.name, tuple(user.groups), user.name in settings.admins)
        super().__init__(user, settings, actor)
        self._actor = actor
        self._lookup = lookup
        self.grants = None if user.system else grants
        self._others: dict[str, Foreign] = {}
        divider = settings.separator
        offered = not user.system  # the files of virtual users have one owner, and no others
        self.others_prefix = settings.others + divider if offered and settings.others else ""
        shared = offered and settings.shared and settings.shared_directory
        self.shared_prefix = settings.shared + divider if shared else ""

    # -- which account a name is of ------------------------------------------------------------

    def _elsewhere(self, name: str) -> Foreign | None:
        """Return the account of a name that is not the user's own. Raises NoSuchMailbox."""
        for prefix, find in (
            (self.others_prefix, self._other),
            (self.shared_prefix, self._shared),
        ):
            if prefix and (name + self.separator).startswith(prefix):
                return None if super().exists(name) else find(name[len(prefix) :])
        return None

    def _other(self, rest: str) -> Foreign | None:
        if not rest:
            return None  # the name above all others is nobody's
        word = rest.partition(self.separator)[0]
        if word not in self._others:
            user = self._lookup(self._user_name(word))
            if user is None or user.system or user.name == self.user.name:
                raise NoSuchMailbox
            self._keep_other(word, user, self.others_prefix + self._word(user.name))
        return self._others[word]

    def _shared(self, rest: str) -> Foreign:
        if "" not in self._others:
            root = self.settings.shared_directory
            os.makedirs(root, mode=0o700, exist_ok=True)
            self._keep_other("", User(mail=root), self.shared_prefix[:-1])
        return self._others[""]

    def _keep_other(self, word: str, user: User, place: str) -> None:
        if len(self._others) >= _KEPT:
            self._others.pop(next(iter(self._others))).close()
        settings = self.settings if word else replace(self.settings, prefix="")
        account = self._others[word] = Foreign(user, settings, self._actor, place)
        account.grants = self.grants
        account.intents = self.intents
        account.keeps = self.keeps
        account.ask = self.ask

    def _user_name(self, word: str) -> str:
        return word.replace("^", ".") if self.separator == "." else word

    def _word(self, name: str) -> str:
        """Return a user's name as one level: "^" stands for "." where that parts levels."""
        return name.replace(".", "^") if self.separator == "." else name

    def personal(self, name: str) -> bool:
        try:
            return self._elsewhere(name) is None
        except Refused:
            return False

    # -- mailboxes -----------------------------------------------------------------------------

    def open(self, name: str, rights: str = "") -> Mailbox:
        other = self._elsewhere(name)
        return other.open(other.local(name), rights) if other else super().open(name, rights)

    def paths(self, name: str) -> list[str]:
        try:
            other = self._elsewhere(name)
            return other.paths(other.local(name)) if other else super().paths(name)
        except Refused:
            return []

    def exists(self, name: str) -> bool:
        try:
            other = self._elsewhere(name)
            return other.allows(other.local(name)) if other else super().exists(name)
        except Refused:
            return False

    def controlled(self, name: str) -> Controlled:
        other = self._elsewhere(name)
        return other.controlled(other.local(name)) if other else super().controlled(name)

    def identifier(self, prepared: str) -> str:
        """Return the name under which a user logs in; nobody learns whether there is one."""
        dash = "-" if prepared.startswith("-") else ""
        bare = prepared.removeprefix("-")
        user = None if bare.startswith("$") or bare == ANYONE else self._lookup(bare)
        return dash + (user.name if user else bare)

    def quota_of(self, name: str) -> Quota:
        other = self._elsewhere(name)
        if other is None:
            return super().quota_of(name)
        other.controlled(other.local(name)).rights()  # raises where the mailbox is hidden
        return other.quota

    def quota_root(self, name: str) -> Quota:
        if name == self.quota.name or not self._actor.admin:
            return super().quota_root(name)
        prefix, _, user = name.partition("/")
        try:
            if name == "#shared" and self.shared_prefix:
                return self._shared("").quota
            if prefix == "#user" and self.others_prefix:
                return self._other_quota(user)
        except NoSuchMailbox:
            pass
        return super().quota_root(name)

    def _other_quota(self, user: str) -> Quota:
        other = self._other(self._word(user))
        if other is None:
            raise NoSuchMailbox
        return other.quota

    def annotations(self, name: str) -> Annotations:
        other = self._elsewhere(name)
        return other.annotations(other.local(name)) if other else super().annotations(name)

    def close(self) -> None:
        super().close()
        while self._others:
            self._others.popitem()[1].close()

    # -- changing the tree ---------------------------------------------------------------------

    def create(self, name: str, uses: Sequence[str] = ()) -> None:
        plain = name.removesuffix(self.separator)
        if plain + self.separator in (self.others_prefix, self.shared_prefix):
            raise Refused(Code.CANNOT, "This name stands above the mailboxes of others")
        try:
            other = self._elsewhere(plain)
        except NoSuchMailbox:  # as where the user may not create anything
            raise Refused(Code.NOPERM, "You have no right to do this here") from None
        if other is None:
            super().create(name, uses)
            return
        if uses:
            raise Refused(Code.USEATTR, "A special use is for mailboxes of one's own")
        local = other.local(plain)
        if local == INBOX and not other.allows(local):
            raise Refused(Code.NOPERM, "You have no right to do this here")
        other.create(local)

    def delete(self, name: str) -> None:
        other = self._elsewhere(name)
        if other is None:
            super().delete(name)
        else:
            other.delete(other.local(name))

    def rename(self, old: str, new: str) -> None:
        plain, source = new.removesuffix(self.separator), self._elsewhere(old)
        if source is not None:
            source.controlled(source.local(old)).rights()  # raises where the mailbox is hidden
        try:
            target = self._elsewhere(plain)
        except NoSuchMailbox:
            raise _other_user() from None
        if source is not target:
            raise _other_user()
        if source is None:
            super().rename(old, new)
        else:
            source.rename(source.local(old), source.local(plain))

    # -- listing -------------------------------------------------------------------------------

    def entries(self) -> Listing:
        """Return what the account has, and what others have opened to its user."""
        own = super().entries()
        foreign = self._offered()
        if not foreign:
            return own
        names = {entry.name for entry in own if entry.exists} | foreign
        subscribed = set(self.subscriptions())
        leaves = {entry.name for entry in own if not entry.inferiors}
        return listing(names, self.names, self.special.now(), subscribed, leaves)

    def _picture(self) -> tuple[list[str], list[str]]:
        names, subscribed = super()._picture()
        return sorted({*names, *self._offered()}), subscribed

    def tree_paths(self) -> list[str]:
        """Beside one's own, those where others open and close what is theirs."""
        granted = self.grants.paths(self._actor.identifiers()) if self.grants else []
        return [self.root, *granted, *(other.root for other in self._others.values())]

    def _offered(self) -> set[str]:
        """Return the names of others' mailboxes that the user may be told of."""
        names: set[str] = set()
        places = [self.shared_prefix] if self.shared_prefix else []
        if self.others_prefix and self.grants is not None and self.grants.used():
            owners = self.grants.owners(self._actor.identifiers()) - {self.user.name}
            places += [self.others_prefix + self._word(owner) for owner in owners]
        for place in places:
            with suppress(NoSuchMailbox):
                other = self._elsewhere(place)
                names.update(map(other.shown, other.visible()) if other else ())
        return names


def _other_user() -> Refused:
    return Refused(Code.CANNOT, "A mailbox cannot go from one user to another")
