"""All kinds of processes below the master. To add a role, add a row and a module with ``run``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pymaild.server import identity
from pymaild.server.config import Config
from pymaild.server.identity import Identity


class Keep(Enum):
    """How many processes of a role the master keeps; a dead one is replaced with a delay."""

    COUNT = "count"  # as many as the configuration says
    LOAD = "load"  # as many as there is work for
    TASKS = "tasks"  # as many as the configuration says while there are tasks; they leave then
    ONE = "one"  # one at a time, whatever is configured: the next starts when the last has ended
    NONE = "none"  # each was made for one session


@dataclass(frozen=True, slots=True)
class Role:
    """One row. ``module`` holds ``run(place: Place) -> int``; the result is the exit code.

    ``count`` is how many always run. ``sockets`` names what of Shared the role keeps.
    ``obeys`` is what the role reads of the configuration: a reload replaces the role's
    processes when that has changed, or always when it is None.
    """

    name: str
    module: str
    count: Callable[[Config], int]
    identity: Callable[[Config], Identity | None]
    root: Callable[[Config], str]
    sockets: frozenset[str]
    keep: Keep
    obeys: Callable[[Config], Any] | None

    @property
    def takes_clients(self) -> bool:
        """Whether connections come to it from outside; a drained server has no such process."""
        return bool(self.sockets & {"public", "implicit"})

    def changed(self, old: Config, new: Config) -> bool:
        """Whether a new configuration needs new processes of this role."""
        return self.obeys is None or self.obeys(old) != self.obeys(new)


def has_tls(config: Config) -> bool:
    """Whether there are certificates, and so tls processes."""
    return bool(config.tls.certificates)


def _tls_processes(config: Config) -> int:
    if not has_tls(config):
        return 0
    return config.server.tls_processes or len(os.sched_getaffinity(0))


def _mail_user(config: Config) -> Identity | None:
    return _found(config.server.user, config.server.group)


def _tls_user(config: Config) -> Identity | None:
    return _found(config.server.tls_user)


def _auth_user(config: Config) -> Identity | None:
    return _found(config.server.auth_user)


def _found(user: str, group: str = "") -> Identity | None:
    """Look a user up; a private instance has one identity and no choice."""
    return identity.find(user, group) if identity.may_become() else None


def _own(config: Config) -> Identity | None:
    return None


def _whole_system(config: Config) -> str:
    return ""


def _tls_root(config: Config) -> str:
    return config.server.tls_directory if identity.may_become() else ""


def _empty_root(config: Config) -> str:
    return config.server.empty_directory if identity.may_become() else ""


def _tls_obeys(config: Config) -> Any:
    tls_listeners = [listener for listener in config.listeners if listener.tls]
    asking = {item.title: item.client_certificate for item in config.listeners}
    return config.tls, tls_listeners, asking, config.server


WORKER = Role(
    name="worker",
    module="pymaild.server.worker",
    count=lambda config: config.server.workers_min,
    identity=_mail_user,
    root=_whole_system,
    sockets=frozenset(
        {"public", "private", "handoff", "to_deflate", "parking", "journal", "table"} | {"to_index"}
    ),
    keep=Keep.LOAD,
    obeys=None,
)
TLS = Role(
    name="tls",
    module="pymaild.server.tls",
    count=_tls_processes,
    identity=_tls_user,
    root=_tls_root,
    sockets=frozenset({"implicit", "handoff"}),
    keep=Keep.COUNT,
    obeys=_tls_obeys,
)
DEFLATE = Role(
    name="deflate",
    module="pymaild.server.deflate",
    count=lambda config: config.server.deflate_processes,
    identity=_tls_user,
    root=_empty_root,
    sockets=frozenset({"from_deflate"}),
    keep=Keep.COUNT,
    obeys=lambda config: config.server,
)
KEEPER = Role(
    name="keeper",
    module="pymaild.server.keeper",
    count=lambda config: int(config.server.keeper),
    identity=_tls_user,
    root=_empty_root,
    sockets=frozenset({"keeper", "parking", "journal", "table"}),
    keep=Keep.ONE,
    obeys=lambda config: (),
)
VAULT = Role(
    name="vault",
    module="pymaild.server.vault",
    count=lambda config: int(config.server.keeper),
    identity=_tls_user,
    root=_empty_root,
    sockets=frozenset(),
    keep=Keep.ONE,
    obeys=lambda config: (),
)
AUTH = Role(
    name="auth",
    module="pymaild.server.auth",
    count=lambda config: 1,
    identity=_auth_user,
    root=_whole_system,
    sockets=frozenset({"auth", "key"}),
    keep=Keep.COUNT,
    obeys=lambda config: config.auth,
)
USER = Role(
    name="user",
    module="pymaild.server.user",
    count=lambda config: 0,
    identity=_own,  # that of the session it is made for, see user.run
    root=_whole_system,
    sockets=frozenset({"to_deflate", "parking", "journal"}),
    keep=Keep.NONE,
    obeys=None,
)
INDEX = Role(
    name="index",
    module="pymaild.server.indexer",
    count=lambda config: config.server.index_processes,
    identity=_mail_user,  # or that of the system user it is made for
    root=_whole_system,
    sockets=frozenset({"to_index", "from_index"}),
    keep=Keep.TASKS,
    obeys=None,
)
ROLES: tuple[Role, ...] = (KEEPER, VAULT, AUTH, TLS, DEFLATE, WORKER, USER, INDEX)
