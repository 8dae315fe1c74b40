"""Search in octets as they are stored, against the same in texts that are made first."""

from __future__ import annotations

import base64
import quopri
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime import parts, text
from pymaild.mime._matcher import Words
from tests.support import corpus


def slowly(data: bytes, tree: parts.Part, wanted: str, header: bool) -> bool:
    """What :mod:`pymaild.mime.text` yields has the folded text in it."""
    texts = [*text.body_texts(data, tree)]
    if header:
        texts += text.header_texts(data[tree.header_start : tree.header_end], None)
    return any(wanted in text.fold(one) for one in texts)


def check(data: bytes, *wanted: str) -> list[bool | None]:
    """Compare both, of a message in which each of these is looked for; return what is found."""
    tree = parts.scan(data)
    text.classify(data, tree)
    packed = parts.pack(tree)
    answers = []
    for one in wanted:
        for header in (False, True):
            found = Words(text.fold(one), header).holds(data, packed)
            assert found in (slowly(data, tree, text.fold(one), header), None), (one, header)
            answers.append(found)
    return answers


WANTED = (
    *("e", "th", "Message", "subject: ", "boundary", "é", "ß", "grüße", "ﬁ", "fi", "K", "=", "=20"),
    *("segfault", "from: ", "a b", "  ", ": ", "日本", "и", "И", "content-type: text", "x" * 40),
)


@pytest.mark.parametrize("number", range(0, len(corpus.mime_mail()), 8))
def test_real_messages(number: int) -> None:
    for message in corpus.mime_mail()[number : number + 8]:
        words = [word.decode("utf-8", "replace") for word in message.split()[::97]]
        check(message, *WANTED, *(word for word in words if word))
        check(corpus.crlf(message), *WANTED[:6])


def leaf(body: bytes, encoding: str = "7bit", charset: str = "utf-8", kind: str = "plain") -> bytes:
    return (
        f"Subject: one\nContent-Type: text/{kind}; charset={charset}\n"
        f"Content-Transfer-Encoding: {encoding}\n\n"
    ).encode() + body


PLAIN = "Straße, cafe\u0301, CAFÉ, \ufb01n, Ⅳ, \u212a, ДОБРЫЙ, 日本語 and so on"


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable", "x-unknown"])
def test_what_folds_to_something_else(encoding: str) -> None:
    octets = PLAIN.encode()
    encoded = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}
    message = leaf(encoded.get(encoding, bytes)(octets), encoding)
    wanted = ("strasse", "straße", "café", "CAFE", "FIN", "fin", "iv", "k", "добрый", "日本")
    assert None not in check(message, *wanted)


@pytest.mark.parametrize(
    ("charset", "body", "wanted", "answer"),
    [
        ("iso-8859-1", b"plain words", "WORDS", True),
        ("iso-8859-1", b"gr\xfc\xdfe \x81", "grüße", True),
        ("iso-8859-2", b"gr\xfc\xdfe", "grüße", None),
        ("utf-8", b"gr\xfc\xdfe \x80", "grüße €", True),
        ("utf-8", b"\xc3\xbc" * 40_000 + b"\xfc", "zz", None),
        ("utf-8", b"gr\xfc\xdfe words", "words", True),
        ("utf-8", b"gr\xfc\xdfe words", "word order", False),
        ("utf-16", b"\xff\xfea\0b\0", "ab", None),
        ("utf-7", b"a+AOk-b", "a+", None),
        ("iso-2022-jp", b"\x1b$B!!\x1b(B", "zz", None),
        ("no-such", b"plain words", "plain", True),
        ("us-ascii", b"plain words", "pläin", False),
    ],
)
def test_other_charsets_are_left_to_others(
    charset: str, body: bytes, wanted: str, answer: bool | None
) -> None:
    assert check(leaf(body, charset=charset), wanted) == [answer, answer]


def test_what_is_no_text_is_passed_over() -> None:
    message = leaf(b"words").replace(b"text/plain", b"image/png")
    assert check(message, "words", "png") == [False, False, False, True]


def test_headers_within_a_message_are_a_part_of_its_body() -> None:
    message = b"Content-Type: message/rfc822\n\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\n\nx\n"
    assert check(message, "grüße", "rfc822") == [True, True, False, True]


PIECES = st.sampled_from(
    b"= =3D =C3=A9 == =4 a B \xc3 \xa9 \xc3\xa9 YWI YQ== -".split(b" ")
    + re.findall(rb"[^|]+", b"=\n|=\r\n|= \n| |\t|\n|\r\n|\r")
)


@given(st.lists(PIECES).map(b"".join), st.sampled_from(["8bit", "base64", "quoted-printable"]))
def test_broken_encodings(body: bytes, encoding: str) -> None:
    check(leaf(body, encoding), "a", "ab", "=", "é", "=a", "a b", "\ufffd")


FIELDS = st.sampled_from(
    rb"A : b *= = name*=utf-8''%C3%A9 ; =?utf-8?q?b=C3=A9?=".split()
    + re.findall(rb"[^|]+", b": |\n|\n | \n\t|\r\n | |\xc3\xa9|; ")
)


@given(st.lists(FIELDS).map(b"".join))
def test_broken_headers(header: bytes) -> None:
    check(header + b"\n\nbody", "a", "ab", "a b", "b b", ": b", "a: ", "é", "=", "b  ")
