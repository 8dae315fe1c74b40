"""The dialogue of a login, the same in IMAP (RFC 3501 §6.2.2) and POP3 (RFC 5034 §4).

Each protocol has its own words for what goes wrong here.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable

from pymaild.auth.client import Accepted, Answer, AuthClient, Challenge, Facts, Rejected
from pymaild.core.errors import Code, Refused


class Broken(ValueError):
    """The client cancelled with "*", or sent what is not base64."""


def decoded(text: bytes) -> bytes:
    """Return what base64 says. Raises Broken."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise Broken("That is not base64") from None


def initial_response(word: bytes) -> bytes:
    """Return an initial response: a lone "=" is one without content (RFC 4959 §3, RFC 5034 §4)."""
    return b"" if word == b"=" else decoded(word)


def user_name(text: bytes) -> str:
    """Return a user name given in a command. Raises Refused."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Refused(Code.AUTHENTICATIONFAILED, "That is no user name") from None


def relay(
    client: AuthClient,
    mechanism: str,
    initial: bytes | None,
    facts: Facts,
    ask: Callable[[bytes], bytes],
) -> Accepted | Rejected:
    """Carry challenges and responses until there is a verdict.

    ``ask`` sends a line of base64 and returns the client's line. Raises Broken, and what ``ask``
    raises; then the auth role forgets the exchange, so that no later session meets it half done.
    """
    answer = client.begin(mechanism, initial, facts)
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
