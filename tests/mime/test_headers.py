"""Header fields: finding, selecting, decoding (RFC 5322 §2.2, RFC 2047, RFC 2231)."""

from __future__ import annotations

import email.header
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime import headers
from pymaild.mime._parameters import parameters
from pymaild.mime.content import content_type, joined
from pymaild.mime.parts import scan
from tests.support import corpus

from .samples import well_formed

HEADER = (
    b"Received: one\r\n\tfolded\r\nSubject : a subject\r\nnot a field\r\nTO: x@y\r\n"
    b": no name\r\nto:\r\nX-Last: \0z\r\n\r\nSubject: of the body\r\n"
)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (b"received", [b"one folded"]),
        (b"SUBJECT", [b"a subject"]),
        (b"To", [b"x@y", b""]),
        (b"not a field", []),
        (b"", []),
        (b"Cc", []),
        (b"x" * 5000, []),
    ],
)
def test_field(name: bytes, values: list[bytes]) -> None:
    assert headers.field(HEADER, name) == values
    assert headers.field(HEADER.replace(b"\r\n", b"\n"), name) == values


@pytest.mark.parametrize("stored", [HEADER, HEADER.replace(b"\r\n", b"\n")])
def test_select(stored: bytes) -> None:
    """RFC 9051 §6.4.5.1: the chosen lines as they are, in order, and the empty line."""
    chosen = headers.select(stored, frozenset({b"TO", b"RECEIVED", b"CC"}))
    assert chosen == b"Received: one\r\n\tfolded\r\nTO: x@y\r\nto:\r\n\r\n"
    others = headers.select(stored, {b"TO", b"RECEIVED", b"CC"}, negate=True)
    assert others == (b"Subject : a subject\r\nnot a field\r\n: no name\r\nX-Last: \x80z\r\n\r\n")
    assert headers.select(stored, frozenset()) == b"\r\n"


def test_select_where_the_header_has_no_empty_line() -> None:
    """RFC 9051 §7.5.2: the line is left out where there is neither body nor empty line."""
    assert headers.select(b"A: 1\nB: 2", frozenset({b"B"})) == b"B: 2\r\n"
    assert headers.select(b"A: 1\n", frozenset({b"B"})) == b""
    assert headers.select(b"", frozenset({b"B"})) == b""


def test_select_keeps_all() -> None:
    """Over all samples: what is selected and what is not make up the header."""
    names = frozenset({b"FROM", b"RECEIVED", b"CONTENT-TYPE"})
    for data in (data for data, _ in well_formed() if b"\n\n" in data):
        header = corpus.crlf(data)[: scan(data).header_crlf]
        assert headers.select(data, frozenset(), negate=True) == header
        chosen = headers.select(data, names).splitlines(keepends=True)
        others = headers.select(data, names, negate=True).splitlines(keepends=True)
        assert chosen.pop() == b"\r\n"
        assert sorted(chosen + others) == sorted(header.splitlines(keepends=True))


def test_field_as_the_email_package() -> None:
    """Over all samples: the same values, but for blanks."""
    for data, message in well_formed():
        raw = message.get_all("Received", [])
        if all(isinstance(value, str) for value in raw):
            found = headers.field(data, b"received")
            assert [value.decode().split() for value in found] == [v.split() for v in raw]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", ""),
        (b" plain \r\n", "plain"),
        (b"a\r\n\t b\n c", "a b c"),
        (b"=?iso-8859-1?Q?J=F6rg_x?=", "Jörg x"),
        (b"=?UTF-8?b?w7Y=?=", "ö"),
        (b"=?utf-8*de?q?=c3=b6?=", "ö"),
        (b"a =?utf-8?q?b?= c", "a b c"),
        (b"=?utf-8?q?a?=  =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?=C3?= =?UTF-8?q?=B6?=", "ö"),
        (b"=?utf-8?q?a?= =?iso-8859-1?q?=F6?=", "aö"),
        (b"(=?utf-8?q?a?=)", "(a)"),
        (b'"=?utf-8?q?a?="', '"a"'),
        (b"=?utf-8?q?with blanks?=", "with blanks"),
        (b"=?utf-8?b?w7Y?=", "ö"),
        (b"=?utf-8?b?w?=", ""),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?unknown?q?=C3=B6?=", "ö"),
        (b"=?us-ascii?q?=F6?=", "ö"),
        (b"=?hex?q?6162?=", "6162"),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?open", "=?utf-8?q?open"),
        (b"=?=?utf-8?q?a?=", "=?a"),
        (b"\xc3\xb6", "ö"),
        (b"\xf6", "ö"),
    ],
)
def test_decode(value: bytes, text: str) -> None:
    """RFC 2047, and what senders make of it."""
    assert headers.decode(value) == text


def test_decode_as_the_email_package() -> None:
    """Over all samples: the same text, but for blanks and raw octets."""
    compared = 0
    for data, message in well_formed():
        raw = message.get("Subject")
        if isinstance(raw, str) and "=?" in raw and raw.isascii():
            theirs = str(email.header.make_header(email.header.decode_header(raw)))
            ours = headers.decode(headers.field(data, b"Subject")[0])
            assert "".join(ours.split()) == "".join(theirs.split())
            compared += 1
    assert compared


@given(st.text(max_size=60))
def test_decode_undoes_encoding(text: str) -> None:
    text = " ".join(text.encode("utf-8", "ignore").decode().split())
    encoded = email.header.Header(text, "utf-8").encode()
    assert "".join(headers.decode(encoded.encode()).split()) == "".join(text.split())


WORDS = st.lists(
    st.sampled_from(
        b"=?|?=|?|q|B|utf-7|utf-8|hz|=C3|*| |\n |+AAA|\xff|=?utf-8?q?|=?euc-jp?b?|a|=".split(b"|")
    ),
    max_size=30,
).map(b"".join)


@given(WORDS | st.binary(max_size=100))
def test_decode_anything(value: bytes) -> None:
    assert len(headers.decode(value)) <= len(value)


@pytest.mark.parametrize(
    "unit", [b"=?a?q?x?= ", b"=?a?z?", b"=?", b"=?a?q? ", b"?=", b"=?utf-7?q?+AAA", b"%", b"\n "]
)
def test_hostile(unit: bytes) -> None:
    """Values made to be searched again and again are read once."""
    value = unit * ((1 << 20) // len(unit))
    headers.decode(value)
    headers.decode(value + b"?=")
    headers.decode_parameters([(b"a*", value)])


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("UTF-8", "utf_8"),
        ("utf8", "utf_8"),
        ("us-ascii", "ascii"),
        ("ISO-8859-1", "cp1252"),
        ("iso_8859-15", "iso8859_15"),
        ("Windows-1251", "cp1251"),
        ("KOI8-R", "koi8_r"),
        ("GB2312", "gb18030"),
        ("Shift_JIS", "shift_jis"),
        ("hex", None),
        ("rot13", None),
        ("zlib", None),
        ("idna", None),
        ("punycode", None),
        ("unicode_escape", None),
        ("", None),
        ("x" * 100_000, None),
    ],
)
def test_codec(name: str, codec: str | None) -> None:
    """Only charsets can be named by a message, never another codec."""
    assert headers.codec(name) == codec


PARAMETERS: dict[bytes, tuple[bytes, list[Any]]] = {
    b"text/plain": (b"text/plain", []),
    b"text/plain;": (b"text/plain", []),
    b"a/b; c=d": (b"a/b", [(b"c", b"d")]),
    b"a/b;c=d;e=f": (b"a/b", [(b"c", b"d"), (b"e", b"f")]),
    b" a / b ; c = d ": (b"a/b", [(b"c", b"d")]),
    b"a/b\r\n\t; c=d\r\n": (b"a/b", [(b"c", b"d")]),
    b'a/b; c="d; \\"e\\" (f)"': (b"a/b", [(b"c", b'd; "e" (f)')]),
    b'a/b; c="d\r\n\te"': (b"a/b", [(b"c", b"d\te")]),
    b'a/b; c=""': (b"a/b", [(b"c", b"")]),
    b"a/b; c=": (b"a/b", [(b"c", b"")]),
    b"a/b; c=d (comment); e=f": (b"a/b", [(b"c", b"d"), (b"e", b"f")]),
    b"(x) a/b (y); (z) c=d": (b"a/b", [(b"c", b"d")]),
    b"a/b c=d": (b"a/b", [(b"c", b"d")]),
    b"a/b; c=d e.f; g=h": (b"a/b", [(b"c", b"d e.f"), (b"g", b"h")]),
    b"a/b; c=d (1).e; g=h": (b"a/b", [(b"c", b"d (1).e"), (b"g", b"h")]),
    b"a/b; c=d\r\n e": (b"a/b", [(b"c", b"d e")]),
    b"a/b; c==d": (b"a/b", [(b"c", b"=d")]),
    b'a/b; c="d" e; f=g': (b"a/b", [(b"c", b"d"), (b"f", b"g")]),
    b'a/b; c="open; d=e': (b"a/b", [(b"c", b"open; d=e")]),
    b"a/b; c=d (open; e=f": (b"a/b", [(b"c", b"d")]),
    b"a/b; c; =d; e=f": (b"a/b", [(b"e", b"f")]),
    b"a/b;;; c=d": (b"a/b", [(b"c", b"d")]),
    b"c=d; e=f": (b"", [(b"c", b"d"), (b"e", b"f")]),
    b"; c=d": (b"", [(b"c", b"d")]),
    b"a": (b"a", []),
    b"": (b"", []),
    b"(only a comment)": (b"", []),
    b'a/b; c="x\\': (b"a/b", [(b"c", b"x\\")]),
}


@pytest.mark.parametrize("value", PARAMETERS)
def test_parameters(value: bytes) -> None:
    """RFC 2045 §5.1, and what senders make of it."""
    assert parameters(value) == PARAMETERS[value]


@given(st.lists(st.sampled_from(list(b'a;="\\()/ \n\r\0')), max_size=25).map(bytes))
def test_parameters_of_anything(value: bytes) -> None:
    main, found = parameters(value)
    assert len(main) + sum(len(name) + len(text) for name, text in found) <= len(value)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ([(b"a", b"1")], [(b"a", b"1")]),
        ([(b"a*0", b"1"), (b"a*1", b"2")], [(b"a", b"12")]),
        ([(b"A*1", b"2"), (b"b", b"x"), (b"a*0", b"1")], [(b"b", b"x"), (b"a", b"12")]),
        ([(b"a*", b"utf-8''%41")], [(b"a*", b"utf-8''%41")]),
        ([(b"a*0*", b"utf-8''%41"), (b"a*1", b"b c")], [(b"a*", b"utf-8''%41b%20c")]),
        ([(b"a*0", b"x"), (b"a*1*", b"%41")], [(b"a*", b"''x%41")]),
        ([(b"a*1", b"2"), (b"a*2", b"3")], [(b"a*1", b"2"), (b"a*2", b"3")]),
        ([(b"a*0", b"1"), (b"a*0", b"2")], [(b"a*0", b"1"), (b"a*0", b"2")]),
        ([(b"a*x", b"1")], [(b"a*x", b"1")]),
        ([(b"a*" + b"9" * 50, b"1")], [(b"a*" + b"9" * 50, b"1")]),
    ],
)
def test_continuations(given_: list[Any], expected: list[Any]) -> None:
    """RFC 2231 §3 and §4: pieces are joined, extended values stay encoded."""
    assert joined(given_) == expected


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (b"filename", b"a b", "a b"),
        (b"filename", b"=?utf-8?q?=C3=B6?=", "ö"),
        (b"filename*", b"utf-8'de'%C3%B6%zz%", "ö%zz%"),
        (b"filename*", b"iso-8859-1''%f6", "ö"),
        (b"filename*", b"%C3%B6", "ö"),
        (b"filename*", b"", ""),
    ],
)
def test_decode_parameters(name: bytes, value: bytes, text: str) -> None:
    assert headers.decode_parameters([(name, value)]) == [("filename", text)]


def test_content_type() -> None:
    assert content_type(None).full == b"text/plain"
    assert content_type(None, b"message/rfc822").full == b"message/rfc822"
    assert content_type([b"Image/PNG; a=b", b"x/y"]) == (b"Image", b"PNG", [(b"a", b"b")])
    for broken in (b"", b"text", b"/plain", b"text/", b"charset=utf-8"):
        assert content_type([broken]).full == b"text/plain"
