"""SCRAM (RFC 5802, RFC 7677): keys of passwords, and the exchange that proves one.

Keys are stored as Dovecot stores them: ``iterations,salt,StoredKey,ServerKey``, the last three
in base64.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import b64decode, b64encode

from pymaild.auth.claims import (
    BadBinding,
    Credential,
    KeyClaim,
    Keys,
    Malformed,
    Prompt,
    Surroundings,
    text_of,
)

#: The one channel binding there is (RFC 9266).
BINDING = b"tls-exporter"
SALT_SIZE = 16  # octets
_NONCE_SIZE = 18  # octets, before base64

# RFC 5802 §7. An extension of the client that must be understood ("m=") matches neither.
_NONCE = rb"[!-+\--~]+"
_MORE = rb"(?:,[A-Za-z]=[^,]+)*"
_FIRST = re.compile(
    rb"((n|y|p=([A-Za-z0-9.-]+)),(?:a=([^,]+))?,)(n=([^,]+),r=(%b)%b)" % (_NONCE, _MORE),
    re.DOTALL,
)
_FINAL = re.compile(
    rb"(c=([A-Za-z0-9+/=]+),r=(%b)%b),p=([A-Za-z0-9+/=]+)" % (_NONCE, _MORE), re.DOTALL
)
_ESCAPED = re.compile(rb"=(2C|3D)")
_NAME = re.compile(rb"(?:[^=]|=2C|=3D)*", re.DOTALL)


def derive(method: str, password: bytes, salt: bytes, iterations: int) -> Keys:
    """Return the keys of a password that is prepared (RFC 5802 §3); ``method`` is a hash."""
    salted = hashlib.pbkdf2_hmac(method, password, salt, iterations)
    client = hmac.digest(salted, b"Client Key", method)
    server = hmac.digest(salted, b"Server Key", method)
    return Keys(hashlib.new(method, client).digest(), server)


def write_keys(salt: bytes, iterations: int, keys: Keys) -> str:
    """Return keys as they are stored."""
    parts = (b64encode(part).decode() for part in (salt, keys.stored, keys.server))
    return ",".join((str(iterations), *parts))


def read_keys(method: str, stored: str) -> Credential:
    """Read what :func:`write_keys` wrote. Raises ValueError."""
    count, *parts = stored.split(",")
    salt, stored_key, server_key = (b64decode(part, validate=True) for part in parts)
    size = hashlib.new(method).digest_size
    iterations = int(count)
    if iterations < 1 or not salt or len(stored_key) != size or len(server_key) != size:
        raise ValueError("not keys of this hash")
    keys = Keys(stored_key, server_key)
    return Credential(salt, iterations, lambda: keys)


class Scram:
    """One exchange. ``plus`` is the mechanism's name when it is bound to the connection."""

    def __init__(self, method: str, plus: str, around: Surroundings, nonce: bytes = b"") -> None:
        self._method = method
        self._plus = plus
        self._around = around
        self._nonce = nonce or b64encode(os.urandom(_NONCE_SIZE))
        self._messages = b""
        self._header = b""
        self._names = ("", "")
        self._credential: Credential | None = None

    def respond(self, data: bytes | None) -> Prompt | KeyClaim:
        """Ask for the client's first message, answer it, and take its proof."""
        if data is None:
            return Prompt(b"")
        return self._first(data) if self._credential is None else self._final(data)

    def _first(self, data: bytes) -> Prompt:
        found = _FIRST.fullmatch(data)
        if found is None:
            raise Malformed("not a client's first message")
        self._header, flag, binding, authorization, bare, name, nonce = found.groups()
        self._check_binding(flag[:1], binding)
        self._names = (unescaped_name(authorization or b""), unescaped_name(name))
        try:
            self._credential = self._around.credential(self._names[1], self._method)
        except ValueError as error:
            raise Malformed("not a user name") from error
        self._nonce = nonce + self._nonce
        salt, iterations = b64encode(self._credential.salt), self._credential.iterations
        reply = b"r=%b,s=%b,i=%d" % (self._nonce, salt, iterations)
        self._messages = bare + b"," + reply
        return Prompt(reply)

    def _check_binding(self, flag: bytes, binding: bytes | None) -> None:
        """RFC 5802 §6: "n" and "y" are for the plain mechanism, "p" for the other.

        "y" says that the client could bind and was not offered to: when it was, somebody
        between has taken the offer away.
        """
        if (flag == b"p") is not bool(self._plus):
            raise BadBinding("the mechanism and its flag do not agree")
        if self._plus and (binding != BINDING or not self._around.binding):
            raise BadBinding("there is no such channel binding")
        if flag == b"y" and any(name.endswith("-PLUS") for name in self._around.announced):
            raise BadBinding("channel binding was offered, and the client did not see it")

    def _final(self, data: bytes) -> KeyClaim:
        assert self._credential is not None
        found = _FINAL.fullmatch(data)
        if found is None:
            raise Malformed("not a client's final message")
        without_proof, channel, nonce, proof = found.groups()
        if not hmac.compare_digest(nonce, self._nonce):
            raise Malformed("not this exchange's nonce")
        if not hmac.compare_digest(_base64(channel), self._expected()):
            raise BadBinding("bound to another connection")
        message = self._messages + b"," + without_proof
        credential, answer = self._credential, _base64(proof)
        return KeyClaim(
            *self._names,
            verify=lambda: _answer(self._method, credential.keys(), message, answer),
            slow=credential.slow,
            usable=credential.usable,
        )

    def _expected(self) -> bytes:
        return self._header + (self._around.binding if self._plus else b"")


def _answer(method: str, keys: Keys, message: bytes, proof: bytes) -> bytes | None:
    """Return the server's final message when the client's proof is right (RFC 5802 §3)."""
    signature = hmac.digest(keys.stored, message, method)
    if len(proof) != len(signature):
        return None
    client = bytes(a ^ b for a, b in zip(signature, proof, strict=True))
    if not hmac.compare_digest(hashlib.new(method, client).digest(), keys.stored):
        return None
    return b"v=" + b64encode(hmac.digest(keys.server, message, method))


def unescaped_name(data: bytes) -> str:
    """Return a saslname (RFC 5802 §5.1): "=" stands only in "=2C" and "=3D". Raises Malformed."""
    if not _NAME.fullmatch(data):
        raise Malformed("a name with a bare =")
    return text_of(_ESCAPED.sub(lambda m: b"," if m[1] == b"2C" else b"=", data))


def _base64(data: bytes) -> bytes:
    try:
        return b64decode(data, validate=True)
    except ValueError as error:
        raise Malformed("not base64") from error
