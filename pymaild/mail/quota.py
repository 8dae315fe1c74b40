"""Limits of an account and what it uses of them (RFC 9208).

Limits come from the settings, for one user from the source of users, and from what an
administrator has set: these stand in ``pymaild.quota`` in the Maildir and replace all others.
What is used is the sum of what the indexes count (storage/usage.py). Messages that several
sessions bring in at one moment may exceed a limit together by what is in flight.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused
from pymaild.storage import atomic
from pymaild.storage.locks import FileLock
from pymaild.storage.usage import Key, Total, Usage, key

if TYPE_CHECKING:
    from pymaild.mail.account import Account
    from pymaild.mail.mailbox import Mailbox

NAME = "pymaild.quota"
STORAGE, MESSAGE, MAILBOX = "STORAGE", "MESSAGE", "MAILBOX"
RESOURCES = (STORAGE, MESSAGE, MAILBOX)  # RFC 9208 §5
LARGEST = (1 << 63) - 1  # RFC 9208 §3.1.2
_UNIT = 1024  # octets of STORAGE

Limits = dict[str, int]


class Quota:
    """The one quota root of an account; all its mailboxes are below it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._path = os.path.join(account.root, NAME)
        self._usage = Usage(account.root)
        lock = os.path.join(account.root, "pymaild.usage.lock")
        self._lock = FileLock(lock, account.settings.lock_timeout)

    @property
    def name(self) -> str:
        """The name of the quota root (RFC 9208 §3.2)."""
        user = self._account.user.name
        return f"#user/{user}" if user else "#shared"

    def close(self) -> None:
        """Release the files."""
        self._usage.close()
        self._lock.close()

    # -- limits --------------------------------------------------------------------------------

    def limits(self) -> Limits:
        """Return the limits; what has none is not named. Raises OSError."""
        try:
            with open(self._path, encoding="ascii") as file:
                pairs = [line.split() for line in file.read(4096).splitlines()]
        except FileNotFoundError:
            return self._given()
        return {name: int(value) for name, value in pairs if name in RESOURCES}

    def _given(self) -> Limits:
        """The limits that nobody has changed; 0 means that there is none."""
        settings, user = self._account.settings, self._account.user
        if not user.name:
            return {}
        octets = settings.quota_storage
        usual = {
            STORAGE: -(-octets // _UNIT),
            MESSAGE: settings.quota_messages,
            MAILBOX: settings.quota_mailboxes,
        }
        return {name: limit for name, limit in (usual | user.quota).items() if limit}

    def set(self, limits: Mapping[str, int] | None) -> None:
        """Replace all limits (RFC 9208 §4.1.3); None: those of settings and user hold again."""
        if limits is None:
            atomic.unlink(self._path)
            return
        unknown = limits.keys() - set(RESOURCES)
        if unknown:
            raise Refused(Code.CANNOT, "There is no such resource")
        os.makedirs(self._account.root, mode=0o700, exist_ok=True)  # before the first login
        lines = "".join(f"{name} {limits[name]}\n" for name in RESOURCES if name in limits)
        atomic.replace(self._path, lines.encode(), self._account.settings.fsync)

    # -- usage ---------------------------------------------------------------------------------

    def usage(self) -> dict[str, int]:
        """Return what is used of each resource, STORAGE in units of 1024 octets."""
        total = self._total()
        return {
            STORAGE: -(-total.octets // _UNIT),
            MESSAGE: total.messages,
            MAILBOX: self._account.count(),
        }

    def _total(self) -> Total:
        total = self._usage.total()
        if total is None and not os.path.isdir(self._account.root):
            return Total(0, 0, [])
        if total is None:
            self.recalculate()
        elif total.changing:
            self._mend(total.changing)
        else:
            return total
        return self._usage.total() or Total(0, 0, [])

    def recalculate(self) -> None:
        """Count all mailboxes anew."""
        with self._lock:
            self._usage.prepare()
            keys = []
            for mailbox in self._account.everything():
                keys.append(key_of(mailbox))
                with mailbox.settled():
                    pass  # which writes the mailbox's row
            self._usage.finish(keys)

    def _mend(self, changing: list[Key]) -> None:
        """Write the rows of mailboxes anew that nobody is changing: their writers died."""
        for mailbox in self._account.everything():
            if key_of(mailbox) in changing and mailbox.lock.acquire(0):
                try:
                    with mailbox.settled():
                        pass
                finally:
                    mailbox.lock.release()

    # -- enforcement ---------------------------------------------------------------------------

    def admit(self, messages: int, octets: int) -> None:
        """Refuse what would exceed a limit (RFC 9208 §4.3.1). Raises Refused (OVERQUOTA)."""
        limits = self.limits()
        wanted = {STORAGE: octets, MESSAGE: messages}
        asked = [name for name, more in wanted.items() if name in limits and more > 0]
        if not asked:
            return
        total = self._total()
        held = {STORAGE: total.octets, MESSAGE: total.messages}
        units = {STORAGE: _UNIT, MESSAGE: 1}
        if any(held[name] + wanted[name] > limits[name] * units[name] for name in asked):
            raise Refused(Code.OVERQUOTA, "The mailbox is full")

    def admit_mailbox(self) -> None:
        """Refuse another mailbox that would exceed the limit. Raises Refused (OVERQUOTA)."""
        most = self.limits().get(MAILBOX)
        if most is not None and self._account.count() >= most:
            raise Refused(Code.OVERQUOTA, "No more mailboxes can be made")

    # -- keeping the rows ----------------------------------------------------------------------

    def counting(self) -> bool:
        """Say whether the rows are kept: from when somebody has first asked what is used."""
        return self._usage.used() is not None

    @contextmanager
    def noting(self, mailbox: Mailbox) -> Iterator[None]:
        """Keep the row of a mailbox level with its index; its lock is held meanwhile."""
        row = key_of(mailbox)
        self._usage.begin(row)
        try:
            yield
        finally:
            messages, octets, _ = mailbox.index.usage()
            with suppress(OSError):  # a disk without room for a row: it is counted when asked for
                self._usage.put(row, messages, octets)

    def forget(self, directory: str) -> None:
        """A mailbox is gone; ``directory`` is its name in the Maildir."""
        self._usage.drop(key(directory))

    def renamed(self, old: str, new: str) -> None:
        """A mailbox's directory has another name."""
        self._usage.rename(key(old), key(new))


def key_of(mailbox: Mailbox) -> Key:
    """Return the key of a mailbox's row."""
    within = mailbox.directory[len(mailbox.root) :].strip("/")
    return key(within)
