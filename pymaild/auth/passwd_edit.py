"""Changes to the passwd-file: adding, changing, removing and listing virtual users.

A change is made under a lock and replaces the file at once, with its owner and rights. Comments
and the lines of other users stay octet for octet. All raise Refused for what cannot be done
and OSError for a file that cannot be written.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, TypeVar

from pymaild.auth import schemes
from pymaild.auth.names import LONGEST_PASSWORD, prepare_name, prepare_password
from pymaild.auth.passwd_file import Problem, parse, split_line
from pymaild.auth.settings import AuthSettings
from pymaild.auth.users import inbox_path, mail_path
from pymaild.core.errors import Code, Refused
from pymaild.core.session import User
from pymaild.storage import atomic
from pymaild.storage.locks import FileLock

_LOCK_TIMEOUT = 10.0  # seconds
_LINES = re.compile(r"[^\n]*\n|[^\n]+")  # with their ends, and at line feeds alone

T = TypeVar("T")
R = TypeVar("R")
Change = Callable[[list[str]], list[str]]


@dataclass(frozen=True, slots=True)
class Row:
    """A user for lists; ``scheme`` is "" and ``login`` false where nobody can log in."""

    user: User
    scheme: str
    login: bool


def read_password(stream: IO[bytes]) -> bytes:
    """Read a password from the first line of ``stream`` (a program's standard input)."""
    line = stream.readline(LONGEST_PASSWORD + 3).removesuffix(b"\n").removesuffix(b"\r")
    _checked(prepare_password, line)
    return line


def add_user(
    settings: AuthSettings, name: str, password: bytes, home: str = "", scheme: str = ""
) -> User:
    """Add a user at the end of the file, which is made if there is none; returns the user.

    ``scheme`` is a key of NEW, "" for the one that the settings name.
    """
    prepared = _checked(prepare_name, name)
    mail = _checked(lambda home: mail_path(settings, prepared, home), home)
    inbox = _checked(lambda name: inbox_path(settings, name), prepared)
    if any(c in home for c in ":\r\n\0"):
        raise Refused(Code.CANNOT, "A passwd-file cannot hold this home directory")
    tail = f"::::{home}::" if home else ""
    line = f"{prepared}:{_hash(settings, password, scheme)}{tail}\n"

    def change(lines: list[str]) -> list[str]:
        if any(_names(text, prepared) for text in lines):
            raise Refused(Code.ALREADYEXISTS, f"There is a user {prepared} already")
        return [*lines, line]

    _edit(settings, change, create=True)
    return User(name=prepared, home=home, mail=mail, inbox=inbox)


def set_password(settings: AuthSettings, name: str, password: bytes, scheme: str = "") -> None:
    """Give a user another password; all other fields of the line stay."""
    prepared = _checked(prepare_name, name)
    stored = _hash(settings, password, scheme)

    def changed(line: str) -> str:
        if not _names(line, prepared):
            return line
        text = line.rstrip("\r\n")
        user, _, rest = text.partition(":")
        _, colon, tail = rest.partition(":")
        return f"{user}:{stored}{colon}{tail}{line[len(text) :]}"

    def change(lines: list[str]) -> list[str]:
        _required(lines, prepared)
        return [changed(line) for line in lines]

    _edit(settings, change)


def remove_user(settings: AuthSettings, name: str) -> None:
    """Remove a user from the file. The mail stays where it is."""
    prepared = _checked(prepare_name, name)

    def change(lines: list[str]) -> list[str]:
        _required(lines, prepared)
        return [line for line in lines if not _names(line, prepared)]

    _edit(settings, change)


def list_users(settings: AuthSettings) -> tuple[list[Row], list[Problem]]:
    """Return the users in the order of the file, and the lines that are wrong."""
    table = parse("".join(_read(_path(settings))), settings)
    rows = [
        Row(entry.user, schemes.scheme_name(entry.stored), entry.login and _usable(entry.stored))
        for entry in table.entries.values()
    ]
    return rows, table.problems


def _usable(stored: str) -> bool:
    return not schemes.problem(stored)


def _argon2(settings: AuthSettings, password: bytes) -> str:
    costs = (settings.hash_memory, settings.hash_time, settings.hash_parallelism)
    return schemes.make_hash(password, *costs)


def _keys(method: str, settings: AuthSettings, password: bytes) -> str:
    return schemes.make_keys(method, password, settings.scram_iterations)


#: How a new password may be stored (``auth.password_scheme``).
NEW: dict[str, Callable[[AuthSettings, bytes], str]] = {
    "ARGON2ID": _argon2,
    **{name: partial(_keys, method) for method, name in schemes.SCRAM_METHODS.items()},
}


def _hash(settings: AuthSettings, password: bytes, scheme: str) -> str:
    make = NEW[scheme or settings.password_scheme]
    return _checked(lambda text: make(settings, text), password)


def _checked(function: Callable[[T], R], value: T) -> R:
    """Turn the ValueError of a check into its reply."""
    try:
        return function(value)
    except ValueError as error:
        raise Refused(Code.CANNOT, str(error)) from error


def _names(line: str, name: str) -> bool:
    """Tell whether a line is the one of this user."""
    fields = split_line(line)
    with contextlib.suppress(ValueError):
        return bool(fields) and prepare_name(fields[0]) == name
    return False


def _required(lines: list[str], name: str) -> None:
    if not any(_names(line, name) for line in lines):
        raise Refused(Code.NONEXISTENT, f"There is no user {name}")


def _path(settings: AuthSettings) -> str:
    if not settings.passwd_file:
        raise Refused(Code.CANNOT, "The configuration names no passwd_file")
    return os.path.realpath(settings.passwd_file)  # a symbolic link stays one


def _read(path: str) -> list[str]:
    with open(path, "rb") as file:
        text = file.read().decode("utf-8", "surrogateescape")
    return _LINES.findall(text)


def _edit(settings: AuthSettings, change: Change, create: bool = False) -> None:
    path = _path(settings)
    if not create and not os.path.exists(path):
        raise Refused(Code.NONEXISTENT, "There is no passwd-file yet")
    with _locked(path):
        lines = _read(path)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        text = "".join(change(lines))
        _replace(path, text.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Lock the file itself, which is made if there is none."""
    lock = FileLock(path, _LOCK_TIMEOUT)
    try:
        lock.__enter__()
    except Refused as error:
        raise Refused(error.code, "The passwd-file cannot be locked", error.detail) from error
    try:
        yield
    finally:
        lock.close()


def _replace(path: str, data: bytes) -> None:
    """Replace the file; the new one has the owner and the rights of the old."""
    status = os.stat(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    atomic.unlink(temporary)
    atomic.write_new(temporary, [data])
    try:
        if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(temporary, status.st_uid, status.st_gid)
        os.chmod(temporary, status.st_mode & 0o7777)
        atomic.rename(temporary, path)
    except BaseException:
        atomic.unlink(temporary)
        raise
    atomic.sync_directory(os.path.dirname(path))
