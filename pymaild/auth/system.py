"""The users of this host, as passwd(5) and shadow(5) have them."""

from __future__ import annotations

import logging
import os
import pwd
import time
from collections.abc import Sequence

from pymaild.auth import schemes
from pymaild.auth.settings import AuthSettings
from pymaild.auth.users import Entry, SourceUnavailable, inbox_path, mail_path
from pymaild.core.session import User

log = logging.getLogger("pymaild.auth")

_DAY = 86_400
_FIELDS = 9
_HASH, _CHANGED, _MAXIMUM, _EXPIRES = 1, 2, 4, 7


class SystemUsers:
    """A source of users with ``system`` set; shadow(5) is read again when it has changed."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._path = settings.shadow_file
        self._lines: dict[str, list[str]] = {}
        self._stored: list[str] = []
        self._stamp: tuple[int, ...] = ()

    def find(self, name: str) -> Entry | None:
        """Return the user of this name, unless the uid is too small. Raises SourceUnavailable."""
        self._refresh()
        fields = self._lines.get(name)
        if fields is None:
            return None
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            return None
        if account.pw_uid < self._settings.system_uid_min:
            return None
        return self._entry(account, fields)

    def stored(self) -> Sequence[str]:
        """Return the stored passwords of all users. Raises SourceUnavailable."""
        self._refresh()
        return self._stored

    def _entry(self, account: pwd.struct_passwd, fields: list[str]) -> Entry | None:
        try:
            mail = mail_path(self._settings, account.pw_name, account.pw_dir)
            inbox = inbox_path(self._settings, account.pw_name)
        except ValueError as error:
            log.error("user %s has no mailbox: %s", account.pw_name, error)
            return None
        uid, gid = account.pw_uid, account.pw_gid
        user = User(account.pw_name, uid, gid, account.pw_dir, mail, True, inbox=inbox)
        return Entry(user, fields[_HASH], expired=expired(fields, int(time.time() // _DAY)))

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if stamp != self._stamp:
                self._read()
                self._stamp = stamp
        except OSError as error:
            raise SourceUnavailable(str(error)) from error

    def _read(self) -> None:
        with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n").split(":") for line in file]
        self._lines = {fields[0]: fields for fields in lines if len(fields) == _FIELDS}
        stored = (fields[_HASH] for fields in self._lines.values())
        self._stored = [text for text in stored if not schemes.problem(text)]


def expired(fields: list[str], today: int) -> bool:
    """Tell whether account or password is past its day (shadow(5); days since 1970)."""
    changed, maximum, expires = (_days(fields[i]) for i in (_CHANGED, _MAXIMUM, _EXPIRES))
    if expires is not None and today >= expires:
        return True
    if changed is None:
        return False
    return changed == 0 or (maximum is not None and today > changed + maximum)


def _days(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
