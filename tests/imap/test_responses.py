"""Pieces of replies, and that any input leads to lawful ones."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymaild.core.errors import Code, Refused
from pymaild.imap import responses
from pymaild.imap.commands import COMMANDS
from tests.imap.conftest import ImapBench

STRINGS = [
    (b"", b'""'),
    (b"a b", b'"a b"'),
    (b'a"\\', b'"a\\"\\\\"'),
    (b"a\rb", b"{3}\r\na\rb"),
    (b"\xc3\xbc", b"{2}\r\n\xc3\xbc"),
    (b"x" * 1000, b'"' + b"x" * 1000 + b'"'),
    (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
]


@pytest.mark.parametrize(("value", "wire"), STRINGS)
def test_string(value: bytes, wire: bytes) -> None:
    assert responses.string(value) == wire
    assert responses.nstring(value) == wire


ASTRINGS = [
    (b"bob", b"bob"),
    (b"-bob@example.org", b"-bob@example.org"),
    (b"a]b", b"a]b"),
    (b"", b'""'),
    (b"a b", b'"a b"'),
    (b"nil", b'"nil"'),
    (b"a*", b'"a*"'),
    (b'a"b', b'"a\\"b"'),
    (b"a{3}", b'"a{3}"'),
    (b"\xc3\xbc", b"{2}\r\n\xc3\xbc"),
]


@pytest.mark.parametrize(("value", "wire"), ASTRINGS)
def test_astring(value: bytes, wire: bytes) -> None:
    assert responses.astring(value) == wire


def test_nil() -> None:
    assert responses.nstring(None) == b"NIL"


SETS = [
    ([], b""),
    ([1], b"1"),
    ([1, 2, 3], b"1:3"),
    ([5, 1, 2, 9, 8], b"5,1:2,9,8"),
    ([1, 1], b"1,1"),
]


@pytest.mark.parametrize(("values", "wire"), SETS)
def test_sequence_set(values: list[int], wire: bytes) -> None:
    """RFC 4315 §3: the order says which UID became which."""
    assert responses.sequence_set(values) == wire


@given(st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)))
def test_date_time(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=0)
    seconds = round((moment - datetime.datetime(1970, 1, 1)).total_seconds())
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[moment.month * 3 - 3 : moment.month * 3]
    wanted = f'"{moment.day:2}-{month}-{moment.year:04} {moment:%H:%M:%S} +0000"'
    assert responses.date_time(seconds) == wanted.encode()


@given(st.text())
def test_text_is_one_line_of_ascii(line: str) -> None:
    wire = responses.text(line)
    assert wire
    assert all(32 <= octet < 127 for octet in wire)


def test_refusal() -> None:
    assert responses.refusal(Refused(Code.LIMIT, "Too many")) == b"[LIMIT] Too many"
    assert responses.refusal(Refused(None, "No")) == b"No"


WORDS = st.sampled_from(
    (
        *(row.name.encode() for row in COMMANDS.values() if row.name not in ("LOGOUT", "IDLE")),
        *(b"INBOX", b"Archive", b"nowhere", b'""', b'"*"', b"*", b"%", b"1", b"1:*", b"2,3", b"7"),
        *(b"(", b")", b" ", b" ", b" ", b"(\\Seen $Work)", b"FLAGS", b"+FLAGS.SILENT", b"ALL"),
        *(b"BODY[]", b"BODY.PEEK[1.2.MIME]<0.9>", b"(UID ENVELOPE)", b"BODY[HEADER.FIELDS", b"]"),
        *(b"(MESSAGES SIZE)", b"RETURN (MIN ALL)", b"CHARSET utf-8", b"NOT", b"OR", b"SUBJECT"),
        *(b"TEXT", b"x", b"\xc3\xbc", b"&", b"{3+}\r\nabc", b"{20+}\r\nSubject: x\r\n\r\nbody\r\n"),
        *(b'"1-Jan-2020"', b'" 1-Jan-2020 00:00:00 +0000"', b"~{2+}\r\n\0\0", b"{", b"\\", b"\x01"),
    )
)
LINES = st.lists(st.lists(WORDS, max_size=7).map(b"".join), min_size=1, max_size=6)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(LINES)
def test_any_input_is_answered(mail: ImapBench, lines: list[bytes]) -> None:
    """No bug, no hang, no lost step: behind any line a NOOP is answered under its tag."""
    mail.configure(max_bad=1000)
    client = mail.select()
    for line in lines:
        client.send(b"x " + line + b"\r\nx NOOP\r\n")
    client.send(b"last NOOP\r\n")
    while (reply := client.read()).tag != "last":
        assert reply.tag in ("*", "x", "+")
    assert reply.name == "OK"
    assert mail.board.counts["bugs"] == 0
    client.send(b"bye LOGOUT\r\n")
    assert client.finish("bye").status == "OK"
    client.wait()
