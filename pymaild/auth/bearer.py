"""OAUTHBEARER (RFC 7628) and XOAUTH2: mechanisms that carry an access token."""

from __future__ import annotations

import json
import re

from pymaild.auth.claims import Malformed, Prompt, Surroundings, TokenClaim, text_of
from pymaild.auth.scram import unescaped_name

_PAIRS_END = b"\1\1"
_HEADER = re.compile(rb"[ny],(?:a=([^,]*))?,", re.DOTALL)  # RFC 7628 §3.1: no channel binding
_KEY = re.compile(rb"[A-Za-z]+")
_TOKEN = re.compile(rb"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")  # RFC 6750 §2.1


class OAuthBearer:
    """RFC 7628 §3.1: one message, a GS2 header and pairs of key and value."""

    def __init__(self, around: Surroundings) -> None:
        pass

    def respond(self, data: bytes | None) -> Prompt | TokenClaim:
        """Ask with an empty challenge, then take the message apart.

        A client that only wants to know where tokens come from sends no "auth" (§4.3).
        """
        if data is None:
            return Prompt(b"")
        header = _HEADER.match(data)
        if header is None or data[header.end() : header.end() + 1] != b"\1":
            raise Malformed("no GS2 header")
        pairs = _pairs(data[header.end() + 1 :])
        name = unescaped_name(header[1] or b"")
        return TokenClaim(name, _token(pairs.get(b"auth")), _rfc7628)


class XOAuth2:
    """Google's mechanism, older than RFC 7628: pairs alone, the user is one of them."""

    def __init__(self, around: Surroundings) -> None:
        pass

    def respond(self, data: bytes | None) -> Prompt | TokenClaim:
        """Ask with an empty challenge, then take the message apart."""
        if data is None:
            return Prompt(b"")
        pairs = _pairs(data)
        if b"auth" not in pairs:
            raise Malformed("no token")
        return TokenClaim(text_of(pairs.get(b"user", b"")), _token(pairs[b"auth"]), _google)


def _pairs(data: bytes) -> dict[bytes, bytes]:
    """Take ``key=value ^A key=value ^A ^A`` apart."""
    if data == b"\1":  # no pair at all
        return {}
    if not data.endswith(_PAIRS_END):
        raise Malformed("no end of the message")
    pairs: dict[bytes, bytes] = {}
    for pair in data[: -len(_PAIRS_END)].split(b"\1"):
        key, equals, value = pair.partition(b"=")
        if not equals or not _KEY.fullmatch(key) or key in pairs:
            raise Malformed("not a pair of key and value")
        pairs[key] = value
    return pairs


def _token(value: bytes | None) -> str:
    if value is None:
        return ""
    found = _TOKEN.fullmatch(value)
    if found is None:
        raise Malformed("not a bearer token")
    return found[1].decode("ascii")


def _rfc7628(facts: dict[str, str]) -> bytes:
    """Say why a token is not accepted, and where another may be had (RFC 7628 §3.2.2)."""
    return json.dumps(facts, separators=(",", ":")).encode()


def _google(facts: dict[str, str]) -> bytes:
    """Say the same as clients of XOAUTH2 expect it: status is that of HTTP (RFC 6750 §3.1)."""
    status = "403" if facts["status"] == "insufficient_scope" else "401"
    told = {"status": status, "schemes": "bearer", "scope": facts.get("scope", "")}
    return json.dumps(told, separators=(",", ":")).encode()
