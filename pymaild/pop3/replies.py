"""Status lines and response codes."""

from __future__ import annotations

from pymaild.core.errors import Code, Refused

_LONGEST = 512 - 2  # RFC 2449 §4: the first line of a response, without its CRLF

IN_USE = "IN-USE"  # RFC 2449 §8.1.2
TEMPORARY = "SYS/TEMP"  # RFC 3206 §4
PERMANENT = "SYS/PERM"  # RFC 3206 §4
CREDENTIALS = "AUTH"  # RFC 3206 §5

#: Response codes for refusals; a code that is not here has none in POP3.
_CODES: dict[Code, str] = {
    Code.INUSE: IN_USE,
    Code.AUTHENTICATIONFAILED: CREDENTIALS,
    Code.AUTHORIZATIONFAILED: CREDENTIALS,
    Code.EXPIRED: CREDENTIALS,
    Code.PRIVACYREQUIRED: CREDENTIALS,
    Code.UNAVAILABLE: TEMPORARY,
    Code.LIMIT: TEMPORARY,
    Code.OVERQUOTA: TEMPORARY,
    Code.SERVERBUG: TEMPORARY,
    Code.CORRUPTION: PERMANENT,
    Code.CONTACTADMIN: PERMANENT,
    Code.NOPERM: PERMANENT,
    Code.NONEXISTENT: PERMANENT,
}


def ok(text: str) -> bytes:
    """A positive status line; ``text`` is ASCII and does not begin with "["."""
    return _line("+OK " + text)


def err(text: str, code: str = "") -> bytes:
    """A negative status line, with a response code where one fits (RFC 2449 §8)."""
    return _line(f"-ERR [{code}] {text}" if code else "-ERR " + text)


def refusal(refused: Refused) -> bytes:
    """The reply that a refusal carries."""
    return err(refused.text, _CODES.get(refused.code, "") if refused.code else "")


def _line(text: str) -> bytes:
    printable = text.encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ")
    return printable[:_LONGEST] + b"\r\n"
