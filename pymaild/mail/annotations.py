"""Where an account's annotations are, and who may see and set them (RFC 5464 §3.3)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import partial

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.mail.acl import Guard
from pymaild.mail.journal import Journal
from pymaild.mail.metadata import NAME, OF_ACCOUNT, SHARED, Annotations, Computed
from pymaild.mail.settings import MailSettings
from pymaild.mail.special import SpecialUses, Uses, checked
from pymaild.storage.locks import FileLock

_ANY_OF = frozenset("rswip")  # beside "l"
_SETS_SHARED = "w"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Shelf:
    """The annotations of one account, as one user sees them."""

    def __init__(
        self,
        root: str,
        settings: MailSettings,
        lock: FileLock,
        special: SpecialUses,
        guard: Guard,
        journal: Journal,
    ) -> None:
        self._root = root
        self._settings = settings
        self._lock = lock
        self._special = special
        self._guard = guard
        self._journal = journal

    def server(self) -> Annotations:
        """Return those of the server: what is shared stands in the settings."""
        found = self._file("", os.path.join(self._root, OF_ACCOUNT), shared=False)
        found.computed["/shared/comment"] = _fixed(self._settings.server_comment)
        found.computed["/shared/admin"] = _fixed(_uri(self._settings.server_admin))
        return found

    def mailbox(self, name: str, directory: str) -> Annotations:
        """Return those of a mailbox. Raises NoSuchMailbox, and Refused (NOPERM)."""
        held = self._guard.rights(directory)
        if "l" not in held:
            raise NoSuchMailbox
        if not held & _ANY_OF:
            raise Refused(Code.NOPERM, "You have no right to the annotations of this mailbox")
        found = self._file(name, os.path.join(directory, NAME), shared=_SETS_SHARED in held)
        found.computed["/private/specialuse"] = self._special_use(name)
        return found

    def _file(self, name: str, path: str, shared: bool) -> Annotations:
        actor = self._guard.actor
        user = actor.name if actor else self._guard.owner
        note = partial(self._note, name)
        return Annotations(path, user, self._lock, self._settings, shared=shared, note=note)

    def _note(self, name: str, entries: Iterable[str]) -> None:
        """Tell the journal, which is the owner's: what is private to others is no event there."""
        own = self._guard.own
        self._journal.metadata(name, [e for e in entries if own or e.startswith(SHARED)])

    def _special_use(self, name: str) -> Computed:
        """The uses of a mailbox as an annotation (RFC 6154 §4); the owner's alone has any."""

        def uses(value: bytes) -> Uses:
            if not self._guard.own:
                raise Refused(Code.USEATTR, "This is another user's mailbox")
            return checked(name, value.decode("ascii", "replace").split())

        def now() -> bytes:
            found = self._special.now().get(name, ()) if self._guard.own else ()
            return " ".join(found).encode()

        def assign(value: bytes) -> None:
            self._special.store(self._special.assigned(name, uses(value)))

        return Computed(now, uses, assign)


def _uri(address: str) -> str:
    """Return what is a URI already, or the one of an e-mail address (RFC 5464 §3.2.1.1)."""
    return address if not address or _SCHEME.match(address) else f"mailto:{address}"


def _fixed(text: str) -> Computed:
    """An entry that the settings hold, and no client changes."""
    return Computed(text.encode, _refuse, _refuse)


def _refuse(value: bytes) -> None:
    raise Refused(Code.NOPERM, "The administrator sets this entry")
