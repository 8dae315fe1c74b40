"""Opens what the configuration says, and changes it when the configuration does."""

from __future__ import annotations

import os
import resource
import socket
from dataclasses import replace

from pymaild.auth import ticket
from pymaild.core.errors import ConfigError
from pymaild.server import identity, systemd
from pymaild.server.config import Config
from pymaild.server.conflicts import check, key_of
from pymaild.server.failures import CannotStart
from pymaild.server.listeners import (
    Listener,
    adopt,
    bind_unix,
    close_listener,
    matches,
    open_listener,
)
from pymaild.server.roles import AUTH, DEFLATE, TLS, WORKER
from pymaild.server.scoreboard import Scoreboard
from pymaild.server.settings import ListenerSettings
from pymaild.server.shared import Shared, make_poke

MOST_FILES = 65536


def open_shared(config: Config) -> Shared:
    """Open all but the public listeners. Raises CannotStart and ConfigError."""
    mail_user = owner_of(config)
    return Shared(
        scoreboard=Scoreboard(_slots(config)),
        handoff=_queue(),
        deflate=_queue(),
        auth=_unix(config.server.auth_socket, 0o660, mail_user),
        poke=make_poke(),
        key=bytearray(ticket.make_key()),
        hostname=config.server.hostname or socket.getfqdn(),
    )


def _queue() -> tuple[socket.socket, socket.socket]:
    """Return both ends of what descriptors are passed through, see Shared."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
    return pair


def _slots(config: Config) -> int:
    """Room for twice what the settings allow: a reload has old and new processes."""
    server = config.server
    always = sum(role.count(config) for role in (TLS, DEFLATE, AUTH))
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


def _folder(path: str, mode: int, owner: tuple[int, int] | None) -> None:
    try:
        os.makedirs(path, mode, exist_ok=True)
        if owner is not None:
            os.chown(path, *owner)
            os.chmod(path, mode)
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from None


def _unix(
    path: str, mode: int, owner: tuple[int, int] | None, group: int | None = None
) -> socket.socket:
    try:
        sock = bind_unix(path, mode, owner, group)
        sock.listen(512)
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror or error}") from None
    return sock


def open_control(config: Config) -> socket.socket:
    """Open the control socket. Raises CannotStart, also when another server answers there."""
    group = config.server.control_group
    return _unix(config.server.control, 0o660, None, identity.find_group(group) if group else None)


def raise_file_limit() -> None:
    """Allow as many open files as the host grants: each child costs the master two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Ports:
    """The public listeners and the private one, in ``shared``."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._given = systemd.inherited()
        self._where: dict[str, str] = {}  # where listeners were really bound

    def open(self, config: Config) -> None:
        """Open what is not open. Raises CannotStart and ConfigError, and changes nothing then."""
        change = self.change(config)
        change.commit()

    def change(self, config: Config) -> Change:
        """Open what a new configuration adds, and return how to go on."""
        check(config)
        old = {key_of(listener.settings): listener for listener in self._shared.listening()}
        change = Change(self._shared, self._given, self._private(config))
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
        for given in self._given:
            if matches(settings, *given):
                self._given.remove(given)
                return adopt(settings, given[1], config.server.backlog)
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
        sock = _unix(path, 0o600, (tls_user.uid, tls_user.gid) if tls_user else None)
        settings = ListenerSettings("private", address=f"unix:{path}")
        return Listener(settings, sock, private=True)


class Change:
    """Listeners of a new configuration that are open but not yet in use."""

    def __init__(
        self, shared: Shared, given: list[tuple[str, socket.socket]], private: Listener
    ) -> None:
        self._shared = shared
        self._given = given
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
        """Close them again, and put back what systemd gave."""
        for listener in self.opened:
            if listener.given:
                self._given.append((listener.settings.name, listener.sock))
            else:
                close_listener(listener)
        if self._private is not self._shared.private:
            close_listener(self._private)
