"""Settings of access tokens."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import urlsplit

from pymaild.core.errors import ConfigError
from pymaild.core.settings import Duration, FilePath, setting


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """Access tokens, for the mechanisms OAUTHBEARER and XOAUTH2.

    Tokens are checked with `jwks_url`, `introspection_url` or both; without either the two
    mechanisms are not offered.
    """

    SECTION: ClassVar[str] = "auth.oauth"

    issuer: str = setting(
        "", "Who must have issued a token (its `iss`), as the provider writes it. Empty: anyone."
    )
    audience: tuple[str, ...] = setting(
        (),
        "Whom a token must be for: one of these names must be in its `aud`. Empty: anyone. Set "
        "it wherever the provider issues tokens for other services too.",
    )
    scopes: tuple[str, ...] = setting(
        (), "What a token must allow: all of these must be in its `scope`."
    )
    user_claim: str = setting(
        "email", "The claim of a token that holds the user's name, such as `sub` or `username`."
    )
    jwks_url: str = setting(
        "",
        "Where the provider publishes its keys (RFC 7517). Tokens that are JSON Web Tokens are "
        "checked with these, without asking about each.",
    )
    introspection_url: str = setting("", "Where the provider answers what a token is (RFC 7662).")
    client_id: str = setting("", "The name of this server at `introspection_url`.")
    client_secret_file: FilePath = setting(
        FilePath(""), "File with the password for it, in its first line."
    )
    ca_file: FilePath = setting(
        FilePath(""),
        "File with the authorities that the provider's certificate is checked with, in PEM form. "
        "Empty: those of this host.",
    )
    openid_configuration: str = setting(
        "", "URL that clients without a valid token are sent to (RFC 7628 section 3.2.2)."
    )
    timeout: Duration = setting(
        Duration(5.0), "How long the provider may take for an answer.", low=0.1, high=60
    )
    requests: int = setting(
        4, "How many questions to the provider may be under way at the same time.", low=1, high=64
    )
    queue: int = setting(
        64, "How many logins may wait for that; more are told to try again later.", low=1
    )
    cache_ttl: Duration = setting(
        Duration(60.0),
        "How long the provider's word on a token is believed without asking again. A token that "
        "was taken back is good for so long. 0: always ask.",
        low=0,
    )
    cache_size: int = setting(10_000, "How many tokens are remembered.", low=0)
    keys_ttl: Duration = setting(
        Duration(3600.0),
        "How long the provider's keys are used without fetching them again.",
        low=60,
    )
    leeway: Duration = setting(
        Duration(30.0), "How much the provider's clock may differ from ours.", low=0, high=600
    )

    def __post_init__(self) -> None:
        for name in ("jwks_url", "introspection_url"):
            if getattr(self, name) and not _secure(getattr(self, name)):
                raise ConfigError(f"{name}: must be https, or http to this host")

    @property
    def possible(self) -> bool:
        """Whether there is anybody who can check a token."""
        return bool(self.jwks_url or self.introspection_url)


def _secure(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018  # raises ValueError for a port that is none
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
    return parts.scheme == "http" and local
