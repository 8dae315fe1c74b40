"""Addresses of MAIL and RCPT, and what they say about users and folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# RFC 5321 §4.1.2. Dots may stand anywhere in a local part: some providers have given out such
# addresses, and their mail must arrive. RFC 6531 §3.3 adds what is not ASCII.
_ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u0080-\U0010ffff-]+"
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"'
_DOMAIN = r"[A-Za-z0-9_\u0080-\U0010ffff](?:[A-Za-z0-9_.\u0080-\U0010ffff-]*)"
_LITERAL = r"\[[!-Z^-~]+\]"
_ROUTE = r'(?:@[^:<>"\s]+:)?'  # RFC 5321 appendix C: accepted and ignored
_PATH = re.compile(
    rf"<{_ROUTE}(?P<local>{_ATOMS}|{_QUOTED})(?:@(?P<domain>{_DOMAIN}|{_LITERAL}))?>"
)
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = re.compile(_ATOMS)

_LONGEST = 512  # twice what RFC 5321 §4.5.3.1.3 asks for


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox. ``local`` is without quotes; ``domain`` is "" for <alice> and <postmaster>."""

    local: str
    domain: str

    def __str__(self) -> str:
        local = self.local if _PLAIN.fullmatch(self.local) else _quoted(self.local)
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def ascii(self) -> bool:
        """Whether it can do without SMTPUTF8."""
        return self.local.isascii() and self.domain.isascii()

    @property
    def postmaster(self) -> bool:
        """RFC 5321 §4.5.1: the one name that is reserved, in any case."""
        return self.local.lower() == "postmaster"


def _quoted(local: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'


def parse_path(text: str) -> tuple[Address | None, str]:
    """Read a path from the start of ``text``; return it and what follows it.

    The null path ``<>`` is None. Raises ValueError.
    """
    if text.startswith("<>"):
        return None, text[2:]
    match = _PATH.match(text)
    if match is None or match.end() > _LONGEST or not match[0].isprintable():
        raise ValueError("not a path")
    local = match["local"]
    if local.startswith('"'):
        local = _ESCAPED.sub(r"\1", local[1:-1])
    return Address(local, match["domain"] or ""), text[match.end() :]


def candidates(address: Address, separators: str, names: str) -> Iterator[tuple[str, str]]:
    """The users that an address may mean, best first, each with its folder or ""."""
    base, folder = _split(address.local, separators)
    if address.domain and names in ("any", "address"):
        yield f"{base}@{address.domain}", folder
    if names in ("any", "local") or not address.domain:
        yield base, folder


def _split(local: str, separators: str) -> tuple[str, str]:
    places = [place for place in map(local.find, separators) if place > 0]
    if not places:
        return local, ""
    return local[: min(places)], local[min(places) + 1 :]
