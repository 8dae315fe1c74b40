"""Opens what the configuration says, and changes it when the configuration does."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import suppress
from dataclasses import replace

from pymaild.auth import ticket
from pymaild.core.errors import ConfigError
from pymaild.net import _journal
from pymaild.server import identity, systemd
from pymaild.server.config import Config
from pymaild.server.conflicts import check, key_of
from pymaild.server.estate import Estate
from pymaild.server.failures import CannotStart
from pymaild.server.listeners import (
    Lent,
    Listener,
    adopt,
    bind_unix,
    close_listener,
    matches,
    open_listener,
    path_of,
)
from pymaild.server.parked import Table
from pymaild.server.roles import AUTH, DEFLATE, INDEX, KEEPER, TLS, VAULT, WORKER
from pymaild.server.scoreboard import Scoreboard
from pymaild.server.settings import ListenerSettings
from pymaild.server.shared import Shared, make_poke, make_work
from pymaild.storage._watch import open_watches

MOST_FILES = 65536
SPARE_ROWS = 4096  # sessions that were begun just before there were too many


#: Behind a path as long as another server has it.
BESIDE = ".new"


def open_shared(config: Config, estate: Estate, beside: str = "") -> Shared:
    """Open all but the public listeners. Raises CannotStart and ConfigError.

    ``beside`` stands behind the paths until :func:`move_in`.
    """
    mail_user = owner_of(config)
    auth, keeper = (path + beside for path in neighbours(config))
    return Shared(
        scoreboard=Scoreboard(_slots(config)),
        handoff=_queue(),
        deflate=_queue(),
        index=_queue(),
        auth=_unix(auth, 0o660, mail_user),
        auth_path=_way_to(auth),
        keeper=_keeper(keeper, mail_user),
        keeper_path=_way_to(keeper),
        table=Table(config.server.sessions_max + SPARE_ROWS),
        work=make_work(),
        watches=estate.watches if estate.watches >= 0 else open_watches(),
        journal=_journal.make(_slots(config)),
        poke=make_poke(),
        key=bytearray(estate.key or ticket.make_key()),
        hostname=config.server.hostname or socket.getfqdn(),
        held=bool(beside),
    )


def neighbours(config: Config) -> list[str]:
    """Return the paths of sockets by which the server's processes find each other."""
    return [config.server.auth_socket, config.server.keeper_socket]


def move_in(config: Config) -> None:
    """Take the paths that another server had until now. Raises OSError."""
    for path in neighbours(config):
        os.rename(path + BESIDE, path)


def _way_to(path: str) -> str:
    """Return a path that leads to a socket wherever it is moved, for this process and its
    children."""
    return f"/proc/self/fd/{os.open(path, os.O_PATH | os.O_CLOEXEC)}"


def _keeper(path: str, owner: tuple[int, int] | None) -> socket.socket:
    """Listen for workers, and nobody else."""
    return _unix(path, 0o600, owner, kind=socket.SOCK_SEQPACKET)


def _queue() -> tuple[socket.socket, socket.socket]:
    """Return both ends of what descriptors are passed through, see Shared."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
    return pair


def _slots(config: Config) -> int:
    """Room for twice what the settings allow: a reload has old and new processes."""
    server = config.server
    always = sum(role.count(config) for role in (TLS, DEFLATE, AUTH, KEEPER, VAULT, INDEX, INDEX))
    return 2 * (server.workers_max + server.user_processes + always) + 64


def owner_of(config: Config) -> tuple[int, int] | None:
    """Return uid and gid of the mail user, or None in a private instance."""
    who = WORKER.identity(config)
    return (who.uid, who.gid) if who is not None else None


def make_folders(config: Config) -> None:
    """Make the directories of the server's own. Raises CannotStart and ConfigError."""
    tls_user = TLS.identity(config)
    _folder(config.server.run_directory, 0o755, None)
    tls_owner = (tls_user.uid, tls_user.gid) if tls_user else None
    _folder(config.server.tls_directory, 0o700, tls_owner)
    _folder(config.server.empty_directory, 0o755, None)
    _folder(config.server.spool, 0o700, owner_of(config))
    if config.server.crash_directory:
        _folder(config.server.crash_directory, 0o700, owner_of(config))


def _folder(path: str, mode: int, owner: tuple[int, int] | None) -> None:
    try:
        os.makedirs(path, mode, exist_ok=True)
        if owner is not None:
            os.chown(path, *owner)
            os.chmod(path, mode)
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from None


def _unix(
    path: str,
    mode: int,
    owner: tuple[int, int] | None,
    group: int | None = None,
    kind: socket.SocketKind = socket.SOCK_STREAM,
) -> socket.socket:
    try:
        sock = bind_unix(path, mode, owner, group, kind)
        sock.listen(512)
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror or error}") from None
    return sock


def open_control(config: Config) -> socket.socket:
    """Open the control socket. Raises CannotStart, also when another server answers there."""
    group = config.server.control_group
    return _unix(config.server.control, 0o660, None, identity.find_group(group) if group else None)


def raise_file_limit(sessions: int) -> None:
    """Allow as many open files as the host grants: each child costs the master two, and each
    session the keeper one, or two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(MOST_FILES, 2 * (sessions + SPARE_ROWS))
    if identity.may_become() and hard != resource.RLIM_INFINITY and hard < most:
        with suppress(OSError, ValueError):  # sys.fs.nr_open says less
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
            hard = most
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Ports:
    """The public listeners and the private one, in ``shared``."""

    def __init__(self, shared: Shared, estate: Estate) -> None:
        self._shared = shared
        self.unused = [*systemd.inherited(), *estate.sockets]
        self._estate = estate
        self._where: dict[str, str] = {}  # where listeners were really bound

    def open(self, config: Config) -> None:
        """Open what is not open. Raises CannotStart and ConfigError, and changes nothing then."""
        change = self.change(config)
        change.commit()

    def change(self, config: Config) -> Change:
        """Open what a new configuration adds, and return how to go on."""
        check(config)
        old = {key_of(listener.settings): listener for listener in self._shared.listening()}
        change = Change(self._shared, self.unused, self._private(config))
        try:
            for settings in config.listeners:
                listener = old.pop(key_of(settings), None)
                if listener is None:
                    listener = self._open(settings, config)
                    change.opened.append(listener)
                change.wanted.append(
                    replace(listener, settings=settings, networks=settings.networks())
                )
        except (CannotStart, ConfigError):
            change.abort()
            raise
        change.dropped = list(old.values())
        return change

    def _open(self, settings: ListenerSettings, config: Config) -> Listener:
        for lent in self.unused:
            if lent.key == key_of(settings) or matches(settings, lent):
                self.unused.remove(lent)
                found = adopt(settings, lent.sock, config.server.backlog)
                if not lent.given:
                    self._where[key_of(settings)] = found.address
                return found
        address = self._where.get(key_of(settings), settings.address)
        group = identity.find_group(settings.group) if settings.group else None
        opened = open_listener(
            replace(settings, address=address), config.server.backlog, owner_of(config), group
        )
        self._where[key_of(settings)] = opened.address
        return opened

    def _private(self, config: Config) -> Listener:
        """The workers' private socket: the tls user alone may connect."""
        if self._shared.private is not None:
            return self._shared.private
        tls_user = TLS.identity(config)
        path = config.server.private_socket
        for lent in self._estate.sockets:
            if lent.key == f"unix:{path}":
                self.unused.remove(lent)
                settings = ListenerSettings("private", address=lent.key)
                return Listener(settings, lent.sock, given=True, private=True)
        sock = _unix(path, 0o600, (tls_user.uid, tls_user.gid) if tls_user else None)
        settings = ListenerSettings("private", address=f"unix:{path}")
        return Listener(settings, sock, private=True)

    def own(self) -> None:
        """What another master lent is ours from now on, or closed."""
        lent = [each.sock for each in self._estate.sockets if not each.given]

        def owned(listener: Listener) -> Listener:
            return replace(listener, given=listener.given and listener.sock not in lent)

        shared = self._shared
        shared.public = [owned(each) for each in shared.public]
        shared.implicit = [owned(each) for each in shared.implicit]
        shared.private = owned(shared.private) if shared.private else None
        for each in [each for each in self.unused if not each.given]:
            self.unused.remove(each)
            each.sock.close()
        self._estate = Estate()

    def paths(self) -> list[str]:
        """Return where all Unix sockets are that are in use."""
        private = [self._shared.private] if self._shared.private else []
        return [path for each in self._shared.listening() + private if (path := path_of(each))]


class Change:
    """Listeners of a new configuration that are open but not yet in use."""

    def __init__(self, shared: Shared, unused: list[Lent], private: Listener) -> None:
        self._shared = shared
        self._unused = unused
        self._private = private
        self.wanted: list[Listener] = []
        self.opened: list[Listener] = []
        self.dropped: list[Listener] = []

    def commit(self) -> None:
        """Use them, and close what is not wanted any more."""
        self._shared.private = self._private
        self._shared.public = [item for item in self.wanted if not item.settings.tls]
        self._shared.implicit = [item for item in self.wanted if item.settings.tls]
        for listener in self.dropped:
            close_listener(listener)

    def abort(self) -> None:
        """Close them again, and put back what was lent."""
        for listener in self.opened:
            if listener.given:
                self._unused.append(Lent(listener.sock, listener.settings.name))
            else:
                close_listener(listener)
        if self._private is not self._shared.private:
            close_listener(self._private)
