"""ENVELOPE (RFC 9051 §7.5.2) and the address parser (RFC 5322 §3.4, §4.4)."""

from __future__ import annotations

import re
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime._address import Budget, addresses
from pymaild.mime.envelope import MAX_ADDRESSES, envelope

from .samples import well_formed
from .shapes import read, read_envelope

NO_HOST = b"MISSING_DOMAIN"
NO_BOX = b"MISSING_MAILBOX"
END = [None, None, None, None]


def one(
    box: bytes | None, host: bytes | None, name: bytes | None = None, route: bytes | None = None
) -> list[Any]:
    return [name, route, box, host]


def group(name: bytes, *members: list[Any]) -> list[Any]:
    return [one(name, None), *members, END]


ADDRESSES: dict[bytes, list[Any] | None] = {
    # RFC 5322 §3.4
    b"a@b": [one(b"a", b"b")],
    b"<a@b>": [one(b"a", b"b")],
    b"Ann Bell <a@b>": [one(b"a", b"b", b"Ann Bell")],
    b'"Bell, Ann" <a@b>': [one(b"a", b"b", b"Bell, Ann")],
    b'"a \\"b\\" \\\\" <a@b>': [one(b"a", b"b", b'a "b" \\')],
    b'Ann "the B" Bell<a@b>': [one(b"a", b"b", b"Ann the B Bell")],
    b"Ann B. Bell <a@b>": [one(b"a", b"b", b"Ann B. Bell")],
    b"a@b, c@d ,<e@f>": [one(b"a", b"b"), one(b"c", b"d"), one(b"e", b"f")],
    b'"a b"@c': [one(b"a b", b"c")],
    b'"a@b"@c': [one(b"a@b", b"c")],
    b"a@[192.0.2.1]": [one(b"a", b"[192.0.2.1]")],
    b"a@[IPv6:2001:db8::1]": [one(b"a", b"[IPv6:2001:db8::1]")],
    b"Ann\r\n\tBell\r\n <a@b>\r\n": [one(b"a", b"b", b"Ann Bell")],
    b'"Ann\r\n Bell" <a@b>': [one(b"a", b"b", b"Ann Bell")],
    # Groups
    b"g:;": group(b"g"),
    b"undisclosed recipients: ;": group(b"undisclosed recipients"),
    b"g: a@b, C <c@d>;": group(b"g", one(b"a", b"b"), one(b"c", b"d", b"C")),
    b"g: a@b; c@d": [*group(b"g", one(b"a", b"b")), one(b"c", b"d")],
    b"x@y, g:;, z@w": [one(b"x", b"y"), *group(b"g"), one(b"z", b"w")],
    b"g: a@b": group(b"g", one(b"a", b"b")),
    b"g: h: a@b;": [*group(b"g"), *group(b"h", one(b"a", b"b"))],
    b":;": group(b""),
    # Comments
    b"a@b (Ann Bell)": [one(b"a", b"b", b"Ann Bell")],
    b"a@b (Ann (the) \\(B\\))": [one(b"a", b"b", b"Ann (the) (B)")],
    b"(before) a@b": [one(b"a", b"b")],
    b"Ann (the) Bell (B) <a@b> (c)": [one(b"a", b"b", b"Ann Bell")],
    b"a(c)@(d)b(e), c@d": [one(b"a", b"b", b"e"), one(b"c", b"d")],
    b"a@b (open, c@d": [one(b"a", b"b", b"open, c@d")],
    b"(only)": None,
    # Obsolete forms, RFC 5322 §4.4
    b"<@r:a@b>": [one(b"a", b"b", None, b"@r")],
    b"N <@r1 , @r2 : a@b>": [one(b"a", b"b", b"N", b"@r1,@r2")],
    b"ann . bell @ b . c": [one(b"ann.bell", b"b.c")],
    b"a@b,,c@d,": [one(b"a", b"b"), one(b"c", b"d")],
    # Encoded words, RFC 2047 §5
    b"=?utf-8?q?Ann?= <a@b>": [one(b"a", b"b", b"=?utf-8?q?Ann?=")],
    b"=?utf-8?q?Bell,_Ann?= <a@b>": [one(b"a", b"b", b"=?utf-8?q?Bell,_Ann?=")],
    b"=?utf-8?b?QW5u?= =?utf-8?b?QmVsbA==?= <a@b>": [
        one(b"a", b"b", b"=?utf-8?b?QW5u?= =?utf-8?b?QmVsbA==?=")
    ],
    b"=?no, c@d": [one(b"=?no", NO_HOST), one(b"c", b"d")],
    # Raw octets go into a literal
    b"Andr\xe9 <a@b>": [one(b"a", b"b", b"Andr\xe9")],
    b"A\0B <a@b>": [one(b"a", b"b", b"A\x80B")],
    b"\xc3\xa9@\xc3\xa8.example": [one(b"\xc3\xa9", b"\xc3\xa8.example")],
    # What is missing
    b"": None,
    b" \r\n": None,
    b",;,": None,
    b"root": [one(b"root", NO_HOST)],
    b"Ann Bell": [one(NO_BOX, NO_HOST, b"Ann Bell")],
    b"Ann <root>": [one(b"root", NO_HOST, b"Ann")],
    b"<>": [one(NO_BOX, NO_HOST)],
    b"Ann <>": [one(NO_BOX, NO_HOST, b"Ann")],
    b"a@": [one(b"a", NO_HOST)],
    b"@b": [one(NO_BOX, b"b")],
    b'"" <a@b>': [one(b"a", b"b")],
    # What is too much
    b"a@b <a@b>": [one(b"a", b"b", b"a@b")],
    b"Ann a@b": [one(b"a", b"b", b"Ann")],
    b"a@b Ann, c@d": [one(b"a", b"b"), one(b"c", b"d")],
    b"a@b@c": [one(b"a@b", b"c")],
    b"Ann <a@b, c@d": [one(b"a", b"b", b"Ann"), one(b"c", b"d")],
    b"Ann <a@b> junk <x@y>, c@d": [one(b"a", b"b", b"Ann"), one(b"c", b"d")],
    b"<<a@b>>, c@d": [one(b"a", b"b"), one(b"c", b"d")],
    b"a@b; c@d": [one(b"a", b"b"), one(b"c", b"d")],
    b'"open <a@b>': [one(b"open <a@b>", NO_HOST)],
    b"a@[open, c@d": [one(b"a", b"[open"), one(b"c", b"d")],
    b">a@b": [one(b"a", b"b")],
    b'"Ann  \t Bell"   <a@b>': [one(b"a", b"b", b"Ann Bell")],
}


@pytest.mark.parametrize("value", ADDRESSES)
def test_addresses(value: bytes) -> None:
    assert read(addresses([value], Budget(99))) == ADDRESSES[value]


@pytest.mark.parametrize("value", ADDRESSES)
def test_addresses_cut_off(value: bytes) -> None:
    """Any beginning of a value gives a list of addresses, and no octets behind it are read."""
    for end in range(len(value)):
        found = read(addresses([value[:end]], Budget(99)))
        assert found is None or all(len(address) == 4 for address in found)


def test_all_fields() -> None:
    """Members in order, from whole header fields."""
    header = (
        b"Message-ID: <i@x>\r\nIn-Reply-To: <r@x>\r\n\t<s@x>\r\n"
        b'DATE: Mon, 1 Jan 2024 10:00:00 +0000\r\nSubject: a "b" \\c\r\n'
        b"From: f@x\r\nSender: s@x\r\nReply-To: r@x\r\nTo: t@x\r\n"
        b"Cc: c@x\r\nbcc: b@x\r\n\r\nSubject: not this\r\n"
    )
    assert read_envelope(header) == [
        b"Mon, 1 Jan 2024 10:00:00 +0000",
        b'a "b" \\c',
        *([one(box, b"x")] for box in (b"f", b"s", b"r", b"t", b"c", b"b")),
        b"<r@x> <s@x>",
        b"<i@x>",
    ]


def test_absent_and_empty() -> None:
    """RFC 9051 §7.5.2: absent is NIL; an empty string field is "", an empty list NIL."""
    assert read_envelope(b"") == [None] * 10
    empty = (
        b"Date:\nSubject: \nFrom:\nSender:\nReply-To:\nTo:\nCc:\nBcc:\nIn-Reply-To:\nMessage-ID:\n"
    )
    assert read_envelope(empty) == [b"", b"", *[None] * 6, b"", b""]


@pytest.mark.parametrize("header", [b"From: f@x\n", b"From: f@x\nSender:\nReply-To: ,\n"])
def test_sender_and_reply_to_default_to_from(header: bytes) -> None:
    """RFC 9051 §7.5.2: an absent or empty Sender or Reply-To is the From."""
    author = [one(b"f", b"x")]
    assert read_envelope(header)[2:5] == [author] * 3


def test_repeated_fields() -> None:
    """Of strings the first counts; address fields read as one list."""
    values = read_envelope(b"Subject: 1\nTo: a@x\nSubject: 2\nTO: b@x\nTo: g: c@x\nTo: d@x\n")
    assert values[1] == b"1"
    assert values[5] == [
        one(b"a", b"x"),
        one(b"b", b"x"),
        *group(b"g", one(b"c", b"x")),
        one(b"d", b"x"),
    ]


def test_strings() -> None:
    """A string that cannot be quoted is a literal; NUL becomes 0x80, blanks in Subject one."""
    assert envelope(b"Subject: caf\xe9\n").startswith(b"(NIL {4}\r\ncaf\xe9 NIL")
    assert envelope(b"Subject: a\0b\n").startswith(b"(NIL {3}\r\na\x80b NIL")
    assert envelope(b"Subject: a\rb\n").startswith(b"(NIL {3}\r\na\rb NIL")
    assert envelope(b"Subject:  a \t b\r\n\tc \r\n").startswith(b'(NIL "a b c" NIL')
    assert envelope(b"Subject: " + b"x" * 5000).startswith(b"(NIL {5000}\r\nxxx")


def simple(values: list[str]) -> bool:
    """Whether getaddresses reads the fields as we do: whole addresses and nothing odd."""
    return not any(
        set(value) & set(";:(\\[") or not value.isascii() or re.search("@[^,>]*<", value)
        for value in values
    ) and all("@" in address for _, address in getaddresses(values))


def theirs(values: list[str]) -> Any:
    return [
        [name.encode() or None, None, *map(str.encode, address.rpartition("@")[::2])]
        for name, address in getaddresses(values)
    ]


def single_spaced(text: str) -> str:
    return " ".join(text.split())


def test_against_the_email_package() -> None:
    """Over all samples: the same strings and the same addresses."""
    compared = 0
    for data, message in well_formed():
        values = read_envelope(data)
        for place, name in ((0, "Date"), (1, "Subject"), (9, "Message-ID")):
            raw = message.get(name)
            if isinstance(raw, str):
                assert values[place].decode() == single_spaced(raw)
        for place, name in ((2, "From"), (5, "To"), (6, "Cc")):
            fields = [single_spaced(value) for value in map(str, message.get_all(name, []))]
            if simple(fields):
                assert values[place] == (theirs(fields) or None)
                compared += 1
    assert compared > 150


def test_bounded() -> None:
    """A header made to grow is cut at a number of addresses, over all fields together."""
    header = b"From: " + b"a," * 30_000 + b"\nTo: " + b"g:;" * 30_000 + b"\nCc: x@y\n"
    wire = envelope(header)
    assert wire.count(b"MISSING_DOMAIN") == 3 * MAX_ADDRESSES
    assert len(wire) < 2_000_000
    assert read(wire)[5:8] == [None, None, None]


@pytest.mark.parametrize(
    "unit",
    [
        b"<",
        b"<@a,",
        b"[",
        b"(",
        b'"',
        b"=?a?q?",
        b"=?",
        b"a@",
        b":",
        b"\\",
        b"a <",
        b"\r\n ",
        b"(a",
    ],
)
def test_hostile(unit: bytes) -> None:
    """What makes a parser look ahead again and again is read once."""
    header = b"To: " + unit * ((1 << 20) // len(unit)) + b"\n"
    read_envelope(header)


FIELD = st.sampled_from([b"From", b"To", b"Cc", b"Subject", b"Date", b"Sender", b"X"])
VALUE = st.lists(
    st.sampled_from(
        [bytes([octet]) for octet in b'@<>,;:"()\\[]. \r\0\xff']
        + [b"a", b"b.c", b"\n ", b"\r\n\t", b"=?utf-8?q?x,?="],
    ),
    max_size=25,
).map(b"".join)


@given(st.lists(st.tuples(FIELD, VALUE), max_size=6))
def test_anything(fields: list[tuple[bytes, bytes]]) -> None:
    """No header raises or gives what the grammar does not allow."""
    read_envelope(b"".join(name + b": " + value + b"\r\n" for name, value in fields))


@given(st.binary(max_size=200))
def test_any_octets(data: bytes) -> None:
    read_envelope(data)
    read_envelope(b"From: " + data)
