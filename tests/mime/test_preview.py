"""Previews: what a reader would see first, as one line of plain text (RFC 8970 §3.3)."""

from __future__ import annotations

import base64
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime.markup import plain_text
from pymaild.mime.parts import scan
from pymaild.mime.preview import LENGTH, preview, shortened
from tests.support.rfc import rfc


def shown(message: bytes) -> str:
    return preview(message, scan(message))


def html(body: str, kind: str = "text/html") -> str:
    return shown(f"Content-Type: {kind}; charset=utf-8\n\n{body}".encode())


def plain(body: str) -> str:
    return shown(f"Content-Type: text/plain; charset=utf-8\n\n{body}".encode())


def multipart(kind: str, *parts: str) -> str:
    body = "".join(f"--b\n{part}\n" for part in parts)
    return shown(f"Content-Type: multipart/{kind}; boundary=b\n\n{body}--b--\n".encode())


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("Hello,\n\n  this  is\tit.\n", "Hello, this is it."),
        ("Ann wrote:\n> old\n> older\n\nMine.\n", "Mine."),
        ("Mine.\n\nOn Monday, Ann <ann@example.org>\nwrote:\n\n> old\n", "Mine."),
        ("> old\n> text\n", "old text"),
        ("Mine.\n-- \nAnn\nExample Ltd.\n", "Mine."),
        ("Mine.\n-----Original Message-----\nFrom: x\n", "Mine."),
        ("==========\nNews\n----------\nOf today\n", "News Of today"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSigned.\n", "Signed."),
        ("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n", ""),
        ("a\0b\x07c\u202ed\u200be\u00adf\n", "abcdef"),
        ("Text\u200c \u200c \u200c \ufeff more\n", "Text more"),
        ("क्\u200cष\n", "क्\u200cष"),
        ("", ""),
    ],
)
def test_plain_text(body: str, wanted: str) -> None:
    assert plain(body) == wanted


@rfc("8970", "3.3", 3)
@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("<p>One <b>w</b>ord</p><p>Two</p>", "One word Two"),
        ("Gr&uuml;&szlig;e &amp;&#32;K&#xfc;sse", "Grüße & Küsse"),
        ("<title>T</title><style>p > a {}</style><script>if (a < b)</script>Text", "Text"),
        ("<STYLE>x</style >Text", "Text"),
        ("<!-- a > b --><!DOCTYPE html><?xml x?>Text", "Text"),
        ('<a title="a > b" href=x>Link</a>', "Link"),
        ("1 < 2 <3", "1 < 2 <3"),
        ("&lt;b&gt;", "<b>"),
        ("a<br/>b<hr>c", "a b c"),
        ("<p>Mine<p>Ann wrote:<blockquote>old <b>text</b></blockquote>", "Mine"),
        ("<blockquote><p>old<br>text</blockquote>", "old text"),
        ("Text<!-- never ended", "Text"),
        ("Text<style>never ended", "Text"),
        ("Text<a href='never ended", "Text"),
        ("&#99999999999;&#xffffffffff;x", "\ufffd\ufffdx"),
        ("&#" + "9" * 5000 + ";x", "\ufffdx"),
        ("<div>Sale!&nbsp;&zwnj;&nbsp;&zwnj;&nbsp;</div>", "Sale!"),
    ],
)
def test_markup_is_removed(body: str, wanted: str) -> None:
    assert html(body) == wanted


def test_the_first_text_that_says_something() -> None:
    text = "Content-Type: text/plain\n\n"
    page = "Content-Type: text/html\n\n"
    assert multipart("alternative", f"{page}<p>page", f"{text}words") == "words"
    assert multipart("alternative", f"{page}<p>page", f"{text} \n") == "page"
    assert multipart("mixed", f"{page}<p>page", f"{text}a footer of the list") == "page"
    attached = "Content-Type: text/plain\nContent-Disposition: attachment\n\nattached"
    assert multipart("mixed", attached, f"{text}words") == "words"
    image = "Content-Type: image/png\n\nnonsense"
    assert multipart("mixed", image, f"{text}words") == "words"
    inner = "Content-Type: message/rfc822\n\nSubject: x\n\nforwarded"
    assert multipart("mixed", inner) == "forwarded"


@rfc("8970", "3.2", 3)
@pytest.mark.parametrize(
    "message",
    [
        b"Content-Type: image/png\n\nnonsense",
        b"Content-Type: multipart/encrypted; boundary=b\n\n--b\n"
        b"Content-Type: application/pgp-encrypted\n\nVersion: 1\n--b--\n",
        b"Content-Type: text/plain\nContent-Disposition: attachment\n\nattached",
        b"Subject: nothing\n",
        b"",
    ],
)
def test_nothing_to_show(message: bytes) -> None:
    assert shown(message) == ""


@rfc("8970", "3.3", 2)
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252", "utf-16", "nonsense"])
def test_encodings_are_undone(charset: str) -> None:
    octets = "Grüße".encode("utf-8" if charset == "nonsense" else charset)
    head = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64\n\n"
    assert shown(head.encode() + base64.encodebytes(octets)) == "Grüße"


@rfc("8970", "3.3", 4, 5)
@given(st.text(max_size=2000))
def test_never_more_than_200_characters_nor_anything_unseen(text: str) -> None:
    for kind in ("plain", "html"):
        message = f"Content-Type: text/{kind}; charset=utf-8\n\n{text}"
        found = shown(message.encode("utf-8", "replace"))
        assert len(found) <= LENGTH
        assert found == shortened(found)
        assert not [c for c in found if unicodedata.category(c) == "Cc"]


@given(st.binary(max_size=400))
def test_no_message_raises(octets: bytes) -> None:
    for head in (
        b"",
        b"Content-Type: text/html\n\n",
        b"Content-Type: text/html; charset=utf-7\n\n",
    ):
        shown(head + octets).encode("utf-8", "replace")


HOSTILE = [
    "<",
    "<a",
    '<a "',
    "<a>",
    '<a ">">',
    "<!--",
    "<!-->",
    "&",
    "&#9",
    "<style></style>",
    "</",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_markup_is_looked_at_once(unit: str) -> None:
    """Work is counted: a walk takes no more steps than there are characters."""
    from pymaild.mime import markup

    text = unit * (60_000 // len(unit))
    steps = 0

    class Walk(markup._Walk):
        def _step(self, mark: re.Match[str]) -> int:
            nonlocal steps
            steps += 1
            after = super()._step(mark)
            assert after == -1 or after >= mark.end()
            return after

    Walk(text).pieces()
    assert steps <= len(text)
    assert len(plain_text(text)) <= len(text)


def test_only_the_beginning_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview of a large message reads no more of it than of a small one."""
    from pymaild.mime import preview as module

    looked_at: list[int] = []
    real = vars(module)["leaf_texts"]

    def leaf_texts(data, part, overlap=0, most=0):  # type: ignore[no-untyped-def]
        for piece in real(data, part, overlap, most):
            looked_at.append(len(piece))
            yield piece

    monkeypatch.setattr(module, "leaf_texts", leaf_texts)
    part = b"--b\nContent-Type: text/plain\n\n" + b" \n" * 50_000
    message = b"Content-Type: multipart/mixed; boundary=b\n\n" + part * 900 + b"--b--\n"
    assert shown(message) == ""
    assert sum(looked_at) <= 20 * 32768
