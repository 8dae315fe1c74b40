"""Access tokens (RFC 6750): what they say, and who vouches for it.

A JSON Web Token is checked with the provider's published keys, any other token by asking the
provider. The methods block; they are for threads.
"""

from __future__ import annotations

import hmac
import logging
import os
import ssl
import threading
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt

from pymaild.auth.claims import Holder, Unaccepted
from pymaild.auth.http import Request, RequestFailed, fetch_json
from pymaild.auth.oauth_settings import OAuthSettings

log = logging.getLogger("pymaild.auth")

#: Signatures by a key that the provider alone has; never those of a shared secret (RFC 8725 §3.1).
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_REFETCH = 30.0  # seconds: no sooner are keys fetched again for a token that names an unknown one
_MOST_KEYS = 64

Claims = Mapping[str, Any]


class _Invalid(Exception):
    """The token is not what it should be; the text says in which respect."""


class Tokens:
    """Checks tokens as the settings say; may be used by several threads."""

    def __init__(self, settings: OAuthSettings) -> None:
        self._settings = settings
        self._context = _tls_context(settings)
        self._keys = _KeySet(settings, self._context)
        self._known = _Known(settings)

    def check(self, token: str) -> Holder | Unaccepted | None:
        """Say whose token it is, or None when that cannot be found out now."""
        if not token:
            return Unaccepted("invalid_token", "there is none")
        try:
            claims = self._known.find(token)
            if claims is None:
                claims = self._claims(token)
                self._known.add(token, claims)
            return self._holder(claims)
        except _Invalid as error:
            return Unaccepted("invalid_token", str(error))
        except RequestFailed as error:
            log.error("a token cannot be checked: %s", error)
            return None

    def _claims(self, token: str) -> Claims:
        settings = self._settings
        if settings.jwks_url and (token.count(".") == 2 or not settings.introspection_url):
            return self._keys.read(token)
        return self._introspected(token)

    def _introspected(self, token: str) -> Claims:
        """Ask the provider (RFC 7662 §2)."""
        settings = self._settings
        form = {"token": token, "token_type_hint": "access_token"}
        headers = {"Authorization": _basic(settings)} if settings.client_id else {}
        request = Request(settings.introspection_url, urlencode(form).encode(), headers)
        claims = fetch_json(request, settings.timeout, self._context)
        if not isinstance(claims, dict) or claims.get("active") is not True:
            raise _Invalid("the provider says that it is not active")
        return claims

    def _holder(self, claims: Claims) -> Holder | Unaccepted:
        settings = self._settings
        _check_times(claims, time.time(), settings.leeway)
        if settings.issuer and claims.get("iss", "") != settings.issuer:
            raise _Invalid("another issuer")
        if settings.audience and not set(_words(claims.get("aud"))) & set(settings.audience):
            raise _Invalid("another audience")
        if set(settings.scopes) - set(_words(claims.get("scope"))):
            return Unaccepted("insufficient_scope", "not all scopes")
        name = claims.get(settings.user_claim)
        if not isinstance(name, str) or not name:
            raise _Invalid(f"no claim {settings.user_claim}")
        return Holder(name)


class _KeySet:
    """The provider's keys (RFC 7517), fetched when they are needed and not too often."""

    def __init__(self, settings: OAuthSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        self._lock = threading.Lock()
        self._keys: list[jwt.PyJWK] = []
        self._fetched = float("-inf")

    def read(self, token: str) -> Claims:
        """Return what a signed token says. Raises _Invalid and RequestFailed."""
        try:
            name = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError:
            raise _Invalid("not a JSON Web Token") from None
        for key in self._candidates(name):
            try:
                claims: Claims = jwt.decode(token, key, algorithms=ALGORITHMS, options=_UNCHECKED)
            except (jwt.InvalidTokenError, TypeError, ValueError):
                continue
            if "exp" not in claims:
                raise _Invalid("it would never expire")
            return claims
        raise _Invalid("no signature by a key of the provider")

    def _candidates(self, name: Any) -> list[jwt.PyJWK]:
        """Return the keys of this name, or all for a token that names none."""
        with self._lock:
            age = time.monotonic() - self._fetched
            found = self._named(name)
            if age > self._settings.keys_ttl or (not found and age > _REFETCH):
                self._fetch()
                found = self._named(name)
            return found

    def _named(self, name: Any) -> list[jwt.PyJWK]:
        return [key for key in self._keys if name is None or key.key_id == name]

    def _fetch(self) -> None:
        """Fetch the keys; those of before go on to be used when that fails."""
        settings = self._settings
        try:
            found = fetch_json(Request(settings.jwks_url), settings.timeout, self._context)
        except RequestFailed as error:
            if not self._keys:
                raise
            log.error("the provider's keys cannot be fetched again: %s", error)
        else:
            self._keys = list(_usable(found))
        self._fetched = time.monotonic()


class _Known:
    """What tokens said that were checked not long ago, by a keyed digest of each."""

    def __init__(self, settings: OAuthSettings) -> None:
        self._ttl = settings.cache_ttl
        self._size = settings.cache_size
        self._key = os.urandom(32)
        self._lock = threading.Lock()
        self._claims: OrderedDict[bytes, tuple[Claims, float]] = OrderedDict()

    def find(self, token: str) -> Claims | None:
        claims, expiry = self._claims.get(self._digest(token), (None, 0.0))
        return claims if time.monotonic() < expiry else None

    def add(self, token: str, claims: Claims) -> None:
        with self._lock:
            self._claims[self._digest(token)] = (claims, time.monotonic() + self._ttl)
            while len(self._claims) > self._size:
                self._claims.popitem(last=False)

    def _digest(self, token: str) -> bytes:
        return hmac.digest(self._key, token.encode(), "sha256")


#: Only the signature is left to the library: what tokens say is checked in one place for all.
_UNCHECKED: jwt.types.Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


def _usable(found: Any) -> list[jwt.PyJWK]:
    """Return the keys of a set that we know how to use (RFC 7517 §5: others are ignored)."""
    rows = found.get("keys") if isinstance(found, dict) else None
    keys = []
    for row in rows[:_MOST_KEYS] if isinstance(rows, list) else ():
        try:
            key = jwt.PyJWK.from_dict(row)
        except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
            continue
        if key.algorithm_name in ALGORITHMS and row.get("use", "sig") == "sig":
            keys.append(key)
    return keys


def _check_times(claims: Claims, now: float, leeway: float) -> None:
    """RFC 7519 §4.1.4, §4.1.5: ``exp`` and ``nbf``, seconds since 1970."""
    for name, late in (("exp", True), ("nbf", False)):
        value = claims.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _Invalid(f"{name} is no time")
        if now - leeway >= value if late else now + leeway < value:
            raise _Invalid("it has expired" if late else "it is not valid yet")


def _words(value: Any) -> list[str]:
    """Return the words of a claim: a list of them, or text with spaces between."""
    if isinstance(value, str):
        return value.split()
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _basic(settings: OAuthSettings) -> str:
    """Return the credentials for the provider, in the form of RFC 6749 §2.3.1."""
    secret = ""
    if settings.client_secret_file:
        try:
            with open(settings.client_secret_file, encoding="utf-8") as file:
                secret = file.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise RequestFailed(f"client_secret_file: {error}") from error
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
    return "Basic " + b64encode(pair.encode()).decode()


def _tls_context(settings: OAuthSettings) -> ssl.SSLContext:
    """Trust what the settings name; nothing is loaded where no URL needs it."""
    urls = (settings.jwks_url, settings.introspection_url)
    if not any(url.startswith("https:") for url in urls):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context(cafile=settings.ca_file or None)
