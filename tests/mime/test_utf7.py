"""Modified UTF-7 of mailbox names (RFC 3501 §5.1.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime import utf7
from tests.support.rfc import rfc


@rfc("9051", "A.1", 2)
@rfc("3501", "5.1.3", 2)
@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("", b""),
        ("INBOX", b"INBOX"),
        ("a&b", b"a&-b"),
        ("&", b"&-"),
        ("&&", b"&-&-"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("é&é", b"&AOk-&-&AOk-"),
        ("😀", b"&2D3eAA-"),
        ("a\tb\x7f", b"a&AAk-b&AH8-"),
        ("-", b"-"),
        ("é-", b"&AOk--"),
    ],
)
def test_both_ways(name: str, wire: bytes) -> None:
    assert utf7.encode(name) == wire
    assert utf7.decode(wire) == name


@pytest.mark.parametrize(
    "wire",
    [
        b"&",
        b"a&",
        b"&AOk",
        b"&A-",
        b"&AOk=-",
        b"&AO/-",
        b"&AO-",
        b"&2D0-",
        b"&3gA-",
        b"\xc3\xa9",
        b"a\tb",
        b"a\x00",
        b"&Jjo!",
        b"& -",
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_malformed(wire: bytes, strict: bool) -> None:
    with pytest.raises(ValueError, match=r".+"):
        utf7.decode(wire, strict)


@rfc("9051", "A.1", 1)
@rfc("3501", "5.1.3", 1)
@pytest.mark.parametrize(
    ("wire", "name"),
    [(b"&AGE-", "a"), (b"&AOk-&AOk-", "éé"), (b"&AOl-", "é"), (b"&ACY-", "&"), (b"&AOkAYQ-", "éa")],
)
def test_not_canonical(wire: bytes, name: str) -> None:
    """One name has one form: others are refused, so that no mailbox has two names."""
    assert utf7.decode(wire, strict=False) == name
    with pytest.raises(ValueError, match="canonical"):
        utf7.decode(wire)


@pytest.mark.parametrize("name", ["\ud800", "a\udcff"])
def test_lone_surrogates(name: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        utf7.encode(name)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_round_trip(name: str) -> None:
    wire = utf7.encode(name)
    assert all(0x20 <= octet < 0x7F for octet in wire)
    assert utf7.decode(wire) == name


@rfc("9051", "A.1", 1, 3)
@rfc("3501", "5.1.3", 1, 3)
@given(st.binary(max_size=40) | st.text("&-+,AOk/a9 ", max_size=20).map(str.encode))
def test_anything(wire: bytes) -> None:
    """What is read in the strict form is written again as it was."""
    try:
        name = utf7.decode(wire)
    except ValueError:
        return
    assert utf7.encode(name) == wire
