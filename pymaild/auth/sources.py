"""The places where users are looked for, in their order."""

from __future__ import annotations

from collections.abc import Callable

from pymaild.auth.passwd_file import PasswdFile
from pymaild.auth.settings import AuthSettings
from pymaild.auth.system import SystemUsers
from pymaild.auth.users import Directory, Source

#: When a source is asked, and how it is opened.
SOURCES: tuple[tuple[Callable[[AuthSettings], bool], Callable[[AuthSettings], Source]], ...] = (
    (lambda settings: True, PasswdFile),
    (lambda settings: settings.system_users, SystemUsers),
)


def open_directory(settings: AuthSettings) -> Directory:
    """Return all sources that the settings name; nothing is read yet."""
    return Directory(settings, [make(settings) for wanted, make in SOURCES if wanted(settings)])
