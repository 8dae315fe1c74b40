"""Status lines: response codes (RFC 2449 §8, RFC 3206) and their bounds."""

from __future__ import annotations

import pytest

from pymaild.core.errors import Code, Refused
from pymaild.pop3 import replies
from tests.support.rfc import rfc


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.INUSE, b"-ERR [IN-USE] no\r\n"),
        (Code.AUTHENTICATIONFAILED, b"-ERR [AUTH] no\r\n"),
        (Code.PRIVACYREQUIRED, b"-ERR [AUTH] no\r\n"),
        (Code.UNAVAILABLE, b"-ERR [SYS/TEMP] no\r\n"),
        (Code.CORRUPTION, b"-ERR [SYS/PERM] no\r\n"),
        (Code.EXPUNGEISSUED, b"-ERR no\r\n"),
        (None, b"-ERR no\r\n"),
    ],
)
def test_refusals(code: Code | None, expected: bytes) -> None:
    assert replies.refusal(Refused(code, "no", "the log's")) == expected


@pytest.mark.parametrize("start", range(3))
def test_no_character_is_cut_in_two(start: int) -> None:
    """RFC 6856 §3.2: what is said is UTF-8, also where it is too long."""
    told = replies.ok("x" * start + "ü" * 400, say=replies.speech("de"))
    assert len(told) <= 512
    assert len(told) >= 511
    assert told.decode().startswith("+OK " + "x" * start + "ü")


@rfc("2449", "3", 1)
def test_a_status_line_is_one_line_of_512_octets_at_most() -> None:
    """RFC 2449 §4."""
    line = replies.err("a\r\nb\u00e9" + "x" * 1000)
    assert len(line) == 512
    assert line.startswith(b"-ERR a  b?x")
    assert line.count(b"\r\n") == 1
