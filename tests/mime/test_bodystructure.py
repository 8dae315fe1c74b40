"""BODY and BODYSTRUCTURE (RFC 9051 §7.5.2)."""

from __future__ import annotations

from email.message import Message
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime.bodystructure import bodystructure
from pymaild.mime.parts import scan
from tests.support import corpus
from tests.support.rfc import rfc

from .samples import well_formed
from .shapes import read_structure
from .test_scan import LINES

ASCII = [b"charset", b"us-ascii"]
NO_EXTENSION: list[Any] = [None] * 4


def text(size: int, lines: int, parameters: list[bytes] = ASCII) -> list[Any]:
    """A text/plain part without anything else."""
    sizes = [str(size), str(lines)]
    return [b"text", b"plain", parameters, None, None, b"7bit", *sizes, *NO_EXTENSION]


def structure(data: bytes, extended: bool = True) -> Any:
    return read_structure(data, scan(data), extended)


STRUCTURES: dict[str, tuple[bytes, list[Any]]] = {
    "nothing": (b"", text(0, 0)),
    "plain": (b"\na\nb\n", text(6, 2)),
    "last line without its end": (b"\na\nb", text(4, 1)),
    "a type in capitals": (
        b"Content-Type: TEXT/HTML; CHARSET=utf-8\n\nx",
        [b"TEXT", b"HTML", [b"CHARSET", b"utf-8"], None, None, b"7bit", b"1", b"0"],
    ),
    "a type that is none": (
        b"Content-Type: text; charset=utf-8\n\nx",
        text(1, 0, [b"charset", b"utf-8"]),
    ),
    "an empty type": (b"Content-Type:\n\nx", text(1, 0)),
    "all fields": (
        b'Content-Type: application/pdf; name="a b.pdf"\nContent-ID: <i@x>\n'
        b"Content-Description: two\n words\nContent-Transfer-Encoding: BASE64 (c)\n"
        b"Content-MD5: Q2hlY2s=\nContent-Disposition: attachment; filename=a; size=3\n"
        b"Content-Language: en, de-DE (c) ,\nContent-Location: http://x/y\n\nAAAA\n",
        [
            b"application",
            b"pdf",
            [b"name", b"a b.pdf"],
            b"<i@x>",
            b"two words",
            b"BASE64",
            b"6",
            b"Q2hlY2s=",
            [b"attachment", [b"filename", b"a", b"size", b"3"]],
            [b"en", b"de-DE"],
            b"http://x/y",
        ],
    ),
    "empty fields": (
        b"Content-ID:\nContent-Disposition:\nContent-Language: ,\n"
        b"Content-Transfer-Encoding: \nContent-Location:\n\n",
        [b"text", b"plain", ASCII, b"", None, b"7bit", b"0", b"0", None, None, None, b""],
    ),
    "a disposition without parameters": (
        b"Content-Disposition: inline\n\n",
        [*text(0, 0)[:-3], [b"inline", None], None, None],
    ),
    "a disposition without a type": (
        b"Content-Disposition: filename=a\n\n",
        [*text(0, 0)[:-3], [b"attachment", [b"filename", b"a"]], None, None],
    ),
    "continued and extended parameters": (
        b"Content-Disposition: attachment; filename*1=c; filename*0=ab;\n"
        b" title*1*=%20x; title*0*=utf-8'en'%E2; title*2=\" y\"\n\n",
        [
            *text(0, 0)[:-3],
            [b"attachment", [b"filename", b"abc", b"title*", b"utf-8'en'%E2%20x%20y"]],
            None,
            None,
        ],
    ),
    "octets that need a literal": (
        b'Content-Type: text/plain; name="\xe9"\nContent-Description: a\0\xff\n\n',
        [
            *[b"text", b"plain", [b"name", b"\xe9", *ASCII], None, b"a\x80\xff", b"7bit"],
            *["0", "0", *NO_EXTENSION],
        ],
    ),
    "multipart": (
        b"Content-Type: multipart/mixed; boundary=b\nContent-Language: en\n\n"
        b"--b\n\nx\n--b\n\n\n--b--\n",
        [text(1, 0), text(0, 0), b"mixed", [b"boundary", b"b"], None, [b"en"], None],
    ),
    "multipart without parts": (
        b"Content-Type: multipart/mixed; boundary=b\n\ntext\n",
        [text(0, 0), b"mixed", [b"boundary", b"b"], None, None, None],
    ),
    "multipart without a boundary": (
        b"Content-Type: multipart/mixed; x=y\n\ntext\n",
        text(6, 1, [b"x", b"y", *ASCII]),
    ),
    "embedded message": (
        b"Content-Type: message/rfc822; x=y\n\nSubject: inner\n\na\nb\n",
        [
            *[b"message", b"rfc822", [b"x", b"y"], None, None, b"7bit", b"24"],
            [None, b"inner", *[None] * 8],
            text(6, 2),
            b"4",
            *NO_EXTENSION,
        ],
    ),
    "digest": (
        b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: inner\n\na\n--b--\n",
        [
            [
                *[b"message", b"rfc822", None, None, None, b"7bit", b"19"],
                [None, b"inner", *[None] * 8],
                text(1, 0),
                b"2",
                *NO_EXTENSION,
            ],
            b"digest",
            [b"boundary", b"b"],
            None,
            None,
            None,
        ],
    ),
}


def plain(values: Any) -> Any:
    """Numbers as octets, so that samples may write either."""
    if isinstance(values, list):
        return [plain(value) for value in values]
    return values.encode() if isinstance(values, str) else values


@rfc("9051", "9", 9)
@rfc("9051", "7.5.2", 10, 11, 12, 15)
@rfc("3501", "9", 9)
@rfc("3501", "7.4.2", 6, 9)
@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(name: str) -> None:
    """BODYSTRUCTURE of each shape, however its lines end."""
    data, expected = STRUCTURES[name]
    if len(expected) == 8:
        expected = [*expected, *NO_EXTENSION]
    assert plain(structure(data)) == plain(expected)
    assert plain(structure(corpus.crlf(data))) == plain(expected)


@rfc("9051", "9", 7, 8)
@rfc("3501", "9", 7, 8)
@pytest.mark.parametrize("name", STRUCTURES)
def test_body_is_bodystructure_without_extension(name: str) -> None:
    """RFC 9051 §9: extension data MUST NOT be returned for BODY."""
    data, _ = STRUCTURES[name]
    full, short = structure(data), structure(data, extended=False)
    assert short == without_extension(full)


def without_extension(values: Any) -> Any:
    count = sum(1 for _ in values) - (3 if isinstance(values[0], list) else 4)
    if isinstance(values[0], list):
        children = [without_extension(v) for v in values[: count - 2]]
        return [*children, values[count - 2]]
    return [
        without_extension(value) if place == 8 and isinstance(value, list) else value
        for place, value in enumerate(values[:count])
    ]


def test_exact_octets() -> None:
    """The form on the wire, with the spaces where the grammar has them."""
    data = b"Content-Type: multipart/alternative; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n"
    part = '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0%s)'
    extended = part % " NIL NIL NIL NIL"
    assert bodystructure(data, scan(data), False).decode() == (
        f'({part % ""}{part % ""} "alternative")'
    )
    assert bodystructure(data, scan(data), True).decode() == (
        f'({extended}{extended} "alternative" ("boundary" "b") NIL NIL NIL)'
    )


def test_undivided_types_are_not_shown() -> None:
    """At the limit of depth no part claims a structure that does not follow."""
    message = b"Content-Type: message/rfc822\n\nSubject: x\n\n"
    assert read_structure(message, scan(message, max_depth=0))[:2] == [
        b"application",
        b"octet-stream",
    ]
    multipart = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n"
    assert read_structure(multipart, scan(multipart, max_depth=0))[:2] == [b"text", b"plain"]


def compare(values: Any, message: Message) -> None:
    """Compare a structure with the email package's reading."""
    if isinstance(values[0], list) and values[0]:
        children = message.get_payload()
        assert values[len(children)].decode().lower() == message.get_content_subtype()
        for child, theirs in zip(values, children, strict=False):
            compare(child, theirs)
        return
    assert (values[0] + b"/" + values[1]).decode().lower() == message.get_content_type()
    assert (values[5].decode().lower()) == message.get("Content-Transfer-Encoding", "7bit").lower()
    parameters = dict(zip(values[2][::2], values[2][1::2], strict=True)) if values[2] else {}
    names = {name.lower(): value for name, value in parameters.items()}
    for name, value in message.get_params([])[1:]:
        if isinstance(value, str) and value and value.isascii():
            assert names[name.encode().lower()] == value.encode()
    if message.get_content_type() == "message/rfc822":
        compare(values[8], message.get_payload()[0])
    elif message.get_content_maintype() != "multipart":
        size = len(corpus.crlf(vars(message)["_payload"].encode("ascii", "surrogateescape")))
        assert int(values[6]) == size


def test_against_the_email_package() -> None:
    """Over all well-formed samples: the same types, parameters, encodings and sizes."""
    for data, message in well_formed():
        compare(read_structure(data, scan(data, max_depth=100)), message)


@rfc("9051", "9", 6)
@rfc("9051", "7.5.2", 14)
@rfc("3501", "9", 6)
@rfc("3501", "7.4.2", 8)
def test_all_samples_are_lawful() -> None:
    """Every sample, the broken ones too, keeps to the grammar in both forms."""
    for data in (*corpus.mime_mail(), *corpus.list_mail(300), *corpus.ODD):
        structure(data)
        structure(data, extended=False)


def test_bounded() -> None:
    """Many messages inside one another's parts share the number of addresses."""
    inner = b"--b\nContent-Type: message/rfc822\n\nFrom: " + b"a," * 3000 + b"\n\n"
    data = b"Content-Type: multipart/mixed; boundary=b\n\n" + inner * 20
    wire = bodystructure(data, scan(data), True)
    assert wire.count(b"MISSING_DOMAIN") == 3 * 10_000


@pytest.mark.parametrize("unit", [b";a=b", b"*", b";a*0=b", b";a*9999=", b'";', b"(", b"=", b"\n "])
def test_hostile(unit: bytes) -> None:
    """Fields made to be read again and again are read once."""
    value = unit * ((1 << 20) // len(unit))
    data = b"Content-Type: text/plain" + value + b"\nContent-Language: " + value + b"\n\n"
    structure(data)


PARAMETERS = st.lists(
    st.sampled_from(
        [bytes([octet]) for octet in b"*;=\"\\()/ \n\0\xff'%0123"]
        + [b"multipart/mixed", b"text/plain", b"message/rfc822", b"boundary=b", b"charset"],
    ),
    max_size=20,
).map(b"".join)


@given(PARAMETERS, PARAMETERS, st.lists(LINES, max_size=20).map(b"".join))
def test_anything(kind: bytes, disposition: bytes, body: bytes) -> None:
    """No input raises or gives what the grammar does not allow."""
    data = b"Content-Type: %b\nContent-Disposition: %b\nContent-Language: %b\n%b" % (
        kind,
        disposition,
        kind,
        body,
    )
    for extended in (True, False):
        structure(data, extended)
        structure(corpus.crlf(data), extended)


@given(st.binary(max_size=200))
def test_any_octets(data: bytes) -> None:
    structure(data)
    structure(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + data)
