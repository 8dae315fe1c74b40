"""Tickets: the auth role's word, to the master, that a user has logged in or has mail.

A worker cannot make one. The master forks a process that becomes a system user only for a
ticket of that very user and purpose which is younger than a minute. HMAC-SHA256 (RFC 2104) over
both, the time of expiry on the clock that all processes of the host share, and a nonce.
"""

from __future__ import annotations

import hmac
import json
import os
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import fields
from typing import Literal

from pymaild.core.session import User

Purpose = Literal["login", "delivery", "session"]

LIFETIME = 60.0  # seconds
LIFETIMES = {"session": 7 * 24 * 3600.0}  # of a purpose, where it is another one
KEY_SIZE = 32  # octets

_HEAD = struct.Struct(">d16s")  # expiry, nonce
_DIGEST_SIZE = 32
_FIELDS = tuple(field.name for field in fields(User))


def make_key() -> bytes:
    """Return a new key; the master makes one when it starts and hands it to auth alone."""
    return os.urandom(KEY_SIZE)


def issue(key: bytes, user: User, now: float | None = None, purpose: Purpose = "login") -> str:
    """Return a ticket for ``user``; ``now`` is a time of :func:`clock`.

    A "delivery" needs no password, so its ticket is good for nothing else. One for a "session" is
    the master's: it has made a process of this user for that, and will make the next.
    """
    expiry = (clock() if now is None else now) + LIFETIMES.get(purpose, LIFETIME)
    head = _HEAD.pack(expiry, os.urandom(16))
    return urlsafe_b64encode(head + _digest(key, head, user, purpose)).decode()


def verify(
    key: bytes, ticket: str, user: User, now: float | None = None, purpose: Purpose = "login"
) -> bool:
    """Tell whether ``ticket`` was issued with ``key`` for exactly this, and is still good."""
    try:
        raw = urlsafe_b64decode(ticket.encode())
    except ValueError:
        return False
    if len(raw) != _HEAD.size + _DIGEST_SIZE or urlsafe_b64encode(raw).decode() != ticket:
        return False  # base64 that another text decodes to as well is no ticket
    head, digest = raw[: _HEAD.size], raw[_HEAD.size :]
    genuine = hmac.compare_digest(digest, _digest(key, head, user, purpose))
    expiry: float = _HEAD.unpack(head)[0]
    left = expiry - (clock() if now is None else now)
    return genuine and 0 < left <= LIFETIMES.get(purpose, LIFETIME)


def clock() -> float:
    """Return the host's monotonic time, the same in every process."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def _digest(key: bytes, head: bytes, user: User, purpose: Purpose) -> bytes:
    facts = json.dumps([purpose, *(getattr(user, name) for name in _FIELDS)]).encode()
    return hmac.digest(key, head + facts, "sha256")
