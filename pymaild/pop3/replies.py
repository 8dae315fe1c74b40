"""Status lines and response codes."""

from __future__ import annotations

import re
from collections.abc import Callable

from pymaild.core.errors import Code, Refused
from pymaild.core.texts import CATALOGUES

_LONGEST = 512 - 2  # RFC 2449 §4: the first line of a response, without its CRLF

IN_USE = "IN-USE"  # RFC 2449 §8.1.2
LOGIN_DELAY = "LOGIN-DELAY"  # RFC 2449 §8.1.1
TEMPORARY = "SYS/TEMP"  # RFC 3206 §4
PERMANENT = "SYS/PERM"  # RFC 3206 §4
CREDENTIALS = "AUTH"  # RFC 3206 §5
UTF8 = "UTF8"  # RFC 6856 §5

#: Response codes for refusals; a code that is not here has none in POP3.
_CODES: dict[Code, str] = {
    Code.INUSE: IN_USE,
    Code.LOGIN_DELAY: LOGIN_DELAY,
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
    Code.UTF8: UTF8,
}

#: Makes octets of a text for people, in the language of a session.
Say = Callable[[str], bytes]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


def english(text: str) -> bytes:
    """A text as it stands in the code, in ASCII (RFC 1939 §3)."""
    return _CONTROLS.sub(" ", text).encode("ascii", "replace")


def speech(language: str) -> Say:
    """Return what says texts in a language, "" for English."""
    catalogue = CATALOGUES.get(language)
    if catalogue is None:
        return english

    def say(text: str) -> bytes:
        """UTF-8 (RFC 6856 §3.2)."""
        return _CONTROLS.sub(" ", catalogue(text)).encode()

    return say


def ok(text: str, data: str = "", say: Say = english) -> bytes:
    """A positive status line: ``data`` for the program, a text that does not begin with "["."""
    return _line(f"+OK {data} " if data else "+OK ", say(text))


def err(text: str, code: str = "", say: Say = english) -> bytes:
    """A negative status line, with a response code where one fits (RFC 2449 §8)."""
    return _line(f"-ERR [{code}] " if code else "-ERR ", say(text))


def refusal(refused: Refused, say: Say = english) -> bytes:
    """The reply that a refusal carries."""
    return err(refused.text, _CODES.get(refused.code, "") if refused.code else "", say)


def _line(head: str, told: bytes) -> bytes:
    line = head.encode("ascii") + told
    if len(line) > _LONGEST:
        line = line[:_LONGEST].decode("utf-8", "ignore").encode()  # no character is cut
    return line.rstrip() + b"\r\n"
