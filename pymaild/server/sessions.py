"""One session in one process: from a connected socket to where it goes from here."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from functools import partial
from typing import Any

from pymaild.auth.client import AuthClient
from pymaild.auth.users import mail_root
from pymaild.core.errors import Code, Disconnected, Leave, Refused, TimedOut
from pymaild.core.session import Ending, Peer, SessionRecord, Stream, User
from pymaild.mail.account import Account
from pymaild.mail.grants import DIRECTORY, Grants
from pymaild.mail.helpers import Task
from pymaild.mail.services import Services
from pymaild.mail.sharing import SharingAccount
from pymaild.net import proxy
from pymaild.net.protocols import PROTOCOLS, Protocol
from pymaild.net.proxy import Header, ProxyError, Tlv
from pymaild.net.stream import SocketStream
from pymaild.server.board import SessionBoard
from pymaild.server.channel import Message
from pymaild.server.incidents import Incidents
from pymaild.server.keeping import Keeping
from pymaild.server.listeners import Listener, peer_of
from pymaild.server.passing import MARK, pass_on
from pymaild.server.place import Place
from pymaild.server.queues import put
from pymaild.server.settings import ListenerSettings
from pymaild.storage.retry import be_patient

log = logging.getLogger("pymaild.server")


class Refusal(Exception):
    """A connection that is closed before a session begins."""


class Sessions:
    """Runs sessions one after the other in the process of ``place``."""

    def __init__(self, place: Place, keeping: Keeping | None = None) -> None:
        settings = place.config.server
        self._config = place.config
        be_patient(place.config.mail.retry_timeout)
        self._supervisor = place.supervisor
        self._titles = {settings.title: settings for settings in place.config.listeners}
        self._hostname = place.shared.hostname
        self._queue = place.shared.deflate[0]
        own = place.parcel is not None  # only a process of the same system user can help it
        self._tasks = None if own else place.shared.index[0]
        self._poke = place.shared.poke
        self._keeping = keeping
        self._journal = place.shared.slice_of(place.slot)
        self._journaling = False
        self._auth = AuthClient(place.shared.auth_path, place.config.auth)
        self._grants = Grants(os.path.join(mail_root(place.config.auth), DIRECTORY))
        self.board = SessionBoard(
            place.shared.scoreboard,
            place.shared.table,
            place.slot,
            settings.user_connections,
            settings.address_unauthenticated,
            Incidents(settings.crash_directory),
        )
        self._supervisor.at_rest = self.board.title.show

    def begin(self, sock: socket.socket, name: object, listener: Listener) -> SessionRecord:
        """Return the record of a new connection, or the one that came back from the tls role.

        ``name`` is the client's address as accept(2) gave it. Raises Refusal.
        """
        self.board.count("connections")
        peer, local = peer_of(name), peer_of(sock.getsockname())
        if not listener.wants_proxy_header(peer):
            return _fresh(listener.settings, peer, local)
        timeout = self._config.server.proxy_timeout
        try:
            header = read_header(sock, listener.private, timeout)
            return self._from_header(header, listener.settings, peer, local)
        except (ProxyError, OSError, ValueError, KeyError) as error:
            raise Refusal(f"{listener.settings.title}: {peer.address}: {error}") from error

    def _from_header(
        self, header: Header, settings: ListenerSettings, peer: Peer, local: Peer
    ) -> SessionRecord:
        """Build the record from what a proxy, or the tls role, said. Raises ValueError."""
        if Tlv.RECORD in header.values:
            record = _returned(header.values[Tlv.RECORD])
        else:
            if Tlv.LISTENER in header.values:
                settings = self._titles[header.values[Tlv.LISTENER].decode()]
            record = _fresh(settings, header.peer or peer, header.local or local)
        record.tls = header.tls()
        return record

    def run(self, sock: socket.socket, record: SessionRecord) -> Ending:
        """Run the session as far as it goes in this process; ``sock`` is then where it is."""
        protocol = PROTOCOLS[record.protocol]
        self._supervisor.session = record.id
        ending = Ending.CLOSED
        self.sock = sock
        stream = self._stream(sock)
        if self._keeping is not None:
            stream.patience = partial(self._keeping.patience, record)
            stream.folder = self._config.server.spool
            stream.most = self._config.server.reply_spool
        try:
            stream.begin(record)
            if self._keeping is not None:
                self._keeping.begun()
            if self.board.begin(record, protocol.logs_in):
                ending = protocol.run(record, stream, self._services(record, stream))
            else:
                self._turn_away(stream, record, protocol)
        except (Disconnected, TimedOut, Leave) as error:
            log.debug("session=%s: %s", record.id, error)
        finally:
            self.sock = stream.sock
            if ending is Ending.PARK:
                stream.park(record)
            stream.close()
        log.debug("session=%s ends here: %s", record.id, ending.value)
        return ending

    def _stream(self, sock: socket.socket) -> SocketStream:
        """Return the stream of a session.

        It has no journal while no keeper has seen what the last process in this slot left.
        """
        self._journaling = self._keeping is not None and self._keeping.welcome
        journal = self._journal if self._journaling else None
        timeout = self._config.server.write_timeout
        return SocketStream(sock, self._supervisor, timeout, journal)

    def over(self) -> None:
        """Forget the session that ran last: it has ended, or others have it."""
        if self._journaling:
            self._journal.end()
            self._journaling = False
        self.board.end()
        self._supervisor.end_session()

    def _turn_away(self, stream: SocketStream, record: SessionRecord, protocol: Protocol) -> None:
        log.warning(
            "too many connections: address=%s user=%s protocol=%s",
            record.peer.address,
            record.user.name if record.user else "",
            record.protocol,
        )
        stream.write(protocol.refusal % b"Too many connections")
        stream.flush()

    def _services(self, record: SessionRecord, stream: SocketStream) -> Services[Any]:
        config = self._config
        deflate = partial(self._deflate, record.id, stream)
        return Services(
            settings=getattr(config, PROTOCOLS[record.protocol].section),
            mail=config.mail,
            auth=self._auth,
            board=self.board,
            open_account=self._open_account,
            hostname=self._hostname,
            spool=config.server.spool,
            become=self._become,
            deflate=deflate if config.server.deflate_processes else None,
            parking=self._keeping,
            quirks=config.quirks,
            starttls=bool(config.tls.certificates),
        )

    def _open_account(self, user: User) -> Account:
        account = SharingAccount(user, self._config.mail, self._auth.lookup, self._grants)
        account.ask = self._ask if self._config.server.index_processes else None
        return account

    def _ask(self, task: Task) -> None:
        """Have the index role do something. Where that is impossible now, others will ask."""
        if self._tasks is None:
            task_of_user: Message = {"verb": "index", "task": task.encode().decode()}
            self._supervisor.channel.send(task_of_user)
        elif put(self._tasks, task):
            os.eventfd_write(self._poke, 1)

    def _deflate(self, session: str, stream: SocketStream, before: bytes) -> None:
        """Give the client to the deflate role, and go on with what that makes of its octets."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                pass_on(self._queue, MARK + before, [stream.sock.fileno(), theirs.fileno()])
            except OSError as error:
                ours.close()
                log.error("no compression: %s", error)
                raise Disconnected(str(error)) from error
        client = stream.sock
        stream.replace(ours)
        client.close()
        if self._keeping is not None:
            self._keeping.hold(session, ours)

    def _become(self, record: SessionRecord) -> Stream:
        """Have the master run a session in a process of its system user; we are its client.

        Raises Refused where nobody takes it.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            message = {"verb": "user", "record": record.encode().decode("ascii")}
            if not self._supervisor.channel.send(message, (theirs.fileno(),)):
                ours.close()
                raise Refused(Code.UNAVAILABLE, "Try again later", "the master takes nothing")
        return SocketStream(ours, self._supervisor, self._config.server.write_timeout)


def _fresh(settings: ListenerSettings, peer: Peer, local: Peer) -> SessionRecord:
    protocol = PROTOCOLS[settings.protocol]
    return protocol.record(
        protocol=settings.protocol,
        state=protocol.state,
        id=secrets.token_hex(6),  # a word on a command line, so no "-" in front
        listener=settings.title,
        hidden=list(settings.hide_capabilities),
        peer=peer,
        local=local,
        started=time.time(),
    )


def _returned(data: bytes) -> SessionRecord:
    """Read a record that went to the tls role. Nobody can have logged in there."""
    record = decode_record(data)
    if record.user is not None or record.ticket:
        raise ValueError("a session cannot log in on its way to TLS and back")
    return record


def decode_record(data: bytes) -> SessionRecord:
    """Read a record of any protocol. Raises ValueError."""
    body = json.loads(data)
    name = body.get("protocol") if isinstance(body, dict) else None
    if name not in PROTOCOLS:
        raise ValueError(f"session record of unknown protocol {name!r}")
    return PROTOCOLS[name].record.decode(data)


def read_header(sock: socket.socket, private: bool, timeout: float) -> Header:
    """Read a PROXY header and nothing behind it. Raises ProxyError and OSError."""
    reader = proxy.Reader(private)
    deadline = time.monotonic() + timeout
    while reader.header is None:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        data = sock.recv(proxy.LONGEST_PRIVATE, socket.MSG_PEEK)
        if not data:
            raise ProxyError("closed before its PROXY header")
        sock.recv(reader.feed(data))
    return reader.header
