"""Text for searching: encodings and charsets undone, in pieces that overlap."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime import collation
from pymaild.mime.parts import scan
from pymaild.mime.text import OVERLAP, PIECE, body_texts, fold, header_texts
from tests.support import corpus

from .samples import well_formed


def texts(data: bytes) -> list[str]:
    return list(body_texts(data, scan(data)))


def body(kind: str, encoding: str, octets: bytes) -> str:
    """The text of a one-part message."""
    head = f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n".encode()
    return "".join(texts(head + octets))


@pytest.mark.parametrize(
    ("kind", "encoding", "octets", "expected"),
    [
        ("text/plain", "7bit", b"plain\n", "plain\n"),
        ("text/plain; charset=utf-8", "8bit", "grün".encode(), "grün"),
        ("text/plain; charset=ISO-8859-1", "8bit", b"gr\xfcn", "grün"),
        ("text/plain; charset=utf-8", "Quoted-Printable", b"gr=C3=BCn=\r\n=20x", "grün x"),
        ("text/html; charset=utf-8", "BASE64", base64.encodebytes("<p>grün".encode()), "<p>grün"),
        ("text/plain; charset=utf-8", "base64", b"Z3L\r\n?Dv\0G4", "grün"),
        ("text/plain; charset=iso-2022-jp", "7bit", b"\x1b$BF|K\\\x1b(B", "日本"),
        ("text/plain; charset=koi8-r", "8bit", "привет".encode("koi8-r"), "привет"),
        ("text/plain; charset=utf-7", "7bit", b"gr+APw-n", "grün"),
        ("text/plain; charset=utf-16", "8bit", "grün".encode("utf-16"), "grün"),
        ("text/plain; charset=utf-16", "8bit", "\ufeffgrün".encode("utf-16-be"), "grün"),
        ("text/plain; charset=utf-16", "8bit", "grün".encode("utf-16-be"), "grün"),
        ("text/plain; charset=utf-32", "8bit", "grün".encode("utf-32"), "grün"),
        ("text/plain; charset=nobody", "8bit", "grün".encode(), "grün"),
        ("text/plain", "8bit", b"gr\xfcn", "grün"),
        ("text/plain", "8bit", b"\xc3\xbc\xfc\xc3\xbc", "Ã¼üÃ¼"),
        ("text/plain", "x-unknown", b"as it is", "as it is"),
        ("text/plain; charset=zlib", "7bit", b"as it is", "as it is"),
        ("image/png", "7bit", b"not text", ""),
        ("multipart/mixed", "7bit", b"not divided", "not divided"),
    ],
)
def test_bodies(kind: str, encoding: str, octets: bytes, expected: str) -> None:
    assert body(kind, encoding, octets) == expected


def test_parts() -> None:
    """Text parts, and the headers of all parts inside the message, but not its own."""
    data = (
        b"Subject: outer\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n"
        b"--b\n\nfirst\n"
        b"--b\nContent-Type: image/png\n"
        b"Content-Disposition: attachment; filename*=utf-8''gr%C3%BCn.png\n\npixels\n"
        b"--b\nContent-Type: message/rfc822\n\nSubject: =?utf-8?q?gr=C3=BCn?=\n\ninner\n"
        b"--b--\n"
    )
    assert texts(data) == [
        "first",
        "Content-Type: image/png",
        "Content-Disposition: attachment; filename*=utf-8''gr%C3%BCn.png",
        "grün.png",
        "Content-Type: message/rfc822",
        "Subject: grün",
        "inner",
    ]


def test_header_texts() -> None:
    header = b"Subject: =?utf-8?q?gr=C3=BCn?=\nTo: a@b\nno field\nto: c@d\n\nTo: body\n"
    assert list(header_texts(header, b"to")) == ["a@b", "c@d"]
    assert list(header_texts(header, b"Subject")) == ["grün"]
    assert list(header_texts(header, b"Cc")) == []
    assert list(header_texts(header, None)) == ["Subject: grün", "To: a@b", "to: c@d"]


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("shift", range(5))
def test_matches_across_pieces(encoding: str, shift: int) -> None:
    """A key of up to OVERLAP characters is found wherever it stands, however it is encoded."""
    key = "schlüssel" + "ß" * (OVERLAP - 9)
    plain = ("x" * shift + ("é" * 70 + "\n") * 1300)[: PIECE - 300] + key + "y" * PIECE
    encode = {"8bit": bytes, "base64": base64.encodebytes, "quoted-printable": quopri.encodestring}
    octets = encode[encoding](plain.encode())
    head = f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
    pieces = texts(head.encode() + octets)
    assert len(pieces) > 1
    assert all(len(piece) <= PIECE + OVERLAP for piece in pieces)
    assert any(key in piece for piece in pieces)
    assert any(fold(key) in fold(piece) for piece in pieces)
    whole = pieces[0] + "".join(piece[OVERLAP:] for piece in pieces[1:])
    assert whole == plain


def test_pieces_of_one_long_line() -> None:
    """Quoted-printable without line ends, and UTF-7 that never leaves base64, stay bounded."""
    for kind, encoding, unit in (
        ("text/plain; charset=utf-8", "quoted-printable", b"=C3=BC"),
        ("text/plain; charset=utf-7", "7bit", b"+AAAAAAAA"),
        ("text/plain; charset=utf-7", "7bit", b"+" + b"AAAA" * 100_000),
        ("text/plain; charset=hz", "7bit", b"~{AAAA"),
        ("text/plain; charset=iso-2022-jp", "7bit", b"\x1b$B"),
        ("text/plain; charset=utf-16", "base64", b"AAAA"),
    ):
        head = f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n".encode()
        for piece in texts(head + unit * (400_000 // len(unit))):
            assert len(piece) <= 2 * PIECE + OVERLAP


def test_quoted_printable_of_one_long_line_is_whole() -> None:
    octets = b"=C3=BC" * 50_000
    pieces = texts(
        b"Content-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: quoted-printable\n\n" + octets
    )
    assert len(pieces) > 3
    assert all(set(piece) == {"ü"} for piece in pieces)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ABC", "abc"),
        ("GRÜN", "grün"),
        ("gru\u0308n", "grün"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("\u01c4", "\u01c6"),
        ("\uff21", "a"),
        ("℃", "°c"),
    ],
)
def test_fold(one: str, other: str) -> None:
    """RFC 5051: titlecase and decomposition do not tell texts apart."""
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("STRASSE", "straße"), ("ﬁn", "FIN")])
def test_fold_maps_characters_one_by_one(one: str, other: str) -> None:
    """RFC 5051 §2 (2)(a): the titlecase property knows nothing of letters that become two."""
    assert fold(one) != fold(other)


def test_fold_of_the_example() -> None:
    """RFC 5051 §2 (2): U+01C4 becomes U+0044 U+007A U+030C."""
    assert fold("\u01c4") == "\u0044\u007a\u030c"


@given(st.text(), st.text(), st.text())
def test_fold_keeps_substrings(before: str, key: str, behind: str) -> None:
    assert fold(key) in fold(before + key + behind)


def test_fold_is_bounded() -> None:
    """All of Unicode, and long runs of combining marks, take no more room than a table may."""
    everything = "".join(map(chr, range(0x20000)))
    assert fold(everything) == fold(everything)
    assert len(collation._FOLDS) <= collation._MOST_FOLDS
    fold("\u0301\u0323" * 200_000)


def is_utf8(octets: bytes) -> bool:
    """Whether octets of a small part are what their charset says."""
    return len(octets) < PIECE // 4 and "\ufffd" not in octets.decode(errors="replace")


def test_samples() -> None:
    """Every text part the email package decodes is found in ours."""
    for data, message in well_formed():
        found = "".join(texts(data))
        for part in message.walk():
            if part.get_content_maintype() == "text" and part.get_content_charset() == "utf-8":
                payload = part.get_payload(decode=True)
                assert isinstance(payload, bytes)
                if is_utf8(payload):
                    assert payload.decode().rstrip() in found


def test_broken_samples() -> None:
    for data in corpus.ODD:
        texts(data)


KINDS = st.sampled_from(
    [
        "utf-8",
        "utf-7",
        "utf-16",
        "utf-32",
        "hz",
        "euc-kr",
        "big5",
        "iso-2022-kr",
        "cp437",
        "x",
        "gb2312",
    ]
)


@given(KINDS, st.sampled_from(["base64", "quoted-printable", "8bit"]), st.binary(max_size=200))
def test_anything(charset: str, encoding: str, octets: bytes) -> None:
    """No body raises."""
    fold(body(f"text/plain; charset={charset}", encoding, octets))
