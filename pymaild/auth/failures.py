"""The one line that tells of a failed login. Its form is fixed: fail2ban filters read it.

    auth failure: user=<alice> address=192.0.2.1 protocol=imap mechanism=PLAIN
    reason=password session=4f2a

(one line). It goes to logger ``pymaild.auth`` at WARNING. Inside ``<>`` everything but
printable ASCII, and also ``<``, ``>``, ``\\`` and the space, is written ``\\xHH`` octet by
octet, so that nothing a client sends can look like another field or line. ``address`` is an IP
literal, or ``-`` for a client on a Unix socket. ``mechanism`` is the SASL mechanism; commands
with a password count as PLAIN. A client that wants to act as another user has that one's name
behind all this: ``as=<bob>``. Later versions may add fields at the end, nothing else.
"""

from __future__ import annotations

import ipaddress
import logging
from enum import StrEnum

from pymaild.auth.answers import Facts

log = logging.getLogger("pymaild.auth")


class Reason(StrEnum):
    """Why a login failed; the client is not told the difference between the first four."""

    UNKNOWN_USER = "unknown-user"
    PASSWORD = "password"
    MALFORMED = "malformed"  # a response that its mechanism does not have, an invalid name
    HASH = "hash"  # the stored password is of no use here: the administrator's to mend
    TOKEN = "token"  # not valid, or not any more, or not for this
    BINDING = "binding"  # not bound to this TLS connection (RFC 5802 §6)
    AUTHORIZATION = "authorization"  # proven, but for another user's mail
    NO_LOGIN = "no-login"
    NETWORK = "network"
    EXPIRED = "expired"
    CLEAR_TEXT = "clear-text"


#: The message for fail2ban; only reasons that a guesser causes. In a filter it stands behind
#: what the log puts in front, as in ``^\s*(?:\S+ )?pymaild\[\d+\]:? warning: auth: ``.
FAILREGEX = (
    r"auth failure: user=<[^<> ]*> address=<HOST> protocol=\w+ mechanism=[\w-]+ "
    r"reason=(?:unknown-user|password|malformed)(?: |$)"
)

_LONGEST = 255
_ORDINARY = frozenset(range(0x21, 0x7F)) - frozenset(b"<>\\")


def log_failure(user: str, mechanism: str, reason: Reason, facts: Facts, wanted: str = "") -> None:
    """Write the line; ``wanted`` is the authorization identity, if any was given."""
    log.warning(
        "auth failure: user=<%s> address=%s protocol=%s mechanism=%s reason=%s session=%s%s",
        escape(user),
        _address(facts.address),
        _word(facts.protocol),
        _word(mechanism),
        reason,
        _word(facts.session),
        f" as=<{escape(wanted)}>" if wanted else "",
    )


def escape(text: str) -> str:
    """Return ``text``, shortened, as printable ASCII without space, ``<``, ``>``."""
    octets = text[:_LONGEST].encode("utf-8", "surrogatepass")
    return "".join(chr(c) if c in _ORDINARY else f"\\x{c:02x}" for c in octets)


def _address(text: str) -> str:
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "-"
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _word(text: str) -> str:
    return escape(text)[:64] or "-"
