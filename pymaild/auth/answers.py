"""Questions to the auth role and its answers, and their form on the wire.

A frame is four octets of length (big endian) and one JSON object; octets are base64. A
connection carries one question at a time, and one exchange of challenges and responses.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from pymaild.core.errors import Code
from pymaild.core.session import User

#: Octets of one frame without its length.
LARGEST_FRAME = 65_536
HEAD = struct.Struct(">I")

_encode = json.JSONEncoder(separators=(",", ":")).encode
_USER_FIELDS = tuple(field.name for field in fields(User))


@dataclass(frozen=True, slots=True)
class Facts:
    """Where a login comes from. ``address`` is an IP literal, "" on a Unix socket.

    ``binding`` is the TLS connection's tls-exporter value (RFC 9266), b"" where there is none;
    ``certificate`` the user that the client's certificate names, "" without one.
    """

    protocol: str
    address: str
    tls: bool
    session: str
    binding: bytes = b""
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The mechanism goes on: ``data`` is for the client, not yet base64."""

    data: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Accepted:
    """Who has logged in; ``ticket`` proves it to the master (see ticket).

    ``master`` is the name of who proved it, where that is another who may act as this user.
    """

    user: User
    ticket: str
    master: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why not, for the client's eyes; the reply is to be held back for ``delay`` seconds."""

    code: Code
    text: str
    delay: float = 0.0


Answer = Challenge | Accepted | Rejected


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a lookup; ``ticket`` lets the master deliver to a system user."""

    user: User | None
    ticket: str = ""


Reply = Answer | Found


class BadFrame(ValueError):
    """The other side does not speak this protocol."""


def frame(message: dict[str, Any]) -> bytes:
    """Return a message as it goes over the wire."""
    body = _encode(message).encode()
    return HEAD.pack(len(body)) + body


def frame_size(head: bytes | bytearray | memoryview) -> int:
    """Return how long the frame is whose first four octets are ``head``. Raises BadFrame."""
    size: int = HEAD.unpack_from(head)[0]
    if size > LARGEST_FRAME:
        raise BadFrame("frame too long")
    return size


def parse(body: bytes | bytearray) -> dict[str, Any]:
    """Return the message of a frame. Raises BadFrame."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadFrame("not JSON") from error
    if not isinstance(message, dict):
        raise BadFrame("not an object")
    return message


def take(message: dict[str, Any], key: str, kind: type) -> Any:
    """Return ``message[key]``, which must be of type ``kind``. Raises BadFrame."""
    value = message.get(key)
    if type(value) is not kind:
        raise BadFrame(f"{key} is missing or wrong")
    return value


def pack_octets(data: bytes) -> str:
    """Return octets as the wire has them."""
    return b64encode(data).decode()


def take_octets(message: dict[str, Any], key: str) -> bytes:
    """Return octets that :func:`pack_octets` wrote. Raises BadFrame."""
    try:
        return b64decode(take(message, key, str), validate=True)
    except ValueError as error:
        raise BadFrame(f"{key} is not base64") from error


def pack_facts(facts: Facts) -> list[Any]:
    """Return facts as the wire has them."""
    binding = pack_octets(facts.binding)
    return [
        facts.protocol,
        facts.address,
        facts.tls,
        facts.session,
        binding,
        facts.certificate,
    ]


def take_facts(message: dict[str, Any]) -> Facts:
    """Return what :func:`pack_facts` wrote. Raises BadFrame."""
    values = take(message, "facts", list)
    if [type(value) for value in values] != [str, str, bool, str, str, str]:
        raise BadFrame("facts are wrong")
    protocol, address, tls, session, binding, certificate = values
    octets = take_octets({"binding": binding}, "binding")
    return Facts(protocol, address, tls, session, octets, certificate)


def pack_reply(reply: Reply) -> dict[str, Any]:
    """Return an answer as the wire has it."""
    return _PACK[type(reply)](reply)


def take_reply(message: dict[str, Any]) -> Reply:
    """Return what :func:`pack_reply` wrote. Raises BadFrame."""
    taker = _TAKE.get(take(message, "is", str))
    if taker is None:
        raise BadFrame("unknown answer")
    try:
        return taker(message)
    except (TypeError, ValueError) as error:
        raise BadFrame("answer of another version") from error


def _pack_user(user: User | None) -> dict[str, Any] | None:
    return {name: getattr(user, name) for name in _USER_FIELDS} if user else None


def _take_rejected(message: dict[str, Any]) -> Rejected:
    delay = take(message, "delay", float)
    return Rejected(Code(take(message, "code", str)), take(message, "text", str), delay)


_PACK: dict[type, Callable[[Any], dict[str, Any]]] = {
    Challenge: lambda a: {"is": "challenge", "data": pack_octets(a.data)},
    Accepted: lambda a: {
        "is": "accepted",
        "user": _pack_user(a.user),
        "ticket": a.ticket,
        "master": a.master,
    },
    Rejected: lambda a: {"is": "rejected", "code": a.code, "text": a.text, "delay": a.delay},
    Found: lambda a: {"is": "found", "user": _pack_user(a.user), "ticket": a.ticket},
}
_TAKE: dict[str, Callable[[dict[str, Any]], Reply]] = {
    "challenge": lambda m: Challenge(take_octets(m, "data")),
    "accepted": lambda m: Accepted(
        User(**take(m, "user", dict)), take(m, "ticket", str), take(m, "master", str)
    ),
    "rejected": _take_rejected,
    "found": lambda m: Found(User(**m["user"]) if m.get("user") else None, take(m, "ticket", str)),
}
