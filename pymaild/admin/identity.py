"""Becoming the owner of a user's mail before it is touched."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from pymaild.admin.exits import Exit, Failure
from pymaild.core.session import User
from pymaild.server import identity
from pymaild.server.settings import ServerSettings


def become_owner(user: User, settings: ServerSettings) -> None:
    """Give up root's rights for good, for those of whom the mail of ``user`` belongs to.

    That is the user of the host, or the server's mail user. Who is not root stays who he is:
    the file system decides what he may do. Raises ConfigError for a mail user that is none.
    """
    os.umask(identity.PRIVATE)
    if identity.may_become():
        owner = (
            identity.of_system_user(user)
            if user.system
            else identity.find(settings.user, settings.group)
        )
        identity.become(owner)


def as_owner(user: User, settings: ServerSettings, work: Callable[[], int]) -> int:
    """Run ``work`` as the owner of the mail, in a process of its own where that needs one.

    Returns what it returns (a number that is not negative). Raises Failure when it failed; it
    has said why.
    """
    if not identity.may_become():
        become_owner(user, settings)
        return work()
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _child(user, settings, work, writer)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = file.read()
    os.waitpid(pid, 0)
    if not answer:
        raise Failure(Exit.IOERR, "the mail could not be written")
    return int(answer)


def _child(user: User, settings: ServerSettings, work: Callable[[], int], writer: int) -> None:
    code = 1
    try:
        become_owner(user, settings)
        os.write(writer, str(work()).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
