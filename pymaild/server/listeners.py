"""The sockets that clients and neighbours connect to: the master binds, children share."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from pymaild.core.session import Peer
from pymaild.net.proxy import address_text
from pymaild.net.sockets import bequeath
from pymaild.server.failures import CannotStart
from pymaild.server.settings import IpNetwork, ListenerSettings

#: Errors of accept that say nothing about the connection: it stays in the queue.
OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = logging.getLogger("pymaild.server")


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket and what the configuration says of it.

    ``given`` says that systemd opened it: it is never closed while the server runs, for it
    could not be opened again.
    """

    settings: ListenerSettings
    sock: socket.socket
    networks: tuple[IpNetwork, ...] = ()
    given: bool = False
    private: bool = False  # the one the tls role connects to

    @property
    def address(self) -> str:
        """Where it is really bound, as the configuration writes it (a port 0 is filled in)."""
        return format_address(self.sock)

    def wants_proxy_header(self, peer: Peer) -> bool:
        """Whether a connection from ``peer`` begins with a PROXY header."""
        if not peer.address:
            return self.private or "unix" in self.settings.proxy_from
        if not self.networks:
            return False
        address = ipaddress.ip_address(peer.address)
        return any(address in network for network in self.networks)


class Lent(NamedTuple):
    """A socket that another process bound: systemd, or the master whose place we take.

    ``name`` is what systemd calls it, ``key`` the address it was opened for, ``given`` says that
    it is systemd's.
    """

    sock: socket.socket
    name: str = ""
    key: str = ""
    given: bool = True


def format_address(sock: socket.socket) -> str:
    """Write the address a socket is bound to like the setting ``address``."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def peer_of(name: object) -> Peer:
    """Turn a socket's address into a Peer; IPv4 clients of IPv6 sockets get their own form."""
    if not isinstance(name, tuple):
        return Peer()
    family = socket.AF_INET if len(name) == 2 else socket.AF_INET6
    return Peer(_address(family, str(name[0])), int(name[1]))


@lru_cache(maxsize=1024)
def _address(family: int, name: str) -> str:
    return address_text(socket.inet_pton(family, name.partition("%")[0]))


def open_listener(
    settings: ListenerSettings, backlog: int, owner: tuple[int, int] | None, group: int | None
) -> Listener:
    """Bind and listen. Raises CannotStart with the listener's title when that is impossible.

    ``owner`` and ``group`` are for Unix sockets: the mail user, and the group of its own.
    """
    endpoint = settings.endpoint()
    try:
        if isinstance(endpoint, str):
            sock = bind_unix(endpoint, int(settings.mode, 8), owner, group)
        else:
            sock = _bind_tcp(*endpoint)
        sock.listen(backlog)
    except OSError as error:
        raise CannotStart(f"listener {settings.title}: {error.strerror or error}") from None
    return Listener(settings, sock, settings.networks())


def adopt(settings: ListenerSettings, sock: socket.socket, backlog: int) -> Listener:
    """Take a socket that another process bound, and has to remove."""
    sock.setblocking(False)
    bequeath(sock)
    sock.listen(backlog)
    return Listener(settings, sock, settings.networks(), given=True)


def matches(settings: ListenerSettings, lent: Lent) -> bool:
    """Whether a socket is meant for this listener: by name, else by address."""
    if lent.name and lent.name == settings.name:
        return True
    endpoint = settings.endpoint()
    bound = lent.sock.getsockname()
    if isinstance(endpoint, str) or lent.sock.family == socket.AF_UNIX:
        return bool(endpoint == bound)
    return bool(endpoint == tuple(bound[:2]))


def _bind_tcp(host: str, port: int) -> socket.socket:
    """Bind; "::" takes IPv4 as well, and stands for IPv4 alone on a host without IPv6."""
    if ":" not in host:
        return _bound(socket.AF_INET, (host, port))
    try:
        return _bound(socket.AF_INET6, (host, port))
    except OSError as error:
        if host != "::" or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
        return _bound(socket.AF_INET, ("0.0.0.0", port))


def _bound(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        sock.bind(address)
        sock.setblocking(False)
        bequeath(sock)
    except OSError:
        sock.close()
        raise
    return sock


def bind_unix(
    path: str,
    mode: int,
    owner: tuple[int, int] | None,
    group: int | None = None,
    kind: socket.SocketKind = socket.SOCK_STREAM,
) -> socket.socket:
    """Bind a Unix socket in the place of a stale one. Raises OSError when somebody listens."""
    _remove_stale(path, kind)
    sock = socket.socket(socket.AF_UNIX, kind)
    before = os.umask(0o177)
    try:
        sock.bind(path)
        if owner is not None or group is not None:
            uid, gid = owner or (-1, -1)
            os.chown(path, uid, gid if group is None else group)
        os.chmod(path, mode)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _remove_stale(path: str, kind: socket.SocketKind) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, f"{path} exists and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) in (0, errno.EAGAIN):
            raise OSError(errno.EADDRINUSE, f"another server listens on {path}")
    os.unlink(path)


def path_of(listener: Listener) -> str:
    """Return the path of a Unix socket; "" for others."""
    if listener.sock.family != socket.AF_UNIX:
        return ""
    return os.fsdecode(listener.sock.getsockname())


def close_listener(listener: Listener) -> None:
    """Close a socket in this process and remove its file; connections are not touched."""
    path = path_of(listener)
    if path and not listener.given:
        with suppress(OSError):
            os.unlink(path)
    listener.sock.close()
