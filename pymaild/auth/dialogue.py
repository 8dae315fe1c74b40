"""The dialogue of a login, the same in IMAP (RFC 3501 §6.2.2) and POP3 (RFC 5034 §4).

Each protocol has its own words for what goes wrong here.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace

from pymaild.auth.client import Accepted, Answer, AuthClient, Challenge, Facts, Rejected
from pymaild.core.errors import Code, Refused
from pymaild.core.session import SessionRecord

#: Octets of one response: more than any token has, less than a frame to the auth role.
LONGEST = 32 * 1024


class Broken(ValueError):
    """The client cancelled with "*", or sent what is not base64 or too long."""


def decoded(text: bytes) -> bytes:
    """Return what base64 says. Raises Broken."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise Broken("That is not base64") from None
    if len(data) > LONGEST:
        raise Broken("That is too long")
    return data


def initial_response(word: bytes) -> bytes:
    """Return an initial response: a lone "=" is one without content (RFC 4959 §3, RFC 5034 §4)."""
    return b"" if word == b"=" else decoded(word)


def user_name(text: bytes) -> str:
    """Return a user name given in a command. Raises Refused."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Refused(Code.AUTHENTICATIONFAILED, "That is no user name") from None


def facts(record: SessionRecord) -> Facts:
    """Return what the auth role wants to know of a connection."""
    tls = record.tls
    return Facts(
        record.protocol,
        record.peer.address,
        tls is not None,
        record.id,
        tls.exporter if tls else b"",
        tls.client_name if tls else "",
    )


def who(record: SessionRecord) -> str:
    """Describe for the log who has logged in, and as whom."""
    name = record.user.name if record.user else ""
    master = f" master={record.master!r}" if record.master else ""
    tls = record.tls is not None
    return f"user={name!r} address={record.peer.address} tls={tls} session={record.id}{master}"


def relay(
    client: AuthClient,
    record: SessionRecord,
    mechanism: str,
    initial: bytes | None,
    ask: Callable[[bytes], bytes],
) -> Accepted | Rejected:
    """Carry challenges and responses until there is a verdict.

    ``ask`` sends a line of base64 and returns the client's line. Raises Broken, and what ``ask``
    raises; then the auth role forgets the exchange, so that no later session meets it half done.
    """
    answer = client.begin(mechanism, initial, facts(record))
    if record.tls and mechanism.endswith("-PLUS"):
        record.tls = replace(
            record.tls, exporter=b""
        )  # RFC 9266 §4.1: for one exchange on a connection
    try:
        while isinstance(answer, Challenge):
            line = ask(b64encode(answer.data))
            if line == b"*":
                raise Broken("Authentication was cancelled")
            answer = client.respond(decoded(line))
    except BaseException:
        client.cancel()
        raise
    return answer


def verdict(client: AuthClient, answer: Answer) -> Accepted | Rejected:
    """Return the outcome of a password; one that asks for more is none. Raises Refused."""
    if isinstance(answer, Challenge):
        client.cancel()
        raise Refused(Code.AUTHENTICATIONFAILED, "The mechanism asks for more than it may")
    return answer
