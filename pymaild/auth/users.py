"""What is known of a user, and where users are looked for."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pymaild.auth.names import expand, split_name
from pymaild.auth.schemes import make_decoy
from pymaild.auth.settings import AuthSettings
from pymaild.core.session import User

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One user of a source. ``stored`` is the password as schemes knows it.

    ``login`` false: mail is delivered, nobody logs in. ``networks``: where logins may come
    from, None for everywhere. ``expired``: the password is right and of no use any more.
    ``private``: logins are for connections with TLS only.
    """

    user: User
    stored: str
    login: bool = True
    networks: tuple[Network, ...] | None = None
    expired: bool = False
    private: bool = False

    def admits(self, address: str) -> bool:
        """Tell whether a login may come from ``address`` ("": a Unix socket)."""
        if self.networks is None:
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(mapped in network for network in self.networks)


class SourceUnavailable(Exception):
    """A source cannot be read now: neither "no such user" nor "wrong password" is known."""


class Source(Protocol):
    """A place that has users."""

    def find(self, name: str) -> Entry | None:
        """Return the user of this prepared name. Raises SourceUnavailable."""

    def stored(self) -> Sequence[str]:
        """Return the stored passwords of all users. Raises SourceUnavailable."""


class Directory:
    """All sources in their order, and the decoys for names that none of them has."""

    def __init__(self, settings: AuthSettings, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._domain = settings.default_domain.lower()
        self._key = os.urandom(32)
        self._decoy = make_decoy(
            settings.hash_memory, settings.hash_time, settings.hash_parallelism
        )

    def find(self, name: str) -> Entry | None:
        """Return the user of this prepared name. Raises SourceUnavailable."""
        for candidate in self._names(name):
            for source in self._sources:
                entry = source.find(candidate)
                if entry is not None:
                    return entry
        return None

    def stored(self) -> list[Sequence[str]]:
        """Return the stored passwords of each source. Raises SourceUnavailable."""
        return [source.stored() for source in self._sources]

    def decoy(self, name: str) -> str:
        """Return the stored password that an unknown name is compared with, always the same.

        It is the one of some other user, so that unknown names take as long, and differ among
        each other as much, as known ones; who happens to know that password is told no more.
        """
        total = [stored for source in self.stored() for stored in source[:_SAMPLE]]
        digest = hmac.digest(self._key, name.encode("utf-8", "surrogatepass"), "sha256")
        return total[int.from_bytes(digest[:8]) % len(total)] if total else self._decoy

    def short(self, name: str) -> str:
        """Return a prepared name without the domain that need not be named."""
        local, domain = split_name(name)
        return local if domain and domain == self._domain else name

    def _names(self, name: str) -> list[str]:
        local, domain = split_name(name)
        if not self._domain:
            return [name]
        if not domain:
            return [name, f"{name}@{self._domain}"]
        return [name, local] if domain == self._domain else [name]


def mail_root(settings: AuthSettings) -> str:
    """Return the directory below which virtual users have their mail."""
    return os.path.dirname(settings.mail_path.partition("{")[0])


_SAMPLE = 4096  # passwords of a source that decoys are taken from


def mail_path(settings: AuthSettings, name: str, home: str) -> str:
    """Return the Maildir of a user, or the directory of the mboxes.

    Raises ValueError where the settings give no safe one.
    """
    if home and settings.home_mail:
        if not home.startswith("/"):
            raise ValueError("the home directory is not an absolute path")
        return f"{home.rstrip('/')}/{settings.home_mail}"
    return expand(settings.mail_path, name)


def inbox_path(settings: AuthSettings, name: str) -> str:
    """Return the mbox of a user's new mail, "" where there is none. Raises ValueError."""
    return expand(settings.mbox_inbox, name) if settings.mail_format == "mbox" else ""
