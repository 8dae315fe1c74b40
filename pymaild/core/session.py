"""A session is data: the record that says all about it between two commands.

What is not in its record, a session may not rely on once a command has ended. A record
travels as versioned JSON beside its descriptor: to the tls role for STARTTLS and back, and to
a process that becomes a system user.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum, StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Protocol, Self

from pymaild.core._json import members

RECORD_VERSION = 1

OPEN = -2  # of what is lost: the data ends by itself, nobody knows where


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection. ``address`` is an IP literal, or "" on a Unix socket."""

    address: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the TLS hop said of the client's connection (PROXY protocol v2, §2.2.6).

    ``client_subject`` is the common name of the client's certificate, for people to read;
    ``client_name`` the user it names, as our own tls role read it (RFC 4422 appendix A);
    ``exporter`` the value for channel binding (RFC 9266). All are empty where there is none.
    """

    version: str = ""
    cipher: str = ""
    server_name: str = ""
    client_subject: str = ""
    exporter: bytes = b""
    client_name: str = ""


@dataclass(slots=True)
class User:
    """Who the auth role says this is, and where the mail lives.

    ``uid`` and ``gid`` are numbers of the host; ``mail`` is the absolute path of the Maildir, or,
    where ``inbox`` is that of an mbox, of the directory that has the other mboxes;
    ``system`` is true where a session must run in a process that has become this user;
    ``hidden`` names capabilities that are not announced to this user. Nobody changes the user
    of a session (see SessionRecord.encode).
    """

    name: str = ""
    uid: int = -1
    gid: int = -1
    home: str = ""
    mail: str = ""
    system: bool = False
    groups: list[str] = field(default_factory=list)
    quota: dict[str, int] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    inbox: str = ""


class Cause(StrEnum):
    """Why a parked session goes on."""

    CLIENT = "client"  # it sent something, or is gone
    NEWS = "news"  # one of the watches stirred
    TIME = "time"  # the time of the wait is over
    LOOK = "look"  # time to look, as nothing would report a change
    QUEUE = "queue"  # nobody waited for anything: the process that had it had to leave
    CRASH = "crash"  # the process that had it died


@dataclass(slots=True)
class Wait:
    """What a parked session waits for, and what is said to its client meanwhile.

    After ``seconds`` (0: never) ``farewell`` is sent and the connection closed, or, where that
    is empty, the session goes on. ``leave`` is sent when the server wants it to end, "%s" in
    the place of the reason. ``alive`` is sent after ``every`` seconds and then, each time, after
    half as long again, up to ``longest``. ``watches`` are those of
    :class:`pymaild.mail.services.Parking`; at ``looked`` (CLOCK_MONOTONIC), with the watches
    set, the session has looked for news last. After ``poll`` seconds (0: never) it wants to look
    again. ``idle`` is the tag of an IDLE command with the texts that end it and begin the next
    one ("OK ...", "+ ..."); where the client has ended it meanwhile, the tag is empty. ``ends``
    is false where the session itself must see that the client is gone. ``descriptor`` is one
    more that waits with the session, and comes back with it: a lock; -1 for none. ``backlog`` is
    that of a file with what the client has yet to take (net/backlog.py), -1 for none: all else
    waits until that is sent.

    Set when the session goes on: ``cause``, ``commands`` answered meanwhile, ``seconds`` left,
    ``every`` as it has grown, the tag of ``idle``.
    """

    seconds: float = 0.0
    farewell: bytes = b""
    leave: bytes = b""
    alive: bytes = b""
    every: float = 0.0
    longest: float = 0.0
    watches: list[int] = field(default_factory=list)
    looked: float = 0.0
    poll: float = 0.0
    idle: list[str] = field(default_factory=list)
    ends: bool = True
    cause: str = ""
    commands: int = 0
    descriptor: int = -1
    backlog: int = -1


@dataclass(slots=True)
class SessionRecord:
    """What every protocol's session has. Protocols add fields in a subclass.

    ``hidden`` names the capabilities that the listener does not announce; ``master`` is who
    logged in as ``user``, where that is another user who may. ``wait`` is what a parked session
    waits for, and in one that has just gone on what it waited for. ``passport`` is the master's
    word that a process of the user may be made for it once more (auth/ticket.py).

    The rest is of a session whose process died (net/_journal.pyx). ``outbox`` is what the client
    has still to be sent of finished commands. ``unread`` begins with the command that was under
    way: ``again`` is how many processes died of it, ``asked`` the continuation requests that
    the client has been sent for it (or will, from the outbox), ``intents`` what it was about to
    change (plain JSON). ``lost``: its input was too much to keep, -1 where it was not; it is
    then how many octets of a literal are still to come before ``unread``, or OPEN where the
    data ends by itself; ``head`` is how the command began.
    """

    VERSION: ClassVar[int] = RECORD_VERSION

    protocol: str = ""
    id: str = ""
    listener: str = ""
    hidden: list[str] = field(default_factory=list)
    peer: Peer = field(default_factory=Peer)
    local: Peer = field(default_factory=Peer)
    tls: TlsFacts | None = None
    started: float = 0.0
    greeted: bool = False
    state: str = ""
    user: User | None = None
    master: str = ""
    ticket: str = ""
    client: str = ""
    unread: bytes = b""
    bad: int = 0
    auth_failures: int = 0
    commands: int = 0
    wait: Wait | None = None
    passport: str = ""
    outbox: bytes = b""
    again: int = 0
    asked: bytes = b""
    intents: list[Any] = field(default_factory=list)
    lost: int = -1
    head: bytes = b""

    def encode(self) -> bytes:
        """Return the record as one line of JSON; bytes are written as ``{"b64": ...}``.

        What is as in a new record is left out.
        """
        kind: Any = type(self)
        body = _rest(kind).written(self)
        comma = "," if body else ""
        return f'{_first_part(self)}{body}{comma}"version":{self.VERSION}}}'.encode("ascii")

    def settle(self) -> None:
        """Forget what a crash had left: the command that was under way is answered."""
        self.again, self.lost, self.intents = 0, -1, []
        self.asked = self.head = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what :meth:`encode` wrote. Raises ValueError for another version or shape."""
        body = json.loads(data)
        if not isinstance(body, dict) or body.pop("version", None) != cls.VERSION:
            raise ValueError("session record of an unknown version")
        known = {f.name for f in fields(cls)}
        if not known.issuperset(body):
            raise ValueError("session record with unknown fields")
        return cls(**{name: _rich(name, value) for name, value in body.items()})

    @classmethod
    def amend(cls, data: bytes, **changes: Any) -> bytes:
        """Change fields of what :meth:`encode` wrote, of any protocol. Raises ValueError."""
        body = json.loads(data)
        if not isinstance(body, dict):
            raise ValueError("no session record")
        return _JSON(body | changes).encode()


_NESTED: dict[str, Callable[..., Any]] = {
    "peer": Peer,
    "local": Peer,
    "tls": TlsFacts,
    "user": User,
    "wait": Wait,
}


class _Shape:
    """Some fields of a dataclass, their defaults, and what reads them all at once."""

    def __init__(self, some: list[Field[Any]]) -> None:
        self.names = tuple(f.name for f in some)
        self._heads = tuple(f'"{name}":' for name in self.names)
        self._defaults = tuple(_default(f) for f in some)
        self.values: Callable[[Any], tuple[Any, ...]] = attrgetter(*self.names)

    def unusual(self, value: Any) -> dict[str, Any]:
        """Return the fields that are not as in a new one."""
        rows = zip(self.names, self.values(value), self._defaults, strict=True)
        return {name: found for name, found, default in rows if found != default}

    def written(self, value: Any) -> str:
        """Return the same as members of a JSON object."""
        return members(value, self.names, self._heads, self._defaults, _written)


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


@cache
def _shape(kind: type[Any]) -> _Shape:
    return _Shape(list(fields(kind)))


@cache
def _rest(kind: type[Any]) -> _Shape:
    """The fields of a record but for those that stay the same."""
    return _Shape([f for f in fields(kind) if f.name not in _FIRST])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": b64encode(value).decode()}
    kind: Any = type(value)
    return _shape(kind).unusual(value)


#: Made once: what json.dumps makes anew for each call costs more than a record.
_JSON = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


def _written(value: Any) -> str:
    kind: Any = type(value)
    return f"{{{_shape(kind).written(value)}}}" if kind in _WHOLE else _JSON(value)


#: Objects within a record, but for those that are seldom written.
_WHOLE = frozenset({Peer, TlsFacts, User})

#: What stays the same from one command to the next: written once, and replaced as a whole.
_FIRST = ("protocol", "id", "listener", "hidden", "peer", "local", "tls", "started", "user")
_FIXED = _Shape([f for f in fields(SessionRecord) if f.name in _FIRST])
_first: tuple[tuple[Any, ...], str] = ((), "")  # a process has one session at a time


def _first_part(record: SessionRecord) -> str:
    """The beginning of a record's JSON, its fixed fields, and a comma."""
    global _first
    values = _FIXED.values(record)
    if _first[0] != values:
        text = _FIXED.written(record)
        _first = values, f"{{{text}," if text else "{"
    return _first[1]


def _rich(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"b64"}:
            return b64decode(value["b64"])
        if name in _NESTED:
            return _NESTED[name](**{key: _rich(key, item) for key, item in value.items()})
    return value


class Ending(Enum):
    """How a session's loop ended in this process."""

    CLOSED = "closed"  # say nothing more, close the descriptor
    TLS = "tls"  # pass descriptor and record to the tls role (STARTTLS, STLS)
    DEFLATE = "deflate"  # the session goes on, compressed from here on: no process sees this
    USER = "user"  # pass descriptor and record to a process of record.user
    PARK = "park"  # pass descriptor and record to the keeper, until record.wait is over


class Event(Enum):
    """What ended a wait."""

    CLIENT = "client"
    WATCH = "watch"
    TIMEOUT = "timeout"


class Stream(Protocol):
    """The byte stream a session talks through; the net package implements it.

    Writes are buffered and bounded: a full buffer is flushed by itself, and a client that does
    not read for longer than the write timeout is gone (:class:`Disconnected`).
    """

    def read(self, timeout: float, idle: bool = True, parks: bool = False) -> bytes:
        """Return 1 to 65,536 octets, waiting at most ``timeout`` seconds.

        Flushes pending output before it waits. ``idle`` says that no command is under way: only
        then may :class:`Leave` be raised, and :class:`Parked` then or where ``parks`` says that
        the session stands in its record all the same. Raises Disconnected and TimedOut.
        """

    def wait(self, timeout: float, watch: int | None) -> Event:
        """Flush, then wait for the client, for descriptor ``watch`` or for ``timeout`` seconds.

        Raises Leave when the server wants the session to end, and Parked when it shall wait
        without a process.
        """

    def write(self, data: bytes | memoryview) -> None:
        """Queue ``data``."""

    def offer(self, data: bytes) -> None:
        """Queue ``data``, and send what can be sent without waiting; never fails."""

    def write_file(self, fd: int, offset: int, count: int) -> None:
        """Send ``count`` octets of an open file, behind all that is queued."""

    def flush(self) -> None:
        """Send all that is queued."""

    def ask(self, data: bytes, left: int = 0) -> bool:
        """Queue a continuation request of the command under way, which is no part of its reply.

        ``left`` is as for :meth:`expect`. False says that the client was asked something else
        by a process that died, and is not asked again: what it sends answers that.
        """

    @property
    def asked(self) -> bool:
        """Whether a process that died has asked the client for more than this one has yet."""

    def expect(self, left: int) -> None:
        """Note that of what has yet to be read, ``left`` octets belong to a literal, or OPEN."""

    def intend(self, what: bytes) -> None:
        """Note what is about to be changed, in JSON: who runs the command again is told."""

    def post(self, data: bytes, note: bytes) -> None:
        """Send a part of the reply, at most 4096 octets, which stays said.

        Who runs the command again is told of nothing intended before, but of this ``note``, which
        is JSON.
        """

    def commit(self, record: Callable[[], bytes] | None, unread: int) -> None:
        """Note that a command has ended, and all that is queued is its reply.

        Another process may go on from here when this one dies. ``record`` returns the encoded
        record; None where the command has not changed it. The last ``unread`` octets that were
        read belong to commands to come.
        """

    def turn(self) -> None:
        """Let others go on where the client does not take what was sent: raises Parked.

        Between two commands, also where the next one has already come.
        """

    def pause(self, seconds: float) -> None:
        """Delay this client (failed logins); ends early when it goes or the server stops."""


class Board(Protocol):
    """What a session tells its surroundings; the server role implements it."""

    def note(self, record: SessionRecord, doing: str = "", mailbox: str = "") -> None:
        """Show state, user and mailbox in `pymailctl who` and in the process title."""

    def admit(self, record: SessionRecord) -> bool:
        """Count the session under ``record.user``; false when the user has too many.

        Without a user it counts under its address, which can have too many as well.
        """

    def beat(self) -> None:
        """Say that a long command is alive."""

    def incident(self, record: SessionRecord, data: bytes) -> None:
        """Keep what a session had received when processes died of it, for who looks into that."""

    def count(self, counter: str, amount: int = 1) -> None:
        """Add to one of the counters: commands, logins, failed_logins, delivered, bugs."""
