"""The passwd-file: virtual users, one a line.

``user:{SCHEME}hash:uid:gid:gecos:home:shell:extra``, the form that Dovecot reads too. Fields
behind the hash may be missing; empty lines and lines that begin with ``#`` mean nothing. uid,
gid, gecos and shell are kept and not used: the mail of virtual users belongs to the server's
mail user. Bad lines are reported with their number and never hide the good ones.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pymaild.auth import quota, schemes
from pymaild.auth.names import prepare_name
from pymaild.auth.settings import AuthSettings
from pymaild.auth.users import Entry, SourceUnavailable, inbox_path, mail_path
from pymaild.core.session import User

log = logging.getLogger("pymaild.auth")

_FIELDS = 8
_HOME, _EXTRA = 5, 7
#: File systems stamp times this coarsely (ns): a younger file may change with no new stamp.
_STAMP_GRAIN = 20_000_000
_PROBLEMS_LOGGED = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that is wrong. ``fatal``: the line was left out; else its user receives mail."""

    line: int
    text: str
    fatal: bool


@dataclass(slots=True)
class Table:
    """What a passwd-file says: users by prepared name, and what is wrong with it."""

    entries: dict[str, Entry] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def split_line(line: str) -> list[str]:
    """Return the eight fields of a line; missing ones are empty. [] for no user at all."""
    text = line.rstrip("\r\n")
    if not text.strip() or text.startswith("#"):
        return []
    fields = text.split(":", _FIELDS - 1)
    return fields + [""] * (_FIELDS - len(fields))


def parse(text: str, settings: AuthSettings) -> Table:
    """Read a passwd-file. Never raises: what is wrong stands in ``problems``."""
    table = Table()
    for number, line in enumerate(text.split("\n"), 1):
        fields = split_line(line)
        if fields:
            try:
                _take(table, number, fields, settings)
            except ValueError as error:
                table.problems.append(Problem(number, str(error), fatal=True))
    return table


class PasswdFile:
    """A passwd-file that is read again when it has changed; ``passwd_file`` "" has no users."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._path = settings.passwd_file
        self._table = Table()
        self._stamp: tuple[int, ...] = ()
        self._broken = ""

    def find(self, name: str) -> Entry | None:
        """Return the user of this prepared name. Raises SourceUnavailable."""
        return self.table().entries.get(name)

    def stored(self) -> Sequence[str]:
        """Return the stored passwords of all users. Raises SourceUnavailable."""
        return self.table().stored

    def table(self) -> Table:
        """Return what the file says now. Raises SourceUnavailable."""
        if not self._path:
            return self._table
        try:
            stamp = _stamp(os.stat(self._path))
            if stamp != self._stamp:
                self._read()
        except OSError as error:
            self._fail(error)
        return self._table

    def _read(self) -> None:
        with open(self._path, "rb") as file:
            status = os.fstat(file.fileno())
            text = file.read().decode("utf-8", "surrogateescape")
        self._table = parse(text, self._settings)
        settled = time.time_ns() - status.st_mtime_ns > _STAMP_GRAIN
        self._stamp = _stamp(status) if settled else ()
        self._broken = ""
        _report(self._path, self._table.problems)

    def _fail(self, error: OSError) -> None:
        if self._broken != str(error):  # once, not for every login
            log.error("users cannot be read: %s", error)
        self._broken, self._stamp = str(error), ()
        raise SourceUnavailable(str(error)) from error


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _report(path: str, problems: list[Problem]) -> None:
    for problem in problems[:_PROBLEMS_LOGGED]:
        log.warning("%s:%d: %s", path, problem.line, problem.text)
    if len(problems) > _PROBLEMS_LOGGED:
        log.warning("%s: %d more lines are wrong", path, len(problems) - _PROBLEMS_LOGGED)


def _take(table: Table, number: int, fields: list[str], settings: AuthSettings) -> None:
    """Add the line's user. Raises ValueError for a line that has none."""
    name = prepare_name(fields[0])
    if name in table.entries:
        raise ValueError("user named twice, the first line counts")
    home = fields[_HOME]
    user = User(name=name, home=home)
    entry, ignored = _with_extras(Entry(user, fields[1]), fields[_EXTRA])
    if not user.mail:
        user.mail = mail_path(settings, name, home)
        user.inbox = inbox_path(settings, name)
    table.entries[name] = entry
    trouble = schemes.problem(entry.stored)
    if not trouble:
        table.stored.append(entry.stored)
    for text in filter(None, (trouble and f"cannot log in: {trouble}", ignored)):
        table.problems.append(Problem(number, text, fatal=False))


def _with_extras(entry: Entry, extra: str) -> tuple[Entry, str]:
    """Obey the extra fields that are known; returns a sentence about the others, or ""."""
    ignored = []
    for word in extra.split():
        key, _, value = word.partition("=")
        if key in _EXTRAS:
            entry = _EXTRAS[key](entry, value)
        else:
            ignored.append(key)
    return entry, f"extra fields without effect: {', '.join(ignored)}" if ignored else ""


def _mail(entry: Entry, value: str) -> Entry:
    """userdb_mail=maildir:PATH or mbox:PATH:INBOX=PATH, as Dovecot writes it.

    Other options behind the path are dropped. The inbox is ``inbox`` below the folders where
    nothing is said.
    """
    kind, path, *options = value.split(":")
    entry.user.mail = _absolute(entry, path)
    if kind == "mbox":
        told = dict(option.partition("=")[::2] for option in options)
        entry.user.inbox = _absolute(entry, told.get("INBOX", f"{path}/inbox"))
    elif kind != "maildir":
        raise ValueError("userdb_mail must begin with maildir: or mbox:")
    return entry


def _absolute(entry: Entry, path: str) -> str:
    path = entry.user.home + path[1:] if path.startswith("~/") else path
    if not path.startswith("/") or "%" in path:
        raise ValueError("userdb_mail must name an absolute path without variables")
    return path


def _groups(entry: Entry, value: str) -> Entry:
    """userdb_acl_groups=name,name: whose rights in access control lists the user has too."""
    entry.user.groups = [prepare_name(name) for name in value.split(",") if name]
    return entry


def _quota(entry: Entry, value: str) -> Entry:
    """quota=1G, or quota=storage=1G:messages=5000 (quota.parse)."""
    entry.user.quota = quota.parse(value)
    return entry


def _quota_rule(entry: Entry, value: str) -> Entry:
    """userdb_quota_rule=*:storage=1G, as Dovecot writes it; rules for single folders are none."""
    folders, _, limits = value.partition(":")
    return _quota(entry, limits) if folders == "*" else entry


def _nologin(entry: Entry, value: str) -> Entry:
    return replace(entry, login=value in ("n", "no"))


def _private(entry: Entry, value: str) -> Entry:
    return replace(entry, private=value not in ("n", "no"))


def _networks(entry: Entry, value: str) -> Entry:
    networks = tuple(_parse_networks(value))
    return replace(entry, networks=networks)


def _hidden(entry: Entry, value: str) -> Entry:
    entry.user.hidden = [name for name in value.split(",") if name]
    return entry


def _parse_networks(value: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for text in value.split(","):
        try:
            yield ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise ValueError("allow_nets has something that is no network") from None


#: Extra fields by name. What restricts a user must be obeyed or make the line invalid.
_EXTRAS: dict[str, Callable[[Entry, str], Entry]] = {
    "userdb_mail": _mail,
    "userdb_acl_groups": _groups,
    "userdb_quota_rule": _quota_rule,
    "quota": _quota,
    "nologin": _nologin,
    "allow_nets": _networks,
    "require_tls": _private,
    "hide_capabilities": _hidden,
}
